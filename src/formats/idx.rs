//! IDX, the format of MNIST and its kin: two zero bytes, the kind of the numbers, how many dims; the dims and the numbers, most
//! significant byte first. <http://yann.lecun.com/exdb/mnist/>

use super::{Array, Kind, Problem, count, gunzip, is_gzip, show};

/// The array of a file, also of one that gzip compressed.
pub fn read(bytes: &[u8]) -> Result<Array, Problem> {
    if !is_gzip(bytes) {
        return parse(bytes);
    }
    // The start tells how long the whole is.
    let start = gunzip(bytes, 4 + 4 * 255)?;
    let (_, header, size) = header(&start)?;
    parse(&gunzip(bytes, header.saturating_add(size))?)
}

fn parse(bytes: &[u8]) -> Result<Array, Problem> {
    let ((kind, shape), start, size) = header(bytes)?;
    let numbers = bytes.get(start..).unwrap_or(&[]);
    if numbers.len() != size {
        let found =
            if numbers.len() > size { "more follow".to_string() } else { format!("only {} are there", numbers.len()) };
        return Err(Problem::new(format!("announces {size} bytes of numbers of shape {}, but {found}", show(&shape)))
            .help("the file is cut off or damaged: fetch it again"));
    }
    Ok(Array { shape, numbers: kind.read(numbers, true)? })
}

type Header = ((Kind, Vec<usize>), usize, usize);

/// Kind and shape, where the numbers start, and how many bytes they take.
fn header(bytes: &[u8]) -> Result<Header, Problem> {
    let [0, 0, code, rank, rest @ ..] = bytes else {
        let found: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
        return Err(Problem::new(format!(
            "is no IDX file: it starts with the bytes {}, not with two zeros",
            found.join(" ")
        ))
        .help("IDX files are those of MNIST, such as train-images-idx3-ubyte.gz"));
    };
    let kind = match code {
        0x08 => Kind::Unsigned(1),
        0x09 => Kind::Signed(1),
        0x0b => Kind::Signed(2),
        0x0c => Kind::Signed(4),
        0x0d => Kind::Float(4),
        0x0e => Kind::Float(8),
        _ => return Err(Problem::new(format!("is no IDX file: there is no kind of numbers 0x{code:02x} (byte 2)"))),
    };
    let rank = usize::from(*rank);
    let shape: Vec<usize> =
        rest.chunks_exact(4).take(rank).map(|c| c.iter().fold(0, |n, b| n << 8 | usize::from(*b))).collect();
    if shape.len() < rank {
        return Err(Problem::new(format!("announces {rank} dims, but ends after {}", shape.len()))
            .help("the file is cut off or damaged: fetch it again"));
    }
    let size = count(&shape).and_then(|n| n.checked_mul(kind.size()));
    let size = size.ok_or_else(|| {
        Problem::new(format!("announces numbers of shape {}, more than any file holds", show(&shape)))
    })?;
    Ok(((kind, shape), 4 + 4 * rank, size))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::Numbers;
    use super::*;

    const FILE: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255];

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip() {
        let array = Array { shape: vec![2, 3], numbers: Numbers::Int(vec![1, 2, 3, 4, 5, 255]) };
        assert_eq!(read(FILE).unwrap(), array);
        assert_eq!(read(&zipped(FILE)).unwrap(), array);
        let floats = [&[0, 0, 0x0d, 1, 0, 0, 0, 1][..], &0.5f32.to_be_bytes()].concat();
        assert_eq!(read(&floats).unwrap(), Array { shape: vec![1], numbers: Numbers::F32(vec![0.5]) });
    }

    #[test]
    fn damage_is_told() {
        let said = |bytes: &[u8]| read(bytes).unwrap_err().what;
        assert!(said(b"\x89PNG").contains("89 50 4e 47"));
        assert!(said(b"").contains("is no IDX file"));
        assert!(said(&[0, 0, 7, 1]).contains("0x07"));
        assert!(said(&FILE[..10]).contains("announces 2 dims, but ends after 1"));
        assert!(said(&FILE[..16]).contains("announces 6 bytes of numbers of shape [2, 3], but only 4 are there"));
        assert!(said(&zipped(&FILE[..16])).contains("only 4"));
        assert!(said(&[FILE, &[0]].concat()).contains("more follow"));
        assert!(said(&zipped(FILE)[..20]).contains("damaged gzip"));
        let huge = [&[0, 0, 8, 255][..], &[255; 1020]].concat();
        assert!(said(&huge).contains("more than any file holds"));
        assert!(said(&[0, 0, 8, 1, 255, 255, 255, 255, 0]).contains("4294967295 bytes"));
    }
}
