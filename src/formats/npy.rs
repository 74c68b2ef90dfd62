//! NPY, the format of one NumPy array: a magic word, a header that is a Python dict of type, order and shape, and the numbers.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use super::{Array, Kind, Numbers, Problem, count, show};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The array of a file.
pub fn read(bytes: &[u8]) -> Result<Array, Problem> {
    let Some([major, _, rest @ ..]) = bytes.strip_prefix(MAGIC) else {
        return Err(Problem::new("is no NPY file: it does not start with \\x93NUMPY")
            .help("NPY files are those that numpy.save writes"));
    };
    let cut = || Problem::new("ends inside of its header").help("the file is cut off or damaged: make it again");
    let width = if *major < 2 { 2 } else { 4 };
    let (length, rest) = rest.split_at_checked(width).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = String::from_utf8_lossy(header);
    let odd = || Problem::new(format!("has a header that no NPY file has: {}", header.trim()));
    let descr = entry(&header, "descr").ok_or_else(odd)?;
    let (kind, big_endian) = kind(descr)?;
    let fortran = match entry(&header, "fortran_order").ok_or_else(odd)? {
        text if text.starts_with("True") => true,
        text if text.starts_with("False") => false,
        _ => return Err(odd()),
    };
    let mut shape = shape(entry(&header, "shape").ok_or_else(odd)?).ok_or_else(odd)?;
    let size = count(&shape).and_then(|n| n.checked_mul(kind.size()));
    if size != Some(data.len()) {
        return Err(Problem::new(format!(
            "announces numbers of shape {}, but holds {} bytes of them",
            show(&shape),
            data.len()
        ))
        .help("the file is cut off or damaged: make it again"));
    }
    let numbers = kind.read(data, big_endian)?;
    if !fortran || shape.len() < 2 {
        return Ok(Array { shape, numbers });
    }
    // Columns first are the rows of the transpose.
    shape.reverse();
    let turned = transposed(Array { shape, numbers });
    Ok(turned)
}

/// What stands after a key of the dict.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// The type, and whether its most significant byte comes first.
fn kind(descr: &str) -> Result<(Kind, bool), Problem> {
    let name = descr.strip_prefix('\'').and_then(|rest| rest.split('\'').next());
    let not = |what: &str| {
        Err(Problem::new(format!("holds {what}, not numbers"))
            .help("in NumPy, convert it before saving: numpy.save(path, x.astype(\"float64\"))"))
    };
    let Some(name) = name else { return not("records of several fields") };
    let (order, name) = match name.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (order, name.get(1..).unwrap_or("")),
        _ => ('<', name),
    };
    let kind = match name {
        "b1" => Kind::Bool,
        "i1" => Kind::Signed(1),
        "i2" => Kind::Signed(2),
        "i4" => Kind::Signed(4),
        "i8" => Kind::Signed(8),
        "u1" => Kind::Unsigned(1),
        "u2" => Kind::Unsigned(2),
        "u4" => Kind::Unsigned(4),
        "u8" => Kind::Unsigned(8),
        "f2" => Kind::Float(2),
        "f4" => Kind::Float(4),
        "f8" => Kind::Float(8),
        "O" => return not("Python objects"),
        _ if name.starts_with('c') => return not("complex numbers"),
        _ if name.starts_with(['U', 'S']) => return not("text"),
        _ => return not(&format!("the type '{name}'")),
    };
    Ok((kind, order == '>'))
}

/// `(3, 4)`, `(3,)`, `()`
fn shape(text: &str) -> Option<Vec<usize>> {
    let inside = text.strip_prefix('(')?.split_once(')')?.0;
    // Python 2 wrote `3L`.
    inside
        .split(',')
        .map(|n| n.trim().trim_end_matches('L'))
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().ok())
        .collect()
}

