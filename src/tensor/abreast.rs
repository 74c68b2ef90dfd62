//! Short rows that are taken side by side: turned, so that what is done along a row is done for many of them at once, by whole vectors.

use std::ops::Range;

use super::simd::turn::{GROUP, turn};

/// Rows up to this long are taken side by side.
pub const SHORT: usize = 256;
/// So few rows are not worth turning.
const FEW: usize = 8;
/// Elements that stand side by side, about.
pub const BLOCK: usize = 2048;
/// The most rows that do.
const MOST: usize = 512;
/// So many rows at a time, if there are.
pub const WHOLE: usize = super::simd::softmax::BLOCK;

/// True for rows that [`abreast`] is for.
pub fn is_abreast(rows: usize, n: usize) -> bool {
    rows >= FEW && n <= SHORT
}

/// Turns rows of `n`, as many at a time as stay in the first cache, and calls `f` with the range of rows, with how many columns there
/// are (at least as many as rows), and with the turned elements.
pub fn abreast<T: Copy + Default, const N: usize>(
    x: [&[T]; N],
    n: usize,
    mut f: impl FnMut(Range<usize>, usize, &[Vec<T>; N]),
) {
    let count = x.first().map_or(0, |x| x.len() / n.max(1));
    let most = (BLOCK / n.max(1) / WHOLE * WHOLE).clamp(WHOLE, MOST);
    let mut turned: [Vec<T>; N] = std::array::from_fn(|_| vec![]);
    for start in (0..count).step_by(most) {
        let rows = start..(start + most).min(count);
        // Loops over whole blocks have no rests.
        let side = rows.len().next_multiple_of(if rows.len() > WHOLE / 2 { WHOLE } else { GROUP });
        for (x, turned) in x.iter().zip(&mut turned) {
            turned.resize(n * side, T::default());
            turn(items(x, n, rows.clone()), n, side, turned);
        }
        f(rows, side, &turned);
    }
}

/// Some rows of `n`.
pub fn items<T>(x: &[T], n: usize, rows: Range<usize>) -> &[T] {
    x.get(rows.start * n..rows.end * n).unwrap_or(&[])
}
