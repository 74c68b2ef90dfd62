//! From a figure to a scene: where axes, labels, legend and data go.
//!
//! The legend stands above the axes and breaks into rows, so that it covers no data; labels of ticks that would touch are left out.

use super::axis::{Axis, Tick};
use super::clip;
use super::figure::{Figure, Matrix, Picture, Series, Shape, can_place, range_of};
use super::font;
use super::grid;
use super::palette::{self, Color, gray};
use super::scene::{Anchor, Item, Point, Scene};

pub const TITLE: f64 = 17.0;
const LABEL: f64 = 14.0;
pub const SMALL: f64 = 12.0;
pub const INK: Color = gray(0x22);
const FAINT: Color = gray(0xe6);
/// Free space at the edges.
pub const EDGE: f64 = 14.0;
/// Between an axis and the labels of its ticks.
const GAP: f64 = 7.0;
/// From one row of the legend to the next.
const LEGEND_ROW: f64 = 20.0;
/// What a sample in the legend takes.
const SAMPLE: f64 = 26.0;
const BAR: f64 = 16.0;
/// How dense a band is.
const BAND: f64 = 0.25;

/// What is drawn, and where.
pub fn scene(figure: &Figure) -> Scene {
    for series in &figure.series {
        match &series.shape {
            Shape::Images { images, columns, labels } => return grid::images(figure, images, *columns, labels),
            Shape::Panels { figures, columns } => return grid::panels(figure, figures, *columns),
            _ => {}
        }
    }
    let mut out = Plot::new(figure, figure.width, figure.height);
    if figure.equal {
        // The size of the texts at the edges depends a little on that of the figure.
        for _ in 0..3 {
            let (across, up) = out.excess();
            out = Plot::new(figure, out.width - across, out.height - up);
        }
        let (across, up) = out.excess();
        (out.right, out.top) = (out.right - across, out.top + up);
    }
    out.draw();
    Scene { width: out.width, height: out.height, items: out.items }
}