fn transposed(array: Array) -> Array {
    fn moved<T: Copy>(shape: &[usize], data: &[T]) -> Vec<T> {
        let rank = shape.len();
        // Strides of `data`, taken in the opposite order.
        let mut strides = vec![1; rank];
        for i in (1..rank).rev() {
            strides[i - 1] = strides[i] * shape[i];
        }
        let mut index = vec![0; rank];
        let mut out = Vec::with_capacity(data.len());
        while out.len() < data.len() {
            let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
            out.extend(data.get(at));
            // The first axis of `data` is the last of the result, and runs fastest.
            for axis in 0..rank {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }
    let shape = &array.shape;
    let numbers = match &array.numbers {
        Numbers::Bool(v) => Numbers::Bool(moved(shape, v)),
        Numbers::Int(v) => Numbers::Int(moved(shape, v)),
        Numbers::F32(v) => Numbers::F32(moved(shape, v)),
        Numbers::F64(v) => Numbers::F64(moved(shape, v)),
    };
    Array { shape: shape.iter().rev().copied().collect(), numbers }
}

/// A file of little-endian numbers by rows; `descr` is NumPy's name of their type, such as `<f4`.
pub fn write(descr: &str, shape: &[usize], numbers: &[u8]) -> Vec<u8> {
    let dims = match shape {
        [n] => format!("({n},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {dims}, }}");
    // The numbers start at a multiple of 64.
    let before = MAGIC.len() + 4;
    let end = (before + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', end - before - header.len() - 1));
    header.push('\n');
    let length = header.len() as u16;
    [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), numbers].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), numbers].concat()
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = write("<f8", &[2, 1], &[1.5f64.to_le_bytes(), 2.5f64.to_le_bytes()].concat());
        assert_eq!(bytes.len() % 64, 16);
        assert_eq!(read(&bytes).unwrap(), Array { shape: vec![2, 1], numbers: Numbers::F64(vec![1.5, 2.5]) });
        let scalar = write("<i8", &[], &7i64.to_le_bytes());
        assert_eq!(read(&scalar).unwrap(), Array { shape: vec![], numbers: Numbers::Int(vec![7]) });
        let empty = write("|b1", &[0], &[]);
        assert_eq!(read(&empty).unwrap(), Array { shape: vec![0], numbers: Numbers::Bool(vec![]) });
    }

    #[test]
    fn columns_first() {
        // In Fortran's order: element [i, j] at i + 2 * j.
        let bytes = file("'|u1'", "True", "(2, 3)", &[0, 10, 1, 11, 2, 12]);
        assert_eq!(
            read(&bytes).unwrap(),
            Array { shape: vec![2, 3], numbers: Numbers::Int(vec![0, 1, 2, 10, 11, 12]) }
        );
        let bytes = file("'|u1'", "True", "(2, 1, 2)", &[0, 10, 1, 11]);
        assert_eq!(read(&bytes).unwrap(), Array { shape: vec![2, 1, 2], numbers: Numbers::Int(vec![0, 1, 10, 11]) });
    }

    #[test]
    fn damage_is_told() {
        let said = |bytes: &[u8]| read(bytes).unwrap_err().what;
        assert!(said(b"PK\x03\x04").contains("is no NPY file"));
        assert!(said(&file("'<f4'", "False", "(2,)", &[0; 4])).contains("shape [2], but holds 4 bytes"));
        assert!(said(&file("'|O'", "False", "(2,)", &[0; 4])).contains("Python objects"));
        assert!(said(&file("'<c16'", "False", "(2,)", &[0; 4])).contains("complex"));
        assert!(said(&file("[('a', '<f4')]", "False", "(2,)", &[0; 4])).contains("several fields"));
        assert!(said(&file("'<f4'", "No", "(2,)", &[0; 8])).contains("header"));
        assert!(said(&file("'<f4'", "False", "(x,)", &[0; 8])).contains("header"));
        assert!(said(&file("'<f4'", "False", "(99999999999, 99999999999)", &[])).contains("holds 0 bytes"));
        let whole = write("<f8", &[], &[0; 8]);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
    }
}
