//! Pooling: the largest element of each window and its place, and the mean of each window and its transpose.
//!
//! In: row-major planes `[planes, h, w]` and how windows slide over them; the caller has checked that every window meets the
//! input. Out: a new row-major buffer `[planes, oh, ow]`, or for the transposes `[planes, h, w]`.

use super::out::defaults;
use super::simd::windows::{
    Comparable, add_every, keep_largest, keep_places, largest_of_pairs, places_of_pairs, spread_to_pairs,
};
use super::threads;
use super::window::{Reach, Slide, back};
use crate::ops::real::Real;

/// Rows and columns of windows.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    pub count: usize,
    pub rows: Slide,
    pub columns: Slide,
}

impl Planes {
    fn input(&self) -> usize {
        self.rows.len.saturating_mul(self.columns.len)
    }

    fn output(&self) -> usize {
        self.rows.count.saturating_mul(self.columns.count)
    }

    /// True for windows of 2 by 2 side by side, none of which reaches into a margin.
    fn are_pairs(&self) -> bool {
        let pairs = |s: &Slide| s.size == 2 && s.stride == 2 && s.padding == 0;
        pairs(&self.rows) && pairs(&self.columns)
    }

    /// Number within the plane of the first element of the window at this row and column that is inside the input.
    fn first(&self, row: usize, column: usize) -> usize {
        let start = |s: &Slide, o: usize| (o * s.stride).saturating_sub(s.padding);
        start(&self.rows, row) * self.columns.len + start(&self.columns, column)
    }

    /// For each window the number within the plane of its first element.
    fn firsts(&self) -> Vec<i64> {
        let places = (0..self.rows.count).flat_map(|y| (0..self.columns.count).map(move |x| self.first(y, x) as i64));
        places.collect()
    }

    /// Each row of windows and each row of the input that it meets, and how columns are reached; places in row-major order for
    /// each window.
    fn visits(&self) -> Vec<(usize, usize, Reach)> {
        let mut visits = vec![];
        let rows = self.rows.reaches(self.rows.places());
        let columns = self.columns.reaches(self.columns.places());
        for by_row in &rows {
            for (i, row) in by_row.outputs.clone().enumerate() {
                for by_column in &columns {
                    visits.push((row, by_row.start + i * self.rows.stride, by_column.clone()));
                }
            }
        }
        visits
    }
}

/// An element of planes.
pub trait Pooled: Comparable + Send + Sync {}
impl<T: Comparable + Send + Sync> Pooled for T {}

fn row<T>(data: &[T], i: usize, len: usize) -> &[T] {
    data.get(i * len..(i + 1) * len).unwrap_or(&[])
}

fn row_mut<T>(data: &mut [T], i: usize, len: usize) -> &mut [T] {
    data.get_mut(i * len..(i + 1) * len).unwrap_or_default()
}

/// Planes of `made` elements for planes of which `read` are read: zeros that `f` gets with the number of each.
fn planes<T: Copy + Default + Send>(
    count: usize,
    (read, made): (usize, usize),
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = vec![];
    if made > 0 {
        threads::fill(count, read, made, &mut out, |planes, out| {
            for plane in planes {
                // Made just before they are written over: then they are in the cache.
                f(plane, defaults(out, made));
            }
        });
    }
    out
}

/// The largest element of each window; NaN if there is one.
pub fn largest<T: Pooled>(g: &Planes, x: &[T]) -> Vec<T> {
    let Some(&any) = x.first() else { return vec![] };
    let (width, count, sizes) = (g.columns.len, g.columns.count, (g.input(), g.output()));
    if g.are_pairs() {
        return planes(g.count, sizes, |plane, out| {
            let x = row(x, plane, g.input());
            for (pair, out) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(count)) {
                let (top, bottom) = pair.split_at(width);
                largest_of_pairs(top, bottom, out);
            }
        });
    }
    let firsts = g.firsts();
    let visits = g.visits();
    planes(g.count, sizes, |plane, out| {
        let x = row(x, plane, g.input());
        out.iter_mut().zip(&firsts).for_each(|(out, &first)| *out = x.get(first as usize).copied().unwrap_or(any));
        for (out_row, from, reach) in &visits {
            let out = row_mut(out, *out_row, count).get_mut(reach.outputs.clone()).unwrap_or_default();
            keep_largest(row(x, *from, width).get(reach.start..).unwrap_or(&[]), g.columns.stride, out);
        }
    })
}

