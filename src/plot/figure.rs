//! What a figure shows, as data.

use super::palette::{Color, gray, heat};

/// Series on two axes, or a grid of pictures.
#[derive(Clone, Debug)]
pub struct Figure {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub x_log: bool,
    pub y_log: bool,
    /// What the axis shows, from low to high; as the data needs it if there is none.
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
    /// One unit is as long on both axes; width and height are then the most that the figure takes.
    pub equal: bool,
    /// In points; a PNG has twice as many pixels.
    pub width: f64,
    pub height: f64,
    pub series: Vec<Series>,
}

/// One set of data.
#[derive(Clone, Debug)]
pub struct Series {
    pub label: String,
    /// Its place in the palette; none for gray.
    pub color: Option<usize>,
    pub shape: Shape,
}

/// How a set of data is drawn.
#[derive(Clone, Debug)]
pub enum Shape {
    /// As many y as x, joined in order.
    Line { x: Vec<f64>, y: Vec<f64>, dashed: bool },
    /// As many y as x.
    Points { x: Vec<f64>, y: Vec<f64> },
    /// At each x an upright line from low to high.
    Spans { x: Vec<f64>, low: Vec<f64>, high: Vec<f64> },
    /// The area between two curves over the same x.
    Band { x: Vec<f64>, low: Vec<f64>, high: Vec<f64> },
    /// From end to end of the axes: upright at an x, or level at a y.
    Rule { at: f64, upright: bool },
    /// Bars from 0 to `counts[i]` between `edges[i]` and `edges[i + 1]`; `left_out` of all the numbers are not counted.
    Bars { edges: Vec<f64>, counts: Vec<f64>, left_out: usize },
    /// A matrix as colors. Without a range of its centers an axis counts rows or columns from 0; rows without one go down.
    Map { cells: Matrix, x: Option<(f64, f64)>, y: Option<(f64, f64)> },
    /// Pictures in `columns`, each with a label or none.
    Images { images: Vec<Picture>, columns: usize, labels: Vec<String> },
    /// Figures in `columns`.
    Panels { figures: Vec<Figure>, columns: usize },
}

/// Numbers by rows; `values.len() == rows * columns`.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    /// The smallest and the largest finite number; none if all are NaN or infinite.
    pub fn range(&self) -> Option<(f64, f64)> {
        range_of(self.values.iter().copied())
    }

    /// In colors between those of the range's ends; what is not finite is light gray.
    pub fn picture(&self) -> Picture {
        let (low, high) = self.range().unwrap_or((0.0, 1.0));
        let color = |v: &f64| if v.is_finite() { heat(share(*v, low, high)) } else { Color(0xdd, 0xdd, 0xdd) };
        Picture { rows: self.rows, columns: self.columns, pixels: self.values.iter().map(color).collect() }
    }
}

/// Where `v` lies between `low` and `high`, from 0 to 1; the middle if they are equal.
pub fn share(v: f64, low: f64, high: f64) -> f64 {
    // Halves, so that the range of the largest floats does not overflow.
    if high > low { ((v / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)).clamp(0.0, 1.0) } else { 0.5 }
}

/// Pixels by rows; `pixels.len() == rows * columns`.
#[derive(Clone, Debug)]
pub struct Picture {
    pub rows: usize,
    pub columns: usize,
    pub pixels: Vec<Color>,
}

impl Picture {
    /// From brightness or red, green and blue between 0 and 1, `channels` numbers for each pixel; what is not finite is light gray.
    pub fn new(rows: usize, columns: usize, channels: usize, values: &[f64]) -> Picture {
        let pixels = values.chunks(channels.max(1)).take(rows * columns).map(|pixel| match pixel {
            _ if pixel.iter().any(|v| !v.is_finite()) => Color(0xdd, 0xdd, 0xdd),
            [r, g, b, ..] => Color(byte(*r), byte(*g), byte(*b)),
            [v, ..] => gray(byte(*v)),
            [] => gray(0),
        });
        Picture { rows, columns, pixels: pixels.collect() }
    }

    /// The pixel; gray outside.
    pub fn at(&self, row: usize, column: usize) -> Color {
        self.pixels.get(row * self.columns + column).copied().unwrap_or(gray(0xdd))
    }
}

/// A number from 0 to 1 as one byte.
pub fn byte(v: f64) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Beyond it, the width of a range is no float any more.
const LARGEST: f64 = 1e300;

/// True for what has a place on an axis.
pub fn can_place(v: f64, log: bool) -> bool {
    v.abs() <= LARGEST && (!log || v > 1e-300)
}

/// Smallest and largest of those that have a place on an axis.
pub fn range_of(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| can_place(*v, false)).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

impl Figure {
    /// A word on what cannot be drawn, if there is such.
    pub fn left_out(&self) -> Option<String> {
        let (mut out, mut all, mut below) = (0, 0, 0);
        let mut what = "points";
        for series in &self.series {
            match &series.shape {
                Shape::Line { x, y, .. } | Shape::Points { x, y } => {
                    for (&x, &y) in x.iter().zip(y) {
                        all += 1;
                        let finite = can_place(x, false) && can_place(y, false);
                        out += usize::from(!finite);
                        below += usize::from(finite && !(can_place(x, self.x_log) && can_place(y, self.y_log)));
                    }
                }
                Shape::Map { cells, .. } => {
                    what = "numbers";
                    all += cells.values.len();
                    out += cells.values.iter().filter(|v| !can_place(**v, false)).count();
                }
                Shape::Bars { counts, left_out, .. } => {
                    what = "numbers";
                    all += left_out + counts.iter().sum::<f64>() as usize;
                    out += left_out;
                }
                Shape::Band { x, low, high } => {
                    for ((&x, &low), &high) in x.iter().zip(low).zip(high) {
                        all += 1;
                        let finite = [x, low, high].into_iter().all(|v| can_place(v, false));
                        out += usize::from(!finite);
                        let placed =
                            can_place(x, self.x_log) && [low, high].into_iter().all(|v| can_place(v, self.y_log));
                        below += usize::from(finite && !placed);
                    }
                }
                // Where a span has no place there is no bar, and what it belongs to is counted.
                Shape::Spans { .. } | Shape::Rule { .. } | Shape::Images { .. } | Shape::Panels { .. } => {}
            }
        }
        let why = match (out, below) {
            (0, 0) => return None,
            (_, 0) => "NaN or infinite",
            (0, _) => "not above 0 on a log axis",
            _ => "NaN, infinite, or not above 0 on a log axis",
        };
        Some(format!("{} of {all} {what} left out: {why}", out + below))
    }
}
