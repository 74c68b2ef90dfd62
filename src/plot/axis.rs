//! Ranges and ticks of axes.
//!
//! Ticks stand at 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990); on a log axis at
//! powers of ten, or between them where there are few.

use super::figure::can_place;

/// A range of numbers along one direction.
#[derive(Clone, Debug)]
pub struct Axis {
    /// In powers of ten on a log axis.
    low: f64,
    high: f64,
    log: bool,
    /// From the top down.
    pub flipped: bool,
    /// Of what is counted: no ticks between whole numbers.
    pub whole: bool,
}

/// A mark on an axis: its place from 0 to 1 and its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub place: f64,
    pub label: String,
}

impl Axis {
    /// From `range` with margins (parts of its width) at both ends. `range` holds numbers that can be placed.
    pub fn new(range: Option<(f64, f64)>, log: bool, margins: (f64, f64)) -> Axis {
        let (mut low, mut high) = range.unwrap_or(if log { (1.0, 10.0) } else { (0.0, 1.0) });
        if log {
            (low, high) = (low.log10(), high.log10());
        }
        let size = low.abs().max(high.abs());
        if high - low <= 1e-12 * size || high - low < 1e-290 {
            let around = if size > 1e-290 && !log { 0.05 * size } else { 0.5 };
            (low, high) = (low - around, high + around);
        }
        let width = high - low;
        Axis { low: low - margins.0 * width, high: high + margins.1 * width, log, flipped: false, whole: false }
    }

    /// Where a number lies: 0 at the start, 1 at the end; none if it has no place.
    pub fn place(&self, v: f64) -> Option<f64> {
        if !can_place(v, self.log) {
            return None;
        }
        let v = if self.log { v.log10() } else { v };
        let place = (v - self.low) / (self.high - self.low);
        Some(if self.flipped { 1.0 - place } else { place })
    }

    /// From end to end; in powers of ten on a log axis.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    /// About `wanted` ticks.
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        let numbers = if self.log { self.log_numbers(wanted) } else { None };
        let numbers = numbers.unwrap_or_else(|| {
            let ends = if self.log { (10f64.powf(self.low), 10f64.powf(self.high)) } else { (self.low, self.high) };
            linear(ends.0, ends.1, wanted, self.whole)
        });
        let place = |v: f64| self.place(v).filter(|p| (-1e-9..=1.0 + 1e-9).contains(p));
        numbers.into_iter().filter_map(|(v, label)| Some(Tick { place: place(v)?, label })).collect()
    }

    /// None where the range is too small for powers of ten and what lies between them.
    fn log_numbers(&self, wanted: usize) -> Option<Vec<(f64, String)>> {
        let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
        let decades = last - first + 1;
        let steps: &[f64] = match decades {
            3.. => &[1.0],
            2 => &[1.0, 3.0],
            _ => &[1.0, 2.0, 5.0],
        };
        let stride = (decades as usize).div_ceil(wanted.max(2)).max(1);
        let mut out = vec![];
        for power in (first - 1..=last).filter(|p| decades < 3 || (p - first).rem_euclid(stride as i32) == 0) {
            for step in steps {
                let v = step * 10f64.powi(power);
                if (self.low - 1e-9..=self.high + 1e-9).contains(&v.log10()) {
                    out.push((v, log_label(*step, power)));
                }
            }
        }
        (out.len() >= 3).then_some(out)
    }
}

fn log_label(step: f64, power: i32) -> String {
    match power {
        0..=4 => format!("{}", step * 10f64.powi(power)),
        -3..0 => format!("{:.*}", power.unsigned_abs() as usize, step * 10f64.powi(power)),
        _ => format!("{step}e{power}"),
    }
}

