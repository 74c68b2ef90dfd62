//! Sorting along an axis: positions, sorted elements, the first few, the different ones. Stable, NaN last.
//!
//! Elements become unsigned keys of the same order. Where the keys of a row span less than 32 bits (floats of 32 bits always, ints
//! mostly), key and position are one number, and long rows are sorted by their digits.

use crate::each_dtype;
use crate::map_dtype;
use crate::tensor::along::with_dim;
use crate::tensor::create::{Element, array};
use crate::tensor::reduce::{rows, unrows};
use crate::tensor::{Arr, Tensor, flat};

/// Rows at least so long are sorted by digits.
const BY_DIGITS: usize = 512;

/// A type whose order is that of unsigned keys.
trait SortKey: Element {
    /// Keys ascend with the numbers, or descend with them; equal numbers have equal keys, NaN has the largest.
    fn key(self, descending: bool) -> u64;
}

impl SortKey for bool {
    #[inline(always)]
    fn key(self, descending: bool) -> u64 {
        u64::from(self != descending)
    }
}

impl SortKey for i64 {
    #[inline(always)]
    fn key(self, descending: bool) -> u64 {
        let key = (self as u64) ^ (1 << 63);
        if descending { !key } else { key }
    }
}

macro_rules! float_key {
    ($float:ty, $bits:ty) => {
        impl SortKey for $float {
            #[inline(always)]
            fn key(self, descending: bool) -> u64 {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                if self.is_nan() {
                    return u64::from(<$bits>::MAX);
                }
                // Adding zero makes -0.0 the 0.0 that it equals.
                let bits = (self + 0.0).to_bits();
                let key = if bits & SIGN == 0 { bits | SIGN } else { !bits };
                u64::from(if descending { !key } else { key })
            }
        }
    };
}
float_key!(f32, u32);
float_key!(f64, u64);

/// Sorts one row after the other.
#[derive(Default)]
struct Sorter {
    /// Keys less the smallest one, and below them the positions.
    packed: Vec<u64>,
    spare: Vec<u64>,
    wide: Vec<(u64, usize)>,
}

impl Sorter {
    /// Appends the positions of the `most` first elements of a row in order.
    fn order<T: SortKey>(&mut self, row: &[T], descending: bool, most: usize, out: &mut Vec<usize>) {
        let keys = row.iter().map(|x| x.key(descending));
        let (low, high) = keys.clone().fold((u64::MAX, 0), |(low, high), key| (low.min(key), high.max(key)));
        let span = high.saturating_sub(low);
        if u32::try_from(span).is_err() || u32::try_from(row.len()).is_err() {
            // The position breaks ties, so this is stable.
            self.wide.clear();
            self.wide.extend(keys.zip(0..));
            first(&mut self.wide, most).sort_unstable();
            out.extend(self.wide.iter().take(most).map(|&(_, i)| i));
            return;
        }
        self.packed.clear();
        self.packed.extend(keys.zip(0u64..).map(|(key, i)| (key - low) << 32 | i));
        if most == row.len() && most >= BY_DIGITS {
            by_digits(&mut self.packed, &mut self.spare, 64 - span.leading_zeros());
        } else {
            first(&mut self.packed, most).sort_unstable();
        }
        out.extend(self.packed.iter().take(most).map(|&x| (x & u64::from(u32::MAX)) as usize));
    }
}

/// The `most` smallest items, moved to the front.
fn first<T: Ord>(items: &mut [T], most: usize) -> &mut [T] {
    if most == 0 || most >= items.len() {
        return items;
    }
    items.select_nth_unstable(most - 1);
    items.get_mut(..most).unwrap_or_default()
}

/// Sorts by the bits from 32 up to 32 + `bits`, eight at a time from the lowest on; what is equal in them stays in its order.
fn by_digits(items: &mut Vec<u64>, spare: &mut Vec<u64>, bits: u32) {
    spare.clear();
    spare.resize(items.len(), 0);
    for shift in (32..32 + bits).step_by(8) {
        let digit = |x: u64| (x >> shift) as usize & 255;
        let mut counts = [0usize; 256];
        items.iter().for_each(|&x| counts[digit(x)] += 1);
        if counts.contains(&items.len()) {
            continue;
        }
        let mut next = 0;
        for count in &mut counts {
            (*count, next) = (next, next + *count);
        }
        for &x in items.iter() {
            let place = &mut counts[digit(x)];
            if let Some(to) = spare.get_mut(*place) {
                *to = x;
            }
            *place += 1;
        }
        std::mem::swap(items, spare);
    }
}

fn argsort_arr<T: SortKey>(a: &Arr<T>, axis: usize, descending: bool, most: usize) -> Vec<i64> {
    let data = flat(a);
    let (lines, n) = rows(&data, a.shape(), &[axis]);
    let (mut out, mut order, mut sorter) = (Vec::with_capacity(lines.len()), vec![], Sorter::default());
    for row in lines.chunks(n.max(1)) {
        order.clear();
        sorter.order(row, descending, most, &mut order);
        out.extend(order.iter().map(|&i| i as i64));
    }
    unrows(out, &with_dim(a.shape(), axis, most), &[axis])
}

/// The positions along `axis` that sort it.
pub fn argsort(t: &Tensor, axis: usize, descending: bool) -> Tensor {
    let n = t.shape().get(axis).copied().unwrap_or(0);
    Tensor::from_vec(t.shape(), each_dtype!(t, a => argsort_arr(a, axis, descending, n)))
}

