//! Printing numbers and tensors: each number in the shortest form that reads back, rows under each other.

use std::fmt::Write;

use super::Tensor;
use super::create::element;
use crate::value::Value;

/// A tensor of more elements is printed with `...`.
const SUMMARIZED_PAST: usize = 1000;
/// Items shown at each end of a summarized axis.
const EDGE: usize = 3;

macro_rules! shortest {
    ($(#[$meta:meta])* $name:ident, $type:ty) => {
        $(#[$meta])*
        pub fn $name(x: $type) -> String {
            if x.is_nan() {
                return "nan".into();
            }
            if x.is_infinite() {
                return if x > 0.0 { "inf".into() } else { "-inf".into() };
            }
            format!("{x:?}")
        }
    };
}

shortest! {
    /// A float as a program would write it: `0.1`, `3.0`, `1e-7`, `nan`, `-inf`.
    format_float, f64
}
shortest! {
    /// The shortest form that reads back as this `f32`.
    format_f32, f32
}

/// A scalar value as it is printed; strings and structures are not its business.
fn scalar_text(v: &Value) -> String {
    match v {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(_, x) => format_float(*x),
        _ => String::new(),
    }
}

impl Tensor {
    /// As it is printed: `[[1.0, 2.0],\n [3.0, 4.0]]`.
    pub fn to_text(&self) -> String {
        match self {
            Tensor::F32(a) => {
                let data = super::flat(a);
                self.layout(&|i| data.get(i).map_or_else(String::new, |&x| format_f32(x)))
            }
            _ => {
                let t = self.contiguous();
                self.layout(&|i| element(&t, i).map_or_else(String::new, |v| scalar_text(&v)))
            }
        }
    }

    /// Brackets, commas and line breaks around elements, which `show` gives by row-major position.
    pub fn layout(&self, show: &dyn Fn(usize) -> String) -> String {
        let mut out = String::new();
        let shape = self.shape();
        if shape.is_empty() {
            return show(0);
        }
        let summarized = self.len() > SUMMARIZED_PAST;
        nest(&mut out, shape, 0, 0, summarized, show);
        out
    }
}

fn nest(
    out: &mut String,
    shape: &[usize],
    depth: usize,
    base: usize,
    summarized: bool,
    show: &dyn Fn(usize) -> String,
) {
    let Some((&n, inner)) = shape.split_first() else {
        out.push_str(&show(base));
        return;
    };
    let step = super::count(inner);
    out.push('[');
    let mut first = true;
    let mut i = 0;
    while i < n {
        if !first {
            out.push(',');
            if inner.is_empty() {
                out.push(' ');
            } else {
                // One more line for each level between blocks, as NumPy has it.
                out.extend(std::iter::repeat_n('\n', inner.len()));
                out.extend(std::iter::repeat_n(' ', depth + 1));
            }
        }
        first = false;
        if summarized && n > 2 * EDGE && i == EDGE {
            out.push_str("...");
            i = n - EDGE;
            continue;
        }
        nest(out, inner, depth + 1, base + i * step, summarized, show);
        i += 1;
    }
    out.push(']');
}

/// A number with a fixed count of digits after the point, `inf` and `nan` in words.
pub(super) fn fixed(x: f64, precision: usize) -> String {
    if x.is_finite() { format!("{x:.precision$}") } else { words(x) }
}

/// `1.5e+03`: at least two digits in the exponent.
pub(super) fn scientific(x: f64, precision: usize) -> String {
    if !x.is_finite() {
        return words(x);
    }
    let text = format!("{x:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    let mut out = mantissa.to_string();
    let _ = write!(out, "e{sign}{digits:0>2}");
    out
}

/// Fixed or scientific, whichever suits the magnitude, with `precision` significant digits and no trailing zeros.
pub(super) fn general(x: f64, precision: usize, keep_zeros: bool) -> String {
    if !x.is_finite() {
        return words(x);
    }
    let precision = precision.max(1);
    let rounded = format!("{x:.*e}", precision - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let text = if (-4..precision as i32).contains(&exponent) {
        format!("{x:.*}", (precision as i32 - 1 - exponent).max(0) as usize)
    } else {
        scientific(x, precision - 1)
    };
    if keep_zeros {
        return text;
    }
    let (mantissa, exponent) = text.split_once('e').map_or((text.as_str(), None), |(m, e)| (m, Some(e)));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    exponent.map_or_else(|| mantissa.to_string(), |e| format!("{mantissa}e{e}"))
}

fn words(x: f64) -> String {
    if x.is_nan() {
        "nan".into()
    } else if x > 0.0 {
        "inf".into()
    } else {
        "-inf".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (x, text) in [
            (0.1, "0.1"),
            (3.0, "3.0"),
            (1e-7, "1e-7"),
            (1e16, "1e16"),
            (1.5e300, "1.5e300"),
            (-0.0, "-0.0"),
            (123456.789, "123456.789"),
            (0.0001, "0.0001"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_float(x), text);
        }
        assert_eq!(format_f32(0.1), "0.1");
        assert_eq!(format_f32(16777216.0), "16777216.0");
    }

    #[test]
    fn nesting() {
        let t = Tensor::from_vec(&[2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
        assert_eq!(t.to_text(), "[[1.0, 2.0],\n [3.0, 4.0]]");
        let t = Tensor::from_vec(&[2, 1, 2], vec![1i64, 2, 3, 4]);
        assert_eq!(t.to_text(), "[[[1, 2]],\n\n [[3, 4]]]");
        assert_eq!(Tensor::from_vec(&[0], Vec::<f32>::new()).to_text(), "[]");
        assert_eq!(Tensor::from_vec(&[2, 0], Vec::<f32>::new()).to_text(), "[[],\n []]");
        assert_eq!(Tensor::from_vec(&[2], vec![true, false]).to_text(), "[true, false]");
    }

    #[test]
    fn long_ones_are_cut() {
        let t = Tensor::from_vec(&[1001], (0..1001i64).collect());
        assert_eq!(t.to_text(), "[0, 1, 2, ..., 998, 999, 1000]");
        let t = Tensor::from_vec(&[400, 3], vec![0i64; 1200]);
        let row = "[0, 0, 0]";
        assert_eq!(t.to_text(), format!("[{row},\n {row},\n {row},\n ...,\n {row},\n {row},\n {row}]"));
        let whole = Tensor::from_vec(&[1000], vec![1i64; 1000]).to_text();
        assert!(!whole.contains("..."));
    }

    #[test]
    fn general_form() {
        assert_eq!(general(0.0001, 6, false), "0.0001");
        assert_eq!(general(0.00001, 6, false), "1e-05");
        assert_eq!(general(123456789.0, 6, false), "1.23457e+08");
        assert_eq!(general(100000.0, 6, false), "100000");
        assert_eq!(general(999999.5, 6, false), "1e+06");
        assert_eq!(general(0.0, 6, false), "0");
    }
}
