//! From a figure to a scene: where axes, labels, legend and data go.
//!
//! The legend stands above the axes and breaks into rows, so that it covers no data; labels of ticks that would touch are left out.

use super::axis::{Axis, Tick};
use super::figure::{Figure, Matrix, Picture, Series, Shape, can_place, range_of};
use super::font;
use super::palette::{self, Color, gray};
use super::scene::{Anchor, Item, Point, Scene};

const TITLE: f64 = 17.0;
const LABEL: f64 = 14.0;
const SMALL: f64 = 12.0;
const INK: Color = gray(0x22);
const FAINT: Color = gray(0xe6);
/// Free space at the edges.
const EDGE: f64 = 14.0;
/// Between an axis and the labels of its ticks.
const GAP: f64 = 7.0;
/// From one row of the legend to the next.
const LEGEND_ROW: f64 = 20.0;
/// What a sample in the legend takes.
const SAMPLE: f64 = 26.0;
const BAR: f64 = 16.0;

/// What is drawn, and where.
pub fn scene(figure: &Figure) -> Scene {
    for series in &figure.series {
        if let Shape::Images { images, columns, labels } = &series.shape {
            return image_grid(figure, images, *columns, labels);
        }
    }
    let mut out = Plot::new(figure);
    out.draw();
    Scene { width: figure.width, height: figure.height, items: out.items }
}

/// The axes that hold all series.
pub fn axes(figure: &Figure) -> (Axis, Axis) {
    let (mut xs, mut ys) = (vec![], vec![]);
    // Data that fills its range to the edges needs no margin.
    let (mut full_x, mut full_y, mut on_ground) = (false, false, false);
    let mut flipped = false;
    let (mut whole_x, mut whole_y) = (false, !figure.series.is_empty());
    for series in &figure.series {
        whole_y &= matches!(series.shape, Shape::Bars { .. } | Shape::Map { y: None, .. });
        match &series.shape {
            Shape::Line { x, y } | Shape::Points { x, y } => {
                let pairs =
                    x.iter().zip(y).filter(|(x, y)| can_place(**x, figure.x_log) && can_place(**y, figure.y_log));
                pairs.for_each(|(x, y)| {
                    xs.push(*x);
                    ys.push(*y);
                });
            }
            Shape::Bars { edges, counts, .. } => {
                (full_x, on_ground) = (true, true);
                xs.extend(edges.iter().filter(|v| can_place(**v, figure.x_log)));
                ys.extend(counts.iter().filter(|v| can_place(**v, figure.y_log)));
                if !figure.y_log {
                    ys.push(0.0);
                }
            }
            Shape::Map { cells, x, y } => {
                (full_x, full_y) = (true, true);
                flipped |= y.is_none();
                whole_x |= x.is_none();
                xs.extend(borders(*x, cells.columns));
                ys.extend(borders(*y, cells.rows));
            }
            Shape::Images { .. } => {}
        }
    }
    let margin = |full: bool| if full { 0.0 } else { 0.04 };
    let mut x = Axis::new(range_of(xs.into_iter()), figure.x_log, (margin(full_x), margin(full_x)));
    let low = margin(full_y || (on_ground && !figure.y_log));
    let mut y = Axis::new(range_of(ys.into_iter()), figure.y_log, (low, margin(full_y)));
    (x.whole, y.whole, y.flipped) = (whole_x, whole_y, flipped);
    (x, y)
}

/// The outer edges of cells whose centers are given, or count from 0.
pub fn borders(centers: Option<(f64, f64)>, count: usize) -> [f64; 2] {
    let (first, last) = centers.unwrap_or((0.0, count as f64 - 1.0));
    let half = if count > 1 { (last - first) / (count - 1) as f64 / 2.0 } else { 0.5 };
    [first - half, last + half]
}

