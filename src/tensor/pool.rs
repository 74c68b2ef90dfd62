//! Pooling: the largest element of each window and its place, and the mean of each window and its transpose.
//!
//! In: row-major planes `[planes, h, w]` and how windows slide over them; the caller has checked that every window meets the
//! input. Out: a new row-major buffer `[planes, oh, ow]`, or for the transposes `[planes, h, w]`.

use super::window::{Reach, Slide, along, back};

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

    /// Calls `f` with each row of windows and each row of the input that it meets, and how columns are reached; places in
    /// row-major order for each window.
    fn each_row(&self, mut f: impl FnMut(usize, usize, &Reach)) {
        let rows = self.rows.reaches(self.rows.places());
        let columns = self.columns.reaches(self.columns.places());
        for by_row in &rows {
            for (i, row) in by_row.outputs.clone().enumerate() {
                for by_column in &columns {
                    f(row, by_row.start + i * self.rows.stride, by_column);
                }
            }
        }
    }
}

fn row<T>(data: &[T], i: usize, len: usize) -> &[T] {
    data.get(i * len..(i + 1) * len).unwrap_or(&[])
}

fn row_mut<T>(data: &mut [T], i: usize, len: usize) -> &mut [T] {
    data.get_mut(i * len..(i + 1) * len).unwrap_or_default()
}

/// Where the largest element of each window is, as its number within the plane: the first of equals, the first NaN if there
/// is one.
pub fn largest<T: Copy + PartialOrd>(g: &Planes, x: &[T]) -> Vec<i64> {
    let mut out = vec![0; g.count * g.output()];
    let (width, count) = (g.columns.len, g.columns.count);
    let Some(&any) = x.first() else { return out };
    if out.is_empty() {
        return out;
    }
    let mut best: Vec<(T, i64)> = vec![(any, -1); g.output()];
    let mut visits = vec![];
    g.each_row(|row, from, reach| visits.push((row, from, reach.clone())));
    for (x, out) in x.chunks_exact(g.input()).zip(out.chunks_exact_mut(g.output())) {
        best.iter_mut().for_each(|b| b.1 = -1);
        for (out_row, from, reach) in &visits {
            let mut at = (from * width + reach.start) as i64;
            along(row_mut(&mut best, *out_row, count), row(x, *from, width), reach, g.columns.stride, |best, &x| {
                // NaN compares with nothing, itself included.
                let wins =
                    best.1 < 0 || x > best.0 || (x.partial_cmp(&x).is_none() && best.0.partial_cmp(&best.0).is_some());
                *best = if wins { (x, at) } else { *best };
                at = at.wrapping_add(g.columns.stride as i64);
            });
        }
        out.iter_mut().zip(&best).for_each(|(out, best)| *out = best.1);
    }
    out
}

/// The elements at these places of their planes; what is out of range is left at the default.
pub fn pick<T: Copy + Default>(x: &[T], places: &[i64], plane: usize, windows: usize) -> Vec<T> {
    let mut out = vec![T::default(); places.len()];
    if plane == 0 || windows == 0 {
        return out;
    }
    for ((x, places), out) in x.chunks_exact(plane).zip(places.chunks_exact(windows)).zip(out.chunks_exact_mut(windows))
    {
        for (out, &place) in out.iter_mut().zip(places) {
            if let Some(x) = usize::try_from(place).ok().and_then(|place| x.get(place)) {
                *out = *x;
            }
        }
    }
    out
}

/// The transpose of [`pick`]: elements added at their places of planes of zeros.
pub fn put<T: Copy + Default + std::ops::AddAssign>(y: &[T], places: &[i64], plane: usize, windows: usize) -> Vec<T> {
    let planes = y.len().checked_div(windows).unwrap_or(0);
    let mut out = vec![T::default(); planes * plane];
    if plane == 0 || windows == 0 {
        return out;
    }
    for ((y, places), out) in y.chunks_exact(windows).zip(places.chunks_exact(windows)).zip(out.chunks_exact_mut(plane))
    {
        for (&y, &place) in y.iter().zip(places) {
            if let Some(out) = usize::try_from(place).ok().and_then(|place| out.get_mut(place)) {
                *out += y;
            }
        }
    }
    out
}

/// What [`means`] adds up and divides by.
pub trait Mean: Copy + Default + std::ops::AddAssign + std::ops::Div<Output = Self> {}
impl Mean for f32 {}
impl Mean for f64 {}

/// Sum of each window (margins count as 0), over `size`.
pub fn means<T: Mean>(g: &Planes, x: &[T], size: T) -> Vec<T> {
    let mut out = vec![T::default(); g.count * g.output()];
    if out.is_empty() || g.input() == 0 {
        return out;
    }
    let (width, count) = (g.columns.len, g.columns.count);
    let mut visits = vec![];
    g.each_row(|row, from, reach| visits.push((row, from, reach.clone())));
    for (x, out) in x.chunks_exact(g.input()).zip(out.chunks_exact_mut(g.output())) {
        for (out_row, from, reach) in &visits {
            along(row_mut(out, *out_row, count), row(x, *from, width), reach, g.columns.stride, |out, &x| *out += x);
        }
    }
    out.iter_mut().for_each(|out| *out = *out / size);
    out
}

/// The transpose of [`means`].
pub fn means_bar<T: Mean>(g: &Planes, y: &[T], size: T) -> Vec<T> {
    let mut out = vec![T::default(); g.count * g.input()];
    if out.is_empty() || g.output() == 0 {
        return out;
    }
    let (width, count) = (g.columns.len, g.columns.count);
    let mut visits = vec![];
    g.each_row(|row, to, reach| visits.push((row, to, reach.clone())));
    for (y, out) in y.chunks_exact(g.output()).zip(out.chunks_exact_mut(g.input())) {
        for (y_row, to, reach) in &visits {
            back(row(y, *y_row, count), row_mut(out, *to, width), reach, g.columns.stride, |&y, out| *out += y / size);
        }
    }
    out
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
        for (len, size, stride, padding) in
            [(4, 2, 2, 0), (5, 2, 1, 1), (5, 3, 2, 1), (7, 3, 4, 0), (3, 3, 1, 1), (1, 1, 1, 0), (6, 4, 3, 2)]
        {
            for count in [0, 1, 3] {
                let g = planes(count, len, size, stride, padding);
                let x: Vec<f64> = (0..count * len * len).map(|i| ((i * 7919) % 11) as f64 - 5.0).collect();
                let all = windows(&g, &x);
                let first = |w: &Vec<(usize, f64)>| w.iter().fold(w[0], |a, &b| if b.1 > a.1 { b } else { a }).0 as i64;
                let places = largest(&g, &x);
                assert_eq!(places, all.iter().map(first).collect::<Vec<_>>());
                let picked = pick(&x, &places, g.input(), g.output());
                let tops: Vec<f64> = all.iter().map(|w| w.iter().fold(f64::NEG_INFINITY, |a, b| a.max(b.1))).collect();
                assert_eq!(picked, tops);
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
        assert_eq!(largest(&g, &[1.0, f64::NAN, 3.0, f64::NAN]), [1]);
        assert_eq!(largest(&g, &[f64::NEG_INFINITY; 4]), [0]);
        assert_eq!(largest(&g, &[i64::MIN; 4]), [0]);
    }
}
