//! Layer normalization with scale and shift, and its three cotangents from one pass over the rows.
//!
//! In: row-major rows of as many numbers as scale and shift have. The sums over rows, which are the cotangents of scale and shift, are
//! made part by part, and the parts depend on the number of rows alone: so results do not depend on the number of threads.

use std::mem::MaybeUninit;

use super::cast::Float;
use super::out::{Written, place};
use super::simd::layer_norm::{Bars, ROWS, Values};
use super::threads;

pub use super::simd::layer_norm::Normed;

/// Numbers of a part, about.
const PART: usize = 1 << 16;

/// The rows of `x` less their mean and over the root of their variance and `epsilon`, times `scale`, plus `shift`.
pub fn values<T: Float + Normed>(x: &[T], scale: &[T], shift: &[T], epsilon: f64) -> Vec<T> {
    let (n, mut out) = (scale.len().max(1), Vec::with_capacity(x.len()));
    threads::fill(x.len() / n, n, n, &mut out, |rows, out| {
        let x = x.get(rows.start * n..rows.end * n).unwrap_or(&[]);
        place(out, x.len(), |room| {
            T::values(Values { x, scale, shift, epsilon, out: room });
            // SAFETY: all of it has been written.
            Some(unsafe { Written::all() })
        });
    });
    out
}

/// Rows and their cotangents, in `groups` of as many rows each.
#[derive(Clone, Copy)]
pub struct Pulled<'a, T> {
    pub x: &'a [T],
    pub g: &'a [T],
    pub scale: &'a [T],
    pub epsilon: f64,
    pub groups: usize,
}

/// Some rows of a group, room for their cotangents, and the sums of those of scale and of shift.
struct Part<'a, T> {
    x: &'a [T],
    g: &'a [T],
    x_bar: Option<&'a mut [MaybeUninit<T>]>,
    sums: [Vec<f64>; 2],
}

