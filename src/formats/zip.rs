//! ZIP archives, as far as NPZ files need them: entries that are stored or deflated, without ZIP64.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::Read;

use super::Problem;

const ENTRY: &[u8] = b"PK\x03\x04";
const LISTED: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of the fixed parts.
const END_SIZE: usize = 22;
const LISTED_SIZE: usize = 46;
const ENTRY_SIZE: usize = 30;

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    Some(bytes.get(at..at.checked_add(size)?)?.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}

/// Names and contents of the entries, in order.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let damaged = || Problem::new("is a damaged ZIP archive").help("fetch or make the file again");
    if !bytes.starts_with(b"PK") {
        return Err(
            Problem::new("is no NPZ file: it is no ZIP archive").help("NPZ files are those that numpy.savez writes")
        );
    }
    // A comment of at most 65535 bytes may follow the end record.
    let first = bytes.len().saturating_sub(END_SIZE + 0xffff);
    let end = (first..bytes.len().saturating_sub(END_SIZE - 1))
        .rev()
        .find(|at| bytes.get(*at..).is_some_and(|b| b.starts_with(END)));
    let end = end.ok_or_else(damaged)?;
    let count = number(bytes, end + 10, 2).ok_or_else(damaged)?;
    let mut at = number(bytes, end + 16, 4).ok_or_else(damaged)?;
    let mut out = vec![];
    for _ in 0..count {
        let (entry, next) = entry(bytes, at).ok_or_else(damaged)??;
        out.push(entry);
        at = next;
    }
    Ok(out)
}

type Entry = (String, Vec<u8>);

/// The entry listed at a place, and the place of the next; none where the archive is damaged.
fn entry(bytes: &[u8], at: usize) -> Option<Result<(Entry, usize), Problem>> {
    if !bytes.get(at..)?.starts_with(LISTED) {
        return None;
    }
    let field = |offset: usize, size: usize| number(bytes, at + offset, size);
    let (flags, method, crc) = (field(8, 2)?, field(10, 2)?, field(16, 4)?);
    let (packed, size, start) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
    let (name_size, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
    let name = String::from_utf8_lossy(bytes.get(at + LISTED_SIZE..at + LISTED_SIZE + name_size)?).into_owned();
    let next = at + LISTED_SIZE + name_size + extra + comment;
    let refused = |why: &str| Some(Err(Problem::new(format!("has an entry {name} that {why}"))));
    if flags & 1 != 0 {
        return refused("is encrypted");
    }
    if [packed, size, start].contains(&0xffff_ffff) {
        return refused("is 4 GiB or larger; save large arrays as NPY files of their own");
    }
    // The entry repeats its name before the content.
    if !bytes.get(start..)?.starts_with(ENTRY) {
        return None;
    }
    let skipped = number(bytes, start + 26, 2)? + number(bytes, start + 28, 2)?;
    let content = start + ENTRY_SIZE + skipped;
    let packed = bytes.get(content..content.checked_add(packed)?)?;
    let content = match method {
        0 => packed.to_vec(),
        8 => {
            let mut out = vec![];
            // What is longer than announced is damaged, however long it would get.
            flate2::read::DeflateDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut out).ok()?;
            out
        }
        _ => return refused(&format!("is compressed by method {method}, which is not known here")),
    };
    let mut sum = flate2::Crc::new();
    sum.update(&content);
    if content.len() != size || sum.sum() as usize != crc {
        return None;
    }
    Some(Ok(((name, content), next)))
}

/// An archive with these entries, not compressed; none where it would need ZIP64.
pub fn write(entries: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let (mut out, mut list) = (vec![], vec![]);
    for (name, content) in entries {
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let size = u32::try_from(content.len()).ok().filter(|n| *n < u32::MAX)?.to_le_bytes();
        let start = u32::try_from(out.len()).ok()?.to_le_bytes();
        let length = u16::try_from(name.len()).ok()?.to_le_bytes();
        // Version 2.0, names in UTF-8, stored, 1 January 1980.
        let shared =
            [&[20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0][..], &sum.sum().to_le_bytes(), &size, &size, &length, &[0, 0]]
                .concat();
        out.extend([ENTRY, &shared, name.as_bytes(), content].concat());
        list.extend([LISTED, &[20, 0], &shared, &[0; 10], &start, name.as_bytes()].concat());
    }
    let (start, size) = (u32::try_from(out.len()).ok()?, u32::try_from(list.len()).ok()?);
    let count = u16::try_from(entries.len()).ok()?.to_le_bytes();
    out.extend(list);
    out.extend([END, &[0; 4], &count, &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let entries = vec![("a.npy".to_string(), b"first".to_vec()), ("\u{e4}.npy".to_string(), vec![])];
        let bytes = write(&entries).unwrap();
        assert_eq!(read(&bytes).unwrap(), entries);
        assert_eq!(read(&write(&[]).unwrap()).unwrap(), []);
        // Every cut and every flipped byte of what counts is noticed or harmless, and never a panic.
        for i in 0..bytes.len() {
            assert!(read(&bytes[..i]).is_err(), "{i}");
            let mut other = bytes.clone();
            other[i] ^= 0xff;
            let _ = read(&other);
        }
        let mut other = bytes.clone();
        other[ENTRY_SIZE + 5] ^= 1;
        assert!(read(&other).unwrap_err().what.contains("damaged"), "the checksum is checked");
    }
}