/// The axes that hold all series.
pub fn axes(figure: &Figure) -> (Axis, Axis) {
    let (mut xs, mut ys) = (vec![], vec![]);
    let (mut rules_x, mut rules_y) = (vec![], vec![]);
    // Data that fills its range to the edges needs no margin.
    let (mut full_x, mut full_y, mut on_ground) = (false, false, false);
    let mut flipped = false;
    let (mut whole_x, mut whole_y) = (false, !figure.series.is_empty());
    let within = |v: f64, range: Option<(f64, f64)>| range.is_none_or(|(low, high)| (low..=high).contains(&v));
    // What is out of sight along one axis has no say in the range of the other.
    let seen = |x: f64, y: f64| {
        let placed = can_place(x, figure.x_log) && can_place(y, figure.y_log);
        (placed && within(x, figure.x_range) && within(y, figure.y_range)).then_some((x, y))
    };
    for series in &figure.series {
        whole_y &= matches!(series.shape, Shape::Bars { .. } | Shape::Map { y: None, .. });
        match &series.shape {
            Shape::Line { x, y, .. } | Shape::Points { x, y } => {
                for (x, y) in x.iter().zip(y).filter_map(|(x, y)| seen(*x, *y)) {
                    xs.push(x);
                    ys.push(y);
                }
            }
            Shape::Band { x, low, high } | Shape::Spans { x, low, high } => {
                let ends = x.iter().zip(low).chain(x.iter().zip(high));
                for (x, y) in ends.filter_map(|(x, y)| seen(*x, *y)) {
                    xs.push(x);
                    ys.push(y);
                }
            }
            // Seen from end to end, wherever the ends are.
            Shape::Rule { at, upright } => {
                let (all, log) = if *upright { (&mut rules_x, figure.x_log) } else { (&mut rules_y, figure.y_log) };
                all.extend(can_place(*at, log).then_some(*at));
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
            Shape::Images { .. } | Shape::Panels { .. } => {}
        }
    }
    xs.extend(rules_x);
    ys.extend(rules_y);
    let margin = |full: bool| if full { 0.0 } else { 0.04 };
    let margins_x = (margin(full_x), margin(full_x));
    let low = margin(full_y || (on_ground && !figure.y_log));
    let axis = |range: Option<(f64, f64)>, data: Vec<f64>, log, margins| match range {
        Some(range) => Axis::new(Some(range), log, (0.0, 0.0)),
        None => Axis::new(range_of(data.into_iter()), log, margins),
    };
    let mut x = axis(figure.x_range, xs, figure.x_log, margins_x);
    let mut y = axis(figure.y_range, ys, figure.y_log, (low, margin(full_y)));
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
    width: f64,
    height: f64,
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
    fn new(figure: &'a Figure, width: f64, height: f64) -> Plot<'a> {
        let (x, y) = axes(figure);
        let note = figure.left_out();
        let mut bottom = height - EDGE - SMALL - GAP;
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
        let right = width - EDGE - bar_width - if bar.is_some() { 0.0 } else { 8.0 };
        let legend = legend(&figure.series, right - left);
        top += LEGEND_ROW * legend.len() as f64 + if legend.is_empty() { 0.0 } else { 4.0 };
        let y_ticks = y.ticks(count(top));
        Plot {
            figure,
            width,
            height,
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

    /// How much less width and height make one unit as long on both axes, as far as the title allows.
    fn excess(&self) -> (f64, f64) {
        let (wide, tall) = (self.right - self.left, self.bottom - self.top);
        let unit = (wide / self.x.width()).min(tall / self.y.width());
        let least = font::width(&self.figure.title, TITLE) + 2.0 * EDGE;
        let across = (wide - unit * self.x.width()).min(self.width - least);
        (across.max(0.0), (tall - unit * self.y.width()).max(0.0))
    }

    /// Where a point lies between the axes, from 0 to 1 if it is in sight; none if it has no place.
    fn place(&self, x: f64, y: f64) -> Option<Point> {
        let place = (self.x.place(x)?, self.y.place(y)?);
        (place.0.is_finite() && place.1.is_finite()).then_some(place)
    }

    fn drawn(&self, place: Point) -> Point {
        (self.at_x(place.0), self.at_y(place.1))
    }

    fn all_drawn(&self, places: &[Point]) -> Vec<Point> {
        places.iter().map(|p| self.drawn(*p)).collect()
    }

    fn text(&mut self, at: Point, text: &str, size: f64, anchor: Anchor) {
        self.items.push(Item::Text { at, text: text.to_string(), size, anchor, color: INK, upwards: false });
    }

    fn line(&mut self, from: Point, to: Point, color: Color, width: f64) {
        self.items.push(Item::Path { points: vec![from, to], color, width, dashed: false });
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
        // Bands lie below what they go with, whichever was given first.
        let bands = |s: &&Series| matches!(s.shape, Shape::Band { .. });
        for series in self.figure.series.iter().filter(bands) {
            self.series(series, palette::series(series.color), 2.0);
        }
        for series in self.figure.series.iter().filter(|s| !bands(s)) {
            if let Shape::Line { .. } = series.shape
                && self.bar.is_some()
            {
                // A white seam sets a line off from the colors below.
                self.series(series, gray(0xff), 5.0);
            }
            self.series(series, palette::series(series.color), 2.0);
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
        let (Some(a), Some(b)) = (self.place(x0, y0), self.place(x1, y1)) else { return };
        let hidden = !(clip::inside(a) && clip::inside(b));
        let (a, b) = (self.drawn(a), self.drawn(b));
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
        let size = ((a.0 - b.0).abs(), (a.1 - b.1).abs());
        let from = (at.0.max(self.left), at.1.max(self.top));
        let to = ((at.0 + size.0).min(self.right), (at.1 + size.1).min(self.bottom));
        if from.0 < to.0 && from.1 < to.1 {
            self.items.push(Item::Image { at, size, picture, window: hidden.then_some((from, to)) });
        }
    }

    fn series(&mut self, series: &Series, color: Color, width: f64) {
        match &series.shape {
            Shape::Line { x, y, dashed } => {
                let pieces = pieces(x.iter().zip(y).map(|(&x, &y)| self.place(x, y)));
                for piece in pieces.iter().flat_map(|piece| clip::line(piece)) {
                    let points = self.all_drawn(&piece);
                    match points.len() {
                        1 => self.items.push(Item::Dots { points, radius: width, color, alpha: 1.0 }),
                        _ => {
                            self.items.push(Item::Path { points: thinned_line(&points), color, width, dashed: *dashed })
                        }
                    }
                }
            }
            Shape::Band { x, low, high } => {
                let both = x.iter().zip(low.iter().zip(high));
                let edges = both.map(|(&x, (&low, &high))| Some((self.place(x, low)?, self.place(x, high)?)));
                for piece in pieces(edges) {
                    let there = piece.iter().map(|(low, _)| *low);
                    let around: Vec<Point> = there.chain(piece.iter().rev().map(|(_, high)| *high)).collect();
                    let points = self.all_drawn(&clip::polygon(&around));
                    if points.len() > 2 {
                        self.items.push(Item::Area { points, color, alpha: BAND });
                    }
                }
            }
            Shape::Spans { x, low, high } => {
                for (&x, (&low, &high)) in x.iter().zip(low.iter().zip(high)) {
                    let ends = self.place(x, low).zip(self.place(x, high));
                    if let Some((low, high)) = ends.and_then(|(low, high)| clip::segment(low, high)) {
                        self.line(self.drawn(low), self.drawn(high), color, width);
                    }
                }
            }
            Shape::Rule { at, upright } => {
                let axis = if *upright { &self.x } else { &self.y };
                let Some(place) = axis.place(*at).filter(|p| clip::inside((*p, 0.5))) else { return };
                let ends = if *upright { [(place, 0.0), (place, 1.0)] } else { [(0.0, place), (1.0, place)] };
                self.items.push(Item::Path { points: self.all_drawn(&ends), color, width: 1.5, dashed: true });
            }
            Shape::Points { x, y } => {
                let places = x.iter().zip(y).filter_map(|(&x, &y)| self.place(x, y)).filter(|p| clip::inside(*p));
                let points: Vec<Point> = places.map(|p| self.drawn(p)).collect();
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
                    // On a log axis bars stand on the axis.
                    let ground = self.y.place(0.0).unwrap_or(0.0);
                    let [from, to, height, ground] = [from, to, height, ground].map(|place| place.clamp(0.0, 1.0));
                    let (from, to, top, bottom) =
                        (self.at_x(from), self.at_x(to), self.at_y(height), self.at_y(ground));
                    let space = if to - from > 4.0 { 1.0 } else { 0.0 };
                    if bottom - top > 0.0 && to > from {
                        let size = (to - from - space, bottom - top);
                        self.items.push(Item::Rect { at: (from + space / 2.0, top), size, color, alpha });
                    }
                }
            }
            Shape::Map { .. } | Shape::Images { .. } | Shape::Panels { .. } => {}
        }
    }

    fn axis_lines(&mut self, x_ticks: &[Tick]) {
        let (left, bottom) = (self.left, self.bottom);
        self.items.push(Item::Path {
            points: vec![(left, self.top), (left, bottom), (self.right, bottom)],
            color: INK,
            width: 1.0,
            dashed: false,
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
        let picture = Picture { rows: STEPS, columns: 1, pixels };
        self.items.push(Item::Image { at, size: (BAR, height), picture, window: None });
        debug_assert!(!axis.flipped);
        for tick in ticks {
            let y = self.at_y(tick.place);
            self.line((at.0 + BAR, y), (at.0 + BAR + 4.0, y), INK, 1.0);
            self.text((at.0 + BAR + GAP, y + 0.36 * SMALL), &tick.label, SMALL, Anchor::Start);
        }
    }

    fn words(&mut self) {
        let figure = self.figure;
        let (middle, height) = ((self.left + self.right) / 2.0, self.height);
        if !figure.title.is_empty() {
            let half = font::width(&figure.title, TITLE) / 2.0;
            // A figure made narrow still has its title in sight.
            let middle = if figure.equal { middle.min(self.width - EDGE - half).max(EDGE + half) } else { middle };
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
                let (x, color) = (self.left + x, palette::series(series.color));
                match series.shape {
                    Shape::Line { dashed, .. } => {
                        let points = vec![(x, y), (x + SAMPLE - 8.0, y)];
                        self.items.push(Item::Path { points, color, width: 2.5, dashed });
                    }
                    Shape::Rule { .. } => {
                        let points = vec![(x, y), (x + SAMPLE - 8.0, y)];
                        self.items.push(Item::Path { points, color, width: 1.5, dashed: true });
                    }
                    Shape::Band { .. } => {
                        let (at, size) = ((x, y - 6.0), (SAMPLE - 8.0, 12.0));
                        self.items.push(Item::Rect { at, size, color, alpha: BAND });
                    }
                    Shape::Spans { .. } => {
                        let middle = x + (SAMPLE - 8.0) / 2.0;
                        self.line((middle, y - 7.0), (middle, y + 7.0), color, 2.0);
                    }
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

/// Runs of what has a place; what has none breaks them.
fn pieces<T>(places: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut pieces = vec![vec![]];
    for place in places {
        match (place, pieces.last_mut()) {
            (Some(place), Some(piece)) => piece.push(place),
            _ => pieces.push(vec![]),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
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
