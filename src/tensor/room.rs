//! Whether a tensor can be held at all, asked before its memory is.
//!
//! In: a shape and dtype. Out: nothing, or the error that says how many bytes it would take and how many there are.

use std::sync::OnceLock;

use super::{DType, show_shape};
use crate::error::{Error, Result};

/// Shapes below this size are not compared with the machine's memory.
const SMALL: u128 = 1 << 28;

/// The error for a tensor that does not fit into memory.
pub fn check(shape: &[usize], dtype: DType) -> Result<()> {
    let size: u128 = match dtype {
        DType::Bool => 1,
        DType::F32 => 4,
        DType::Int | DType::F64 => 8,
    };
    // Strides are counted without the dims that are 0, so those must fit too.
    let bytes = shape.iter().filter(|&&n| n > 0).fold(size, |bytes, &n| bytes.saturating_mul(n as u128));
    let empty = shape.contains(&0);
    if bytes < SMALL || (empty && bytes <= isize::MAX as u128) || (!empty && bytes <= u128::from(memory())) {
        return Ok(());
    }
    let what = format!("{dtype}{}", show_shape(shape));
    Err(Error::new(
        "E0421",
        format!(
            "a tensor {what} takes {}, more than this machine has ({})",
            show_bytes(bytes),
            show_bytes(memory().into())
        ),
    )
    .help("make it smaller, or work on parts of it"))
}

/// `3.7 TiB`
fn show_bytes(bytes: u128) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    if bytes >= 1 << 90 {
        return "more than 2^90 bytes".into();
    }
    let mut amount = bytes as f64;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == UNITS[0] { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// Bytes of main memory; 64 GiB where the system does not tell.
fn memory() -> u64 {
    static MEMORY: OnceLock<u64> = OnceLock::new();
    *MEMORY.get_or_init(|| {
        let told = std::fs::read_to_string("/proc/meminfo").ok();
        let line = told.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or(64 << 30, |kib| kib.saturating_mul(1024))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert!(check(&[1000, 1000], DType::F64).is_ok());
        assert!(check(&[0, 1000], DType::F64).is_ok());
        let error = check(&[1_000_000, 1_000_000_000], DType::F32).unwrap_err();
        assert_eq!(error.0.code, "E0421");
        assert!(error.0.message.contains("3638.0 TiB"), "{}", error.0.message);
        assert!(check(&[0, usize::MAX, usize::MAX], DType::F64).is_err());
        assert!(check(&[usize::MAX; 6], DType::Bool).is_err());
        assert_eq!(show_bytes(2048), "2.0 KiB");
    }
}