/// The positions of the `k` largest elements along `axis`, largest first; `k` is not above its length.
pub fn top(t: &Tensor, axis: usize, k: usize) -> Tensor {
    Tensor::from_vec(&with_dim(t.shape(), axis, k), each_dtype!(t, a => argsort_arr(a, axis, true, k)))
}

fn sort_arr<T: SortKey>(a: &Arr<T>, axis: usize, descending: bool) -> Arr<T> {
    let data = flat(a);
    let (lines, n) = rows(&data, a.shape(), &[axis]);
    let mut out: Vec<T> = Vec::with_capacity(lines.len());
    let (mut order, mut sorter) = (vec![], Sorter::default());
    for row in lines.chunks(n.max(1)) {
        order.clear();
        sorter.order(row, descending, n, &mut order);
        out.extend(order.iter().filter_map(|&i| row.get(i)));
    }
    array(a.shape(), unrows(out, a.shape(), &[axis]))
}

/// Sorted along `axis`.
pub fn sort(t: &Tensor, axis: usize, descending: bool) -> Tensor {
    map_dtype!(t, a => sort_arr(a, axis, descending))
}

fn unique_arr<T: SortKey>(a: &Arr<T>) -> Arr<T> {
    let data = flat(a);
    let mut order = vec![];
    Sorter::default().order(&data, false, data.len(), &mut order);
    let mut out: Vec<T> = order.iter().filter_map(|&i| data.get(i).copied()).collect();
    out.dedup_by_key(|x| x.key(false));
    array(&[out.len()], out)
}

/// The different elements, sorted; all NaN count as one.
pub fn unique(t: &Tensor) -> Tensor {
    map_dtype!(t, a => unique_arr(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], data: &[i64]) -> Tensor {
        Tensor::from_vec(shape, data.to_vec())
    }

    fn order(data: &[f64], descending: bool) -> Vec<f64> {
        argsort(&Tensor::from_vec(&[data.len()], data.to_vec()), 0, descending).iter_f64().collect()
    }

    #[test]
    fn sorting_is_stable_with_nan_last() {
        assert_eq!(order(&[2.0, 1.0, 2.0, -1.0], false), [3.0, 1.0, 0.0, 2.0]);
        assert_eq!(order(&[2.0, 1.0, 2.0, -1.0], true), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(order(&[f64::NAN, 1.0, f64::INFINITY], false), [1.0, 2.0, 0.0]);
        assert_eq!(order(&[f64::NAN, 1.0, f64::NEG_INFINITY], true), [1.0, 2.0, 0.0]);
        assert_eq!(order(&[0.0, -0.0], false), [0.0, 1.0]);
        assert_eq!(order(&[-0.0, 0.0], true), [0.0, 1.0]);
    }

    #[test]
    fn sorts_along_each_axis() {
        let x = ints(&[2, 3], &[3, 1, 2, 0, 5, i64::MIN]);
        assert!(sort(&x, 1, false).same(&ints(&[2, 3], &[1, 2, 3, i64::MIN, 0, 5])));
        assert!(sort(&x, 0, true).same(&ints(&[2, 3], &[3, 5, 2, 0, 1, i64::MIN])));
        assert!(sort(&ints(&[0, 2], &[]), 0, false).same(&ints(&[0, 2], &[])));
    }

    #[test]
    fn different_elements() {
        let x = Tensor::from_vec(&[2, 3], vec![2.0f32, f32::NAN, 1.0, 2.0, f32::NAN, -0.0]);
        let y: Vec<f64> = unique(&x).iter_f64().collect();
        assert_eq!(y[..3], [0.0, 1.0, 2.0]);
        assert!(y.len() == 4 && y[3].is_nan());
    }

    /// What a stable sort of pairs gives.
    fn check<T: SortKey>(row: &[T]) {
        for descending in [false, true] {
            let mut want: Vec<usize> = (0..row.len()).collect();
            want.sort_by_key(|&i| row[i].key(descending));
            for most in [0, 1, 5, row.len() / 2, row.len()] {
                let most = most.min(row.len());
                let mut got = vec![];
                Sorter::default().order(row, descending, most, &mut got);
                assert_eq!(got, want[..most]);
            }
        }
    }

    #[test]
    fn rows_of_all_kinds() {
        for n in [0, 1, 2, 100, 511, 512, 513, 3000] {
            let mixed = |i: usize| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as i64;
            check(&(0..n).map(|i| mixed(i) % 7).collect::<Vec<_>>());
            check(&(0..n).map(|i| (mixed(i) % 1000) as f32 / 8.0 - 60.0).collect::<Vec<_>>());
            check(&(0..n).map(|i| if i % 50 == 3 { f32::NAN } else { -(i as f32) }).collect::<Vec<_>>());
            check(&(0..n).map(|i| mixed(i).wrapping_mul(mixed(i + 1))).collect::<Vec<_>>());
            check(&(0..n).map(|i| mixed(i) as f64 / 3.0 - 1e12).collect::<Vec<_>>());
            check(&(0..n).map(|i| mixed(i) % 2 == 0).collect::<Vec<_>>());
        }
        check(&[i64::MIN, i64::MAX, 0]);
    }
}