struct Plot<'a> {
    figure: &'a Figure,
    items: Vec<Item>,
    x: Axis,
    y: Axis,
    /// Corners of the area between the axes.
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    y_ticks: Vec<Tick>,
    /// Numbers and ticks of the color bar.
    bar: Option<(Axis, Vec<Tick>)>,
    note: Option<String>,
    /// Entries by row, with the place of each.
    legend: Vec<Vec<(f64, usize)>>,
}

fn widest(ticks: &[Tick]) -> f64 {
    ticks.iter().map(|t| font::width(&t.label, SMALL)).fold(0.0, f64::max)
}

impl<'a> Plot<'a> {
    fn new(figure: &'a Figure) -> Plot<'a> {
        let (x, y) = axes(figure);
        let note = figure.left_out();
        let mut bottom = figure.height - EDGE - SMALL - GAP;
        bottom -= if figure.x_label.is_empty() { 0.0 } else { LABEL + 8.0 };
        bottom -= if note.is_some() { SMALL + 6.0 } else { 0.0 };
        let mut top = EDGE + if figure.title.is_empty() { 0.0 } else { TITLE + 8.0 };
        let count = |top: f64| (((bottom - top) / 48.0) as usize).max(2);
        let y_ticks = y.ticks(count(top));
        let left = EDGE + widest(&y_ticks) + GAP + if figure.y_label.is_empty() { 0.0 } else { LABEL + 8.0 };
        let range = figure
            .series
            .iter()
            .find_map(|s| if let Shape::Map { cells, .. } = &s.shape { Some(cells.range()) } else { None });
        let bar = range.map(|range| {
            let axis = Axis::new(range, false, (0.0, 0.0));
            let ticks = axis.ticks(count(top));
            (axis, ticks)
        });
        let bar_width = bar.as_ref().map_or(0.0, |(_, ticks)| BAR + 12.0 + GAP + widest(ticks));
        let right = figure.width - EDGE - bar_width - if bar.is_some() { 0.0 } else { 8.0 };
        let legend = legend(&figure.series, right - left);
        top += LEGEND_ROW * legend.len() as f64 + if legend.is_empty() { 0.0 } else { 4.0 };
        let y_ticks = y.ticks(count(top));
        Plot {
            figure,
            items: vec![],
            x,
            y,
            left,
            right: right.max(left + 10.0),
            top,
            bottom: bottom.max(top + 10.0),
            y_ticks,
            bar,
            note,
            legend,
        }
    }

    fn at_x(&self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    fn at_y(&self, place: f64) -> f64 {
        self.bottom - place * (self.bottom - self.top)
    }

    /// Where a point goes; none if it has no place.
    fn point(&self, x: f64, y: f64) -> Option<Point> {
        Some((self.at_x(self.x.place(x)?), self.at_y(self.y.place(y)?)))
    }

    fn text(&mut self, at: Point, text: &str, size: f64, anchor: Anchor) {
        self.items.push(Item::Text { at, text: text.to_string(), size, anchor, color: INK, upwards: false });
    }

    fn line(&mut self, from: Point, to: Point, color: Color, width: f64) {
        self.items.push(Item::Path { points: vec![from, to], color, width });
    }

    fn draw(&mut self) {
        let x_ticks = self.x_ticks();
        let maps = |s: &&Series| matches!(s.shape, Shape::Map { .. });
        if !self.figure.series.iter().any(|s| maps(&s)) {
            self.grid(&x_ticks);
        }
        for series in self.figure.series.iter().filter(maps) {
            if let Shape::Map { cells, x, y } = &series.shape {
                self.map(cells, *x, *y);
            }
        }
        for (i, series) in self.figure.series.iter().enumerate() {
            if let Shape::Line { .. } = series.shape
                && self.bar.is_some()
            {
                // A white seam sets a line off from the colors below.
                self.series(series, gray(0xff), 5.0);
            }
            self.series(series, palette::series(i), 2.0);
        }
        self.axis_lines(&x_ticks);
        self.color_bar();
        self.words();
    }

    /// As many as fit without touching each other.
    fn x_ticks(&self) -> Vec<Tick> {
        let width = self.right - self.left;
        let end = |t: &Tick, side: f64| t.place * width + side * font::width(&t.label, SMALL) / 2.0;
        let fits = |a: &Tick, b: &Tick| end(a, 1.0) + 10.0 <= end(b, -1.0);
        let mut wanted = ((width / 80.0) as usize).max(2);
        let mut ticks = self.x.ticks(wanted);
        while wanted > 1 && ticks.windows(2).any(|w| matches!(w, [a, b] if !fits(a, b))) {
            wanted -= 1;
            ticks = self.x.ticks(wanted);
        }
        let mut kept: Vec<Tick> = vec![];
        for tick in ticks {
            if kept.last().is_none_or(|last| fits(last, &tick)) {
                kept.push(tick);
            }
        }
        kept
    }

    fn grid(&mut self, x_ticks: &[Tick]) {
        for tick in x_ticks {
            let x = self.at_x(tick.place);
            self.line((x, self.top), (x, self.bottom), FAINT, 1.0);
        }
        for place in self.y_ticks.iter().map(|t| t.place).collect::<Vec<_>>() {
            let y = self.at_y(place);
            self.line((self.left, y), (self.right, y), FAINT, 1.0);
        }
    }

    fn map(&mut self, cells: &Matrix, x: Option<(f64, f64)>, y: Option<(f64, f64)>) {
        let ([x0, x1], [y0, y1]) = (borders(x, cells.columns), borders(y, cells.rows));
        let (Some(a), Some(b)) = (self.point(x0, y0), self.point(x1, y1)) else { return };
        let mut picture = cells.picture();
        // Row 0 is drawn at the top: rows that go up, or columns that go left, are turned.
        if b.1 < a.1 {
            picture.pixels = picture.pixels.chunks(picture.columns.max(1)).rev().flatten().copied().collect();
        }
        if b.0 < a.0 {
            picture.pixels =
                picture.pixels.chunks(picture.columns.max(1)).flat_map(|row| row.iter().rev()).copied().collect();
        }
        let at = (a.0.min(b.0), a.1.min(b.1));
        self.items.push(Item::Image { at, size: ((a.0 - b.0).abs(), (a.1 - b.1).abs()), picture });
    }

    fn series(&mut self, series: &Series, color: Color, width: f64) {
        match &series.shape {
            Shape::Line { x, y } => {
                let places = x.iter().zip(y).map(|(&x, &y)| self.point(x, y));
                // A point without place breaks the line.
                let mut pieces: Vec<Vec<Point>> = vec![vec![]];
                for place in places {
                    match (place, pieces.last_mut()) {
                        (Some(point), Some(piece)) => piece.push(point),
                        _ => pieces.push(vec![]),
                    }
                }
                for piece in pieces.into_iter().filter(|p| !p.is_empty()) {
                    match piece.len() {
                        1 => self.items.push(Item::Dots { points: piece, radius: width, color, alpha: 1.0 }),
                        _ => self.items.push(Item::Path { points: thinned_line(&piece), color, width }),
                    }
                }
            }
            Shape::Points { x, y } => {
                let points: Vec<Point> = x.iter().zip(y).filter_map(|(&x, &y)| self.point(x, y)).collect();
                let (radius, alpha) = match points.len() {
                    0..200 => (4.0, 0.8),
                    200..2000 => (3.0, 0.6),
                    _ => (2.0, 0.4),
                };
                self.items.push(Item::Dots { points: thinned_points(points), radius, color, alpha });
            }
            Shape::Bars { edges, counts, .. } => {
                let bars = |s: &&Series| matches!(s.shape, Shape::Bars { .. });
                let alpha = if self.figure.series.iter().filter(bars).count() > 1 { 0.55 } else { 0.85 };
                for (pair, count) in edges.windows(2).zip(counts) {
                    let [low, high] = pair else { continue };
                    let (Some(from), Some(to)) = (self.x.place(*low), self.x.place(*high)) else { continue };
                    let Some(height) = self.y.place(*count) else { continue };
                    let (from, to, top) = (self.at_x(from), self.at_x(to), self.at_y(height));
                    let space = if to - from > 4.0 { 1.0 } else { 0.0 };
                    if self.bottom - top > 0.0 {
                        let size = (to - from - space, self.bottom - top);
                        self.items.push(Item::Rect { at: (from + space / 2.0, top), size, color, alpha });
                    }
                }
            }
            Shape::Map { .. } | Shape::Images { .. } => {}
        }
    }

    fn axis_lines(&mut self, x_ticks: &[Tick]) {
        let (left, bottom) = (self.left, self.bottom);
        self.items.push(Item::Path {
            points: vec![(left, self.top), (left, bottom), (self.right, bottom)],
            color: INK,
            width: 1.0,
        });
        for tick in x_ticks {
            let x = self.at_x(tick.place);
            self.line((x, bottom), (x, bottom + 4.0), INK, 1.0);
            self.text((x, bottom + GAP + SMALL), &tick.label, SMALL, Anchor::Middle);
        }
        for tick in std::mem::take(&mut self.y_ticks) {
            let y = self.at_y(tick.place);
            self.line((left - 4.0, y), (left, y), INK, 1.0);
            self.text((left - GAP, y + 0.36 * SMALL), &tick.label, SMALL, Anchor::End);
        }
    }

    fn color_bar(&mut self) {
        let Some((axis, ticks)) = self.bar.take() else { return };
        const STEPS: usize = 64;
        let pixels = (0..STEPS).rev().map(|i| palette::heat(i as f64 / (STEPS - 1) as f64)).collect();
        let (at, height) = ((self.right + 12.0, self.top), self.bottom - self.top);
        self.items.push(Item::Image { at, size: (BAR, height), picture: Picture { rows: STEPS, columns: 1, pixels } });
        debug_assert!(!axis.flipped);
        for tick in ticks {
            let y = self.at_y(tick.place);
            self.line((at.0 + BAR, y), (at.0 + BAR + 4.0, y), INK, 1.0);
            self.text((at.0 + BAR + GAP, y + 0.36 * SMALL), &tick.label, SMALL, Anchor::Start);
        }
    }

    fn words(&mut self) {
        let figure = self.figure;
        let (middle, height) = ((self.left + self.right) / 2.0, figure.height);
        if !figure.title.is_empty() {
            self.text((middle, EDGE + 0.8 * TITLE), &figure.title, TITLE, Anchor::Middle);
        }
        let note = self.note.take();
        if !figure.x_label.is_empty() {
            let lower = if note.is_some() { SMALL + 6.0 } else { 0.0 };
            self.text((middle, height - EDGE - lower), &figure.x_label, LABEL, Anchor::Middle);
        }
        if let Some(note) = note {
            let at = (self.right, height - 0.8 * EDGE);
            self.items.push(Item::Text {
                at,
                text: note,
                size: SMALL,
                anchor: Anchor::End,
                color: gray(0x77),
                upwards: false,
            });
        }
        if !figure.y_label.is_empty() {
            let at = (EDGE + 0.7 * LABEL, (self.top + self.bottom) / 2.0);
            let text = figure.y_label.clone();
            self.items.push(Item::Text { at, text, size: LABEL, anchor: Anchor::Middle, color: INK, upwards: true });
        }
        let start = self.top - 4.0 - LEGEND_ROW * self.legend.len() as f64;
        for (row, entries) in std::mem::take(&mut self.legend).into_iter().enumerate() {
            let y = start + LEGEND_ROW * (row as f64 + 0.5);
            for (x, i) in entries {
                let Some(series) = figure.series.get(i) else { continue };
                let (x, color) = (self.left + x, palette::series(i));
                match series.shape {
                    Shape::Line { .. } => self.line((x, y), (x + SAMPLE - 8.0, y), color, 2.5),
                    Shape::Points { .. } => {
                        let points = vec![(x + (SAMPLE - 8.0) / 2.0, y)];
                        self.items.push(Item::Dots { points, radius: 4.0, color, alpha: 0.9 });
                    }
                    _ => self.items.push(Item::Rect { at: (x + 3.0, y - 6.0), size: (12.0, 12.0), color, alpha: 0.85 }),
                }
                self.text((x + SAMPLE - 2.0, y + 0.36 * SMALL), &series.label, SMALL, Anchor::Start);
            }
        }
    }
}

/// The labels in rows not wider than `width`.
fn legend(series: &[Series], width: f64) -> Vec<Vec<(f64, usize)>> {
    let mut rows: Vec<Vec<(f64, usize)>> = vec![];
    let mut x = f64::INFINITY;
    for (i, one) in
        series.iter().enumerate().filter(|(_, s)| !s.label.is_empty() && !matches!(s.shape, Shape::Map { .. }))
    {
        let wide = SAMPLE + font::width(&one.label, SMALL) + 18.0;
        if x + wide > width + 18.0 {
            rows.push(vec![]);
            x = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((x, i));
        }
        x += wide;
    }
    rows
}

/// More points than this are thinned out.
const MANY: usize = 2000;

/// The same line with fewer points: of those in one half of a point's width, the first, the last and the extremes.
fn thinned_line(points: &[Point]) -> Vec<Point> {
    if points.len() <= MANY {
        return points.to_vec();
    }
    let mut out = vec![];
    for run in points.chunk_by(|a, b| (a.0 * 2.0).floor() == (b.0 * 2.0).floor()) {
        let by_y = |i: &usize, j: &usize| {
            run.get(*i).map(|p| p.1).partial_cmp(&run.get(*j).map(|p| p.1)).unwrap_or(std::cmp::Ordering::Equal)
        };
        let low = (0..run.len()).min_by(by_y).unwrap_or(0);
        let high = (0..run.len()).max_by(by_y).unwrap_or(0);
        let mut kept = [0, low.min(high), low.max(high), run.len() - 1].to_vec();
        kept.dedup();
        out.extend(kept.into_iter().filter_map(|i| run.get(i).copied()));
    }
    out
}

/// One point for each half of a point's width and height.
fn thinned_points(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= MANY {
        return points;
    }
    let mut seen = std::collections::HashSet::new();
    points.into_iter().filter(|p| seen.insert(((p.0 * 2.0) as i64, (p.1 * 2.0) as i64))).collect()
}

fn image_grid(figure: &Figure, images: &[Picture], columns: usize, labels: &[String]) -> Scene {
    const SPACE: f64 = 8.0;
    let columns = columns.clamp(1, images.len().max(1));
    let rows = images.len().div_ceil(columns);
    let wide = ((figure.width - 2.0 * EDGE + SPACE) / columns as f64 - SPACE).max(1.0);
    let shape = images.first().map_or(1.0, |p| p.rows as f64 / p.columns.max(1) as f64);
    let tall = wide * shape;
    let under = if labels.is_empty() { SPACE } else { SMALL + 2.0 * SPACE };
    let top = EDGE + if figure.title.is_empty() { 0.0 } else { TITLE + 12.0 };
    let mut items = vec![];
    let text = |at, text: &str, size| Item::Text {
        at,
        text: text.to_string(),
        size,
        anchor: Anchor::Middle,
        color: INK,
        upwards: false,
    };
    if !figure.title.is_empty() {
        items.push(text((figure.width / 2.0, EDGE + 0.8 * TITLE), &figure.title, TITLE));
    }
    for (i, picture) in images.iter().enumerate() {
        let at = (EDGE + (i % columns) as f64 * (wide + SPACE), top + (i / columns) as f64 * (tall + under));
        items.push(Item::Image { at, size: (wide, tall), picture: picture.clone() });
        if let Some(label) = labels.get(i) {
            items.push(text((at.0 + wide / 2.0, at.1 + tall + SMALL + 2.0), label, SMALL));
        }
    }
    let height = top + rows as f64 * (tall + under) - SPACE + EDGE;
    Scene { width: figure.width, height: height.ceil(), items }
}