/// Where the largest element of each window is, as its number within the plane: the first of equals, the first NaN if there
/// is one.
pub fn places<T: Pooled>(g: &Planes, x: &[T]) -> Vec<i64> {
    let (width, count, sizes) = (g.columns.len, g.columns.count, (g.input(), g.output()));
    let Some(&any) = x.first() else { return vec![0; g.count * g.output()] };
    if g.are_pairs() {
        return planes(g.count, sizes, |plane, out: &mut [i64]| {
            let x = row(x, plane, g.input());
            for (i, (pair, out)) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(count)).enumerate() {
                let (top, bottom) = pair.split_at(width);
                places_of_pairs(top, bottom, (2 * i * width) as i64, width as i64, out);
            }
        });
    }
    let firsts = g.firsts();
    let visits = g.visits();
    planes(g.count, sizes, |plane, out: &mut [i64]| {
        let x = row(x, plane, g.input());
        let mut best: Vec<T> = vec![any; g.output()];
        best.iter_mut().zip(&firsts).for_each(|(best, &first)| *best = x.get(first as usize).copied().unwrap_or(any));
        out.copy_from_slice(&firsts);
        for (out_row, from, reach) in &visits {
            let part = |i: usize| (i * count + reach.outputs.start)..(i * count + reach.outputs.end);
            let (Some(best), Some(out)) = (best.get_mut(part(*out_row)), out.get_mut(part(*out_row))) else { continue };
            let at = (from * width + reach.start) as i64;
            keep_places(row(x, *from, width).get(reach.start..).unwrap_or(&[]), g.columns.stride, at, best, out);
        }
    })
}

/// The transpose of [`largest`] where it is linear: elements of `y` added at the [`places`] of the largest ones.
pub fn largest_bar<T: Pooled + Mean>(g: &Planes, x: &[T], y: &[T]) -> Vec<T> {
    if !g.are_pairs() || x.is_empty() || y.is_empty() {
        return put(y, &places(g, x), g.input(), g.output());
    }
    let (width, count) = (g.columns.len, g.columns.count);
    planes(g.count, (g.input(), g.input()), |plane, out| {
        let (x, y) = (row(x, plane, g.input()), row(y, plane, g.output()));
        let pairs = x.chunks_exact(2 * width).zip(y.chunks_exact(count));
        for ((pair, y), out) in pairs.zip(out.chunks_exact_mut(2 * width)) {
            let ((top, bottom), (top_bar, bottom_bar)) = (pair.split_at(width), out.split_at_mut(width));
            spread_to_pairs(top, bottom, y, top_bar, bottom_bar);
        }
    })
}

/// The elements at these places of their planes; what is out of range is left at the default.
pub fn pick<T: Pooled>(x: &[T], at: &[i64], plane: usize, windows: usize) -> Vec<T> {
    planes(at.len().checked_div(windows).unwrap_or(0), (windows, windows), |i, out: &mut [T]| {
        let (x, at) = (row(x, i, plane), row(at, i, windows));
        for (out, &place) in out.iter_mut().zip(at) {
            if let Some(x) = usize::try_from(place).ok().and_then(|place| x.get(place)) {
                *out = *x;
            }
        }
    })
}

/// The transpose of [`pick`]: elements added at their places of planes of zeros.
pub fn put<T: Pooled + std::ops::AddAssign>(y: &[T], at: &[i64], plane: usize, windows: usize) -> Vec<T> {
    planes(y.len().checked_div(windows).unwrap_or(0), (windows, plane), |i, out: &mut [T]| {
        for (&y, &place) in row(y, i, windows).iter().zip(row(at, i, windows)) {
            if let Some(out) = usize::try_from(place).ok().and_then(|place| out.get_mut(place)) {
                *out += y;
            }
        }
    })
}

/// What [`means`] adds up and divides by.
pub trait Mean: Real + std::ops::AddAssign + Send + Sync {}
impl Mean for f32 {}
impl Mean for f64 {}

/// Sum of each window (margins count as 0), over `size`.
pub fn means<T: Mean>(g: &Planes, x: &[T], size: T) -> Vec<T> {
    let (width, count) = (g.columns.len, g.columns.count);
    let visits = g.visits();
    planes(g.count, (g.input(), g.output()), |plane, out: &mut [T]| {
        let x = row(x, plane, g.input());
        for (out_row, from, reach) in &visits {
            let out = row_mut(out, *out_row, count).get_mut(reach.outputs.clone()).unwrap_or_default();
            add_every(row(x, *from, width).get(reach.start..).unwrap_or(&[]), g.columns.stride, out);
        }
        out.iter_mut().for_each(|out| *out = *out / size);
    })
}

