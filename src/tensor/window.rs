//! Windows that slide over a plane of rows and columns: where each of their places meets the input.
//!
//! In: lengths, step, margin and spacing along an axis. Out: for each place within the window, the outputs whose window has
//! that place inside the input (not in the margin), as one range; so inner loops ask nothing.

use std::ops::Range;

/// One axis: `count` windows of `size` places, `dilation` apart, over `len` elements with `padding` before and after.
/// Window `o` begins at `o * stride - padding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    pub len: usize,
    pub count: usize,
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
    pub dilation: usize,
}

/// The windows that have one of their places inside the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    pub outputs: Range<usize>,
    /// Where the place of the first of them is in the input; the others follow `stride` apart.
    pub start: usize,
}

impl Slide {
    /// How many windows there are; `None` if not even one fits.
    pub fn windows(len: usize, size: usize, stride: usize, padding: usize, dilation: usize) -> Option<usize> {
        let padded = len.saturating_add(padding.saturating_mul(2));
        let reach = dilation.saturating_mul(size.checked_sub(1)?).saturating_add(1);
        Some(padded.checked_sub(reach)? / stride.max(1) + 1)
    }

    /// The places of a window (without gaps) that are inside the input for at least one of the windows.
    pub fn places(&self) -> Range<usize> {
        let last = self.count.saturating_sub(1).saturating_mul(self.stride);
        self.padding.saturating_sub(last)..self.size.min(self.padding.saturating_add(self.len))
    }

    /// For each of these places of the window, the windows that have it inside the input.
    pub fn reaches(&self, places: Range<usize>) -> Vec<Reach> {
        let reach = |place: usize| {
            let (offset, stride) = (place.saturating_mul(self.dilation), self.stride.max(1));
            let first = self.padding.saturating_sub(offset).div_ceil(stride);
            let end = match self.len.saturating_add(self.padding).checked_sub(offset) {
                None | Some(0) => 0,
                Some(room) => (room - 1) / stride + 1,
            };
            let end = end.min(self.count);
            if first >= end {
                return Reach { outputs: 0..0, start: 0 };
            }
            let start = first.saturating_mul(stride).saturating_add(offset).saturating_sub(self.padding);
            Reach { outputs: first..end, start }
        };
        places.map(reach).collect()
    }
}

/// `f(out, x)` for every output of a row and what it meets in the row `x`.
#[inline]
pub fn along<T, U>(out: &mut [T], x: &[U], reach: &Reach, stride: usize, mut f: impl FnMut(&mut T, &U)) {
    let (Some(out), Some(x)) = (out.get_mut(reach.outputs.clone()), x.get(reach.start..)) else { return };
    match stride {
        1 => out.iter_mut().zip(x).for_each(|(o, x)| f(o, x)),
        2 => {
            // Pairs, the last of which may lack its second half.
            let pairs = x.chunks_exact(2);
            let last = pairs.remainder().first();
            let heads = pairs.filter_map(|pair| pair.first()).chain(last);
            out.iter_mut().zip(heads).for_each(|(o, x)| f(o, x));
        }
        _ => out.iter_mut().zip(x.iter().step_by(stride)).for_each(|(o, x)| f(o, x)),
    }
}

/// As [`along`], but what it meets is changed.
#[inline]
pub fn back<T, U>(out: &[T], x: &mut [U], reach: &Reach, stride: usize, mut f: impl FnMut(&T, &mut U)) {
    let (Some(out), Some(x)) = (out.get(reach.outputs.clone()), x.get_mut(reach.start..)) else { return };
    match stride {
        1 => out.iter().zip(x).for_each(|(o, x)| f(o, x)),
        _ => out.iter().zip(x.iter_mut().step_by(stride)).for_each(|(o, x)| f(o, x)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of place and window, by the definition.
    #[test]
    fn reaches_are_those_of_the_definition() {
        for len in [0usize, 1, 2, 5, 8] {
            for size in [1usize, 2, 3, 5] {
                for stride in [1usize, 2, 3, 7] {
                    for padding in [0usize, 1, 2, 6] {
                        for dilation in [1usize, 2, 3] {
                            let Some(count) = Slide::windows(len, size, stride, padding, dilation) else { continue };
                            let slide = Slide { len, count, size, stride, padding, dilation };
                            for (place, reach) in slide.reaches(0..size).iter().enumerate() {
                                let inside: Vec<(usize, usize)> = (0..count)
                                    .filter_map(|o| Some((o, (o * stride + place * dilation).checked_sub(padding)?)))
                                    .filter(|(_, i)| *i < len)
                                    .collect();
                                let got: Vec<(usize, usize)> = reach
                                    .outputs
                                    .clone()
                                    .map(|o| (o, reach.start + (o - reach.outputs.start) * stride))
                                    .collect();
                                assert_eq!(got, inside, "{slide:?} place {place}");
                                assert!(dilation > 1 || inside.is_empty() || slide.places().contains(&place));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn counts_of_windows() {
        assert_eq!(Slide::windows(5, 3, 1, 0, 1), Some(3));
        assert_eq!(Slide::windows(5, 3, 2, 1, 1), Some(3));
        assert_eq!(Slide::windows(5, 3, 1, 0, 2), Some(1));
        assert_eq!(Slide::windows(2, 3, 1, 0, 1), None);
        assert_eq!(Slide::windows(2, 0, 1, 0, 1), None);
        assert_eq!(Slide::windows(usize::MAX, 2, 1, usize::MAX, usize::MAX), Some(1));
    }

    #[test]
    fn rows_by_stride() {
        let x: Vec<usize> = (0..7).collect();
        for stride in [1, 2, 3] {
            let reach = Reach { outputs: 1..3, start: 1 };
            let mut out = [100; 4];
            along(&mut out, &x, &reach, stride, |o, x| *o = *x);
            assert_eq!(out, [100, 1, 1 + stride, 100]);
            let mut y = [0; 7];
            back(&[5, 6, 7, 8], &mut y, &reach, stride, |o, y| *y += o);
            assert_eq!((y[1], y[1 + stride]), (6, 7));
        }
    }
}