/// The cotangents of rows, scale and shift that are wanted; the latter two for each group.
pub fn bars<T: Float + Normed>(of: &Pulled<'_, T>, wants: [bool; 3]) -> [Option<Vec<T>>; 3] {
    let &Pulled { x, g, scale, epsilon, groups } = of;
    let [wants_x, wants_scale, wants_shift] = wants;
    let (n, columns) = (scale.len().max(1), wants_scale || wants_shift);
    let size = x.len() / groups.max(1);
    let step = (PART / n).next_multiple_of(ROWS) * n;
    let mut x_bar = wants_x.then(|| Vec::with_capacity(x.len()));
    let mut room = x_bar.as_mut().and_then(|bar: &mut Vec<T>| bar.spare_capacity_mut().get_mut(..x.len()));
    let mut parts = vec![];
    for (x, g) in x.chunks(size.max(1)).zip(g.chunks(size.max(1))) {
        for (x, g) in x.chunks(step).zip(g.chunks(step)) {
            let part = room.take().and_then(|all| all.split_at_mut_checked(x.len()));
            let (x_bar, behind) = part.unzip();
            room = behind;
            parts.push(Part { x, g, x_bar, sums: [vec![], vec![]] });
        }
    }
    let together = if x.len() < threads::MANY { parts.len() } else { PART / step.min(size).max(1) };
    threads::each_chunk(&mut parts, together, |_, parts| {
        for Part { x, g, x_bar, sums } in parts {
            let x_bar = x_bar.take();
            let columns = columns.then(|| {
                sums.each_mut().map(|sums| {
                    sums.resize(n, 0.0);
                    &mut sums[..]
                })
            });
            T::bars(Bars { x, g, scale, epsilon, x_bar, columns });
        }
    });
    let count = size.div_ceil(step);
    let sums = |i: usize| -> Vec<T> {
        let mut out = Vec::with_capacity(groups * n);
        for group in 0..groups {
            let mut total = vec![0.0; n];
            for part in parts.iter().skip(group * count).take(count) {
                part.sums[i].iter().zip(&mut total).for_each(|(sum, total)| *total += sum);
            }
            out.extend(total.into_iter().map(T::c));
        }
        out
    };
    let [scale_bar, shift_bar] = [wants_scale.then(|| sums(0)), wants_shift.then(|| sums(1))];
    drop(parts);
    if let Some(bar) = &mut x_bar {
        // SAFETY: all of it has been filled, each part by the kernel that had it.
        unsafe { bar.set_len(x.len()) }
    }
    [x_bar, scale_bar, shift_bar]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formulas in `f64`: the value, and the cotangents of x, scale and shift.
    fn wanted(x: &[f64], scale: &[f64], shift: &[f64], g: &[f64], epsilon: f64) -> [Vec<f64>; 4] {
        let n = scale.len();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
        let (mut y, mut x_bar, mut scale_bar, mut shift_bar) = (vec![], vec![], vec![0.0; n], vec![0.0; n]);
        for (x, g) in x.chunks(n).zip(g.chunks(n)) {
            let d: Vec<f64> = x.iter().map(|v| v - mean(x)).collect();
            let r = 1.0 / (mean(&d.iter().map(|d| d * d).collect::<Vec<_>>()) + epsilon).sqrt();
            let gs: Vec<f64> = g.iter().zip(scale).map(|(g, s)| g * s).collect();
            let slant = mean(&gs.iter().zip(&d).map(|(g, d)| g * d * r).collect::<Vec<_>>());
            for k in 0..n {
                y.push(d[k] * r * scale[k] + shift[k]);
                x_bar.push(r * (gs[k] - mean(&gs) - d[k] * r * slant));
                scale_bar[k] += g[k] * d[k] * r;
                shift_bar[k] += g[k];
            }
        }
        [y, x_bar, scale_bar, shift_bar]
    }

    fn compare<T: Float + Normed>(rows: usize, n: usize, near: f64) {
        let made = |count: usize, by: usize| -> Vec<f64> {
            (0..count).map(|i| f64::from(((i * by + 13 * (i / 7)) % 101) as f32 / 25.0 - 2.0)).collect()
        };
        let narrow = |v: &[f64]| -> Vec<T> { v.iter().map(|&x| T::c(x)).collect() };
        let (x, g) = (made(rows * n, 7919), made(rows * n, 31));
        let (scale, shift) = (made(n, 17), made(n, 57));
        let want = wanted(&x, &scale, &shift, &g, 0.25);
        let same = |got: &[T], want: &[f64], by: f64| {
            assert_eq!(got.len(), want.len());
            for (i, (a, b)) in got.iter().zip(want).enumerate() {
                assert!((a.to_f64() - b).abs() <= by, "{rows} {n} at {i}: {} {b}", a.to_f64());
            }
        };
        let [x, g, scale, shift] = [x, g, scale, shift].map(|v| narrow(&v));
        same(&values(&x, &scale, &shift, 0.25), &want[0], near);
        let of = Pulled { x: &x, g: &g, scale: &scale, epsilon: 0.25, groups: 1 };
        let all = bars(&of, [true; 3]);
        for (i, bar) in all.iter().enumerate() {
            let by = if i == 0 { near } else { near * rows as f64 };
            same(bar.as_deref().unwrap_or(&[]), &want[i + 1], by);
        }
        // What is not wanted makes no difference.
        for i in 0..3 {
            let one = bars(&of, [i == 0, i == 1, i == 2]);
            assert!((0..3).all(|k| if k == i { one[k] == all[k] } else { one[k].is_none() }), "{rows} {n} {i}");
        }
        let each = bars(&Pulled { groups: rows, ..of }, [true; 3]);
        assert!(each[0] == all[0], "{rows} {n}");
        for (bar, want) in [(&each[1], &want[2]), (&each[2], &want[3])] {
            for (k, want) in want.iter().enumerate() {
                let sum = bar.iter().flatten().skip(k).step_by(n).map(|x| x.to_f64()).sum::<f64>();
                assert!((sum - want).abs() <= near * rows as f64, "{rows} {n} {k}");
            }
        }
    }

    #[test]
    fn as_the_formulas_give_it() {
        for (rows, n) in
            [(3, 1), (40, 2), (70, 15), (3, 16), (50, 17), (33, 31), (20, 32), (3, 100), (90, 257), (2, 513)]
        {
            compare::<f64>(rows, n, 1e-12);
            compare::<f32>(rows, n, 1e-5);
        }
        // More blocks than are joined at once, and more than one part.
        compare::<f64>(3, 9001, 1e-11);
        compare::<f64>(4100, 33, 1e-11);
        assert!(values::<f32>(&[], &[1.0, 1.0], &[0.0, 0.0], 0.1).is_empty());
    }

    /// A cotangent of zero stays zero beside what is infinite or NaN, in long rows as in short ones.
    #[test]
    fn zeros_stay_zero() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for n in [3, 20, 40] {
            let mut x: Vec<f32> = (0..4 * n).map(|i| (i * i % 7) as f32).collect();
            (x[0], x[n + 1], x[2 * n + 2]) = (nan, inf, 3e38);
            let mut g = vec![0.0; 3 * n];
            g.extend((0..n).map(|i| (i % 3) as f32 - 0.5));
            for epsilon in [0.5, 0.0] {
                let ones = vec![1.0; n];
                let of = Pulled { x: &x, g: &g, scale: &ones, epsilon, groups: 1 };
                let [x_bar, scale_bar, shift_bar] = bars(&of, [true; 3]).map(Option::unwrap_or_default);
                let alone = Pulled { x: &x[3 * n..], g: &g[3 * n..], ..of };
                let [last, y, sum] = bars(&alone, [true; 3]).map(Option::unwrap_or_default);
                assert!(x_bar[..3 * n].iter().all(|x| *x == 0.0), "{n}: {x_bar:?}");
                assert!(x_bar[3 * n..].iter().zip(&last).all(|(a, b)| (a - b).abs() < 1e-5));
                assert!(scale_bar == y && shift_bar == sum, "{n}: {scale_bar:?} {y:?}");
            }
            // A scale that is infinite or NaN where the cotangent is zero.
            let mut scale = vec![1.0; n];
            (scale[0], scale[1]) = (inf, nan);
            let x: Vec<f32> = (0..n).map(|i| (i * i % 7) as f32).collect();
            let mut g = vec![1.0; n];
            (g[0], g[1]) = (0.0, 0.0);
            let ones = vec![1.0; n];
            let [got, want] = [&scale, &ones].map(|scale| {
                bars(&Pulled { x: &x, g: &g, scale, epsilon: 0.5, groups: 1 }, [true, false, false])[0].clone()
            });
            let (got, want) = (got.unwrap_or_default(), want.unwrap_or_default());
            assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5), "{n}: {got:?} {want:?}");
        }
        // A constant row gives the shift, and no slope, also where nothing keeps the division safe.
        let (x, scale, shift) = (vec![5.0; 20], vec![2.0; 20], vec![3.0; 20]);
        assert_eq!(values(&x, &scale, &shift, 0.0), shift);
        let of = Pulled { x: &x, g: &shift, scale: &scale, epsilon: 0.0, groups: 1 };
        assert_eq!(bars(&of, [true, true, false]), [Some(vec![0.0; 20]), Some(vec![0.0; 20]), None]);
    }
}