fn linear(low: f64, high: f64, wanted: usize, whole: bool) -> Vec<(f64, String)> {
    let raw = ((high - low) / wanted.max(1) as f64).max(if whole { 1.0 } else { 0.0 });
    let power = raw.log10().floor();
    let unit = 10f64.powf(power);
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * unit).find(|step| *step >= raw * 0.75).unwrap_or(10.0 * unit);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let count = (last - first + 1.0).clamp(0.0, 100.0) as usize;
    // Multiples by whole numbers: sums of steps would drift.
    let numbers: Vec<f64> = (0..count).map(|i| (first + i as f64) * step).collect();
    let size = numbers.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let (step_power, size_power) =
        (step.log10().add_tiny().floor() as i32, size.max(step).log10().add_tiny().floor() as i32);
    let label = |v: f64| match size_power {
        _ if v == 0.0 => "0".to_string(),
        -4..6 => minus(format!("{:.*}", step_power.min(0).unsigned_abs() as usize, v)),
        _ => minus(format!(
            "{:.*}e{size_power}",
            (size_power - step_power).clamp(0, 15) as usize,
            v / 10f64.powi(size_power)
        )),
    };
    numbers.iter().map(|&v| (v, label(v))).collect()
}

trait AddTiny {
    /// A power of ten may come out of rounding a little too small.
    fn add_tiny(self) -> f64;
}

impl AddTiny for f64 {
    fn add_tiny(self) -> f64 {
        self + 1e-9
    }
}

/// With the sign of minus, which is as wide as a digit.
fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool, wanted: usize) -> Vec<String> {
        Axis::new(Some((low, high)), log, (0.0, 0.0)).ticks(wanted).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(0.0, 1.0, false, 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-3.0, 3.0, false, 4), ["\u{2212}2", "0", "2"]);
        assert_eq!(labels(0.0, 9.1, false, 5), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(1000.0, 1000.3, false, 3), ["1000.0", "1000.1", "1000.2", "1000.3"]);
        assert_eq!(labels(0.0, 4e6, false, 4), ["0", "1e6", "2e6", "3e6", "4e6"]);
        assert_eq!(labels(0.0, 3e-7, false, 3), ["0", "1e-7", "2e-7", "3e-7"]);
        assert_eq!(labels(1.0e8, 1.3e8, false, 3), ["1.0e8", "1.1e8", "1.2e8", "1.3e8"]);
    }

    #[test]
    fn what_is_counted_has_whole_ticks() {
        let mut axis = Axis::new(Some((-0.5, 2.5)), false, (0.0, 0.0));
        axis.whole = true;
        assert_eq!(axis.ticks(8).into_iter().map(|t| t.label).collect::<Vec<_>>(), ["0", "1", "2"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten() {
        assert_eq!(labels(0.001, 1000.0, true, 8), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels(1.0, 60.0, true, 5), ["1", "3", "10", "30"]);
        assert_eq!(labels(1e-12, 1e12, true, 5), ["1e-12", "1e-7", "0.01", "1000", "1e8"]);
        assert_eq!(labels(20.0, 30.0, true, 5), ["20", "22", "24", "26", "28", "30"]);
    }

    #[test]
    fn one_number_has_a_range() {
        for v in [0.0, 5.0, -1e-300, 1e300, 1e-310] {
            let axis = Axis::new(Some((v, v)), false, (0.05, 0.05));
            assert!((axis.place(v).unwrap() - 0.5).abs() < 1e-6, "{v}");
            assert!(!axis.ticks(5).is_empty(), "{v}");
        }
        let axis = Axis::new(Some((5.0, 5.0)), true, (0.0, 0.0));
        assert!((axis.place(5.0).unwrap() - 0.5).abs() < 1e-6 && axis.place(0.0).is_none());
    }

    #[test]
    fn no_range_makes_endless_ticks() {
        let ends = [-1e300, -1.0, -1e-300, 0.0, 1e-320, 1e-300, 1e-9, 1.0, 1.0 + 1e-11, 1e15, 1e15 + 1.0, 1e300];
        for low in ends {
            for high in ends.iter().copied().filter(|h| *h >= low) {
                let axis = Axis::new(Some((low, high)), false, (0.05, 0.05));
                let ticks = axis.ticks(6);
                assert!((1..=12).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
                assert!(ticks.windows(2).all(|w| w[0].label != w[1].label), "{low} to {high}: {ticks:?}");
                if low > 1e-300 {
                    let count = Axis::new(Some((low, high)), true, (0.05, 0.05)).ticks(6).len();
                    assert!((1..=12).contains(&count), "{low} to {high} has {count}");
                }
            }
        }
    }
}