/// The transpose of [`means`].
pub fn means_bar<T: Mean>(g: &Planes, y: &[T], size: T) -> Vec<T> {
    let (width, count) = (g.columns.len, g.columns.count);
    let visits = g.visits();
    planes(g.count, (g.output(), g.input()), |plane, out: &mut [T]| {
        let y = row(y, plane, g.output());
        for (y_row, to, reach) in &visits {
            back(row(y, *y_row, count), row_mut(out, *to, width), reach, g.columns.stride, |&y, out| *out += y / size);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(count: usize, len: usize, size: usize, stride: usize, padding: usize) -> Planes {
        let windows = Slide::windows(len, size, stride, padding, 1).unwrap();
        let slide = Slide { len, count: windows, size, stride, padding, dilation: 1 };
        Planes { count, rows: slide, columns: slide }
    }

    /// Elements of each window by the definition, with their places.
    fn windows(g: &Planes, x: &[f64]) -> Vec<Vec<(usize, f64)>> {
        let inside = |s: &Slide, o: usize| {
            (0..s.size)
                .filter_map(|k| (o * s.stride + k).checked_sub(s.padding))
                .filter(|&i| i < s.len)
                .collect::<Vec<_>>()
        };
        let mut out = vec![];
        for p in 0..g.count {
            for (oy, ox) in (0..g.rows.count).flat_map(|y| (0..g.columns.count).map(move |x| (y, x))) {
                let mut window = vec![];
                for y in inside(&g.rows, oy) {
                    window.extend(
                        inside(&g.columns, ox)
                            .into_iter()
                            .map(|c| (y * g.columns.len + c, x[p * g.input() + y * g.columns.len + c])),
                    );
                }
                out.push(window);
            }
        }
        out
    }

    #[test]
    fn pools_are_those_of_the_definition() {
        for (len, size, stride, padding) in [
            (4, 2, 2, 0),
            (9, 2, 2, 0),
            (10, 2, 2, 0),
            (19, 2, 2, 0),
            (42, 2, 2, 0),
            (5, 2, 1, 1),
            (5, 3, 2, 1),
            (7, 3, 4, 0),
            (3, 3, 1, 1),
            (1, 1, 1, 0),
            (6, 4, 3, 2),
        ] {
            for count in [0, 1, 3] {
                let g = planes(count, len, size, stride, padding);
                let x: Vec<f64> = (0..count * len * len).map(|i| ((i * 7919) % 11) as f64 - 5.0).collect();
                let all = windows(&g, &x);
                let first = |w: &Vec<(usize, f64)>| w.iter().fold(w[0], |a, &b| if b.1 > a.1 { b } else { a }).0 as i64;
                let places = places(&g, &x);
                assert_eq!(places, all.iter().map(first).collect::<Vec<_>>());
                let picked = pick(&x, &places, g.input(), g.output());
                let tops: Vec<f64> = all.iter().map(|w| w.iter().fold(f64::NEG_INFINITY, |a, b| a.max(b.1))).collect();
                assert_eq!(picked, tops);
                assert_eq!(largest(&g, &x), tops);
                let y: Vec<f64> = (0..tops.len()).map(|i| i as f64 - 2.0).collect();
                assert_eq!(largest_bar(&g, &x, &y), put(&y, &places, g.input(), g.output()));
                let area = (size * size) as f64;
                let mean = means(&g, &x, area);
                for (m, w) in mean.iter().zip(&all) {
                    assert!((m - w.iter().map(|e| e.1).sum::<f64>() / area).abs() < 1e-12);
                }
                // Transposes: <y, f(x)> = <f'(y), x>
                let y: Vec<f64> = (0..mean.len()).map(|i| ((i * 31) % 7) as f64 - 2.0).collect();
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                assert!((dot(&y, &mean) - dot(&means_bar(&g, &y, area), &x)).abs() < 1e-9);
                assert!((dot(&y, &picked) - dot(&put(&y, &places, g.input(), g.output()), &x)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn nan_is_the_largest() {
        let g = planes(1, 2, 2, 2, 0);
        assert_eq!(places(&g, &[1.0, f64::NAN, 3.0, f64::NAN]), [1]);
        assert_eq!(places(&g, &[f64::NEG_INFINITY; 4]), [0]);
        assert_eq!(places(&g, &[i64::MIN; 4]), [0]);
        let wide = planes(1, 3, 3, 1, 1);
        let x = [1.0, 2.0, f64::NAN, 3.0, f64::NAN, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(places(&wide, &x), [4, 2, 2, 4, 2, 2, 4, 4, 4]);
        for g in [g, wide] {
            let top = largest(&g, &x[..g.input()]);
            assert!(top.iter().all(|x| x.is_nan()) && top.len() == g.output());
        }
    }
}
