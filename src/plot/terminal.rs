//! A figure in characters: one series in dots of braille (two by four in a cell), several in a sign of their own each where there is
//! no color, bars in blocks, maps and pictures in shades or in colors, figures that stand beside each other one below the other.

use super::axis::{Axis, Tick};
use super::clip;
use super::figure::{Figure, Matrix, Picture, Series, Shape};
use super::layout;
use super::palette::{self, Color};
use super::scene::Point;

/// Rows between the axes.
const ROWS: usize = 16;
const SIGNS: [char; 10] = ['\u{2022}', 'x', 'o', '+', '*', '#', '@', '%', '&', '='];
/// What bands are filled with.
const LIGHT: char = '\u{2591}';

/// The figure in lines at most `width` wide; `color` for a terminal that shows colors.
pub fn text(figure: &Figure, width: usize, color: bool) -> String {
    let width = width.max(20);
    let mut lines = vec![];
    if !figure.title.is_empty() {
        lines.push(centered(&figure.title, width));
    }
    let whole = |s: &&Series| matches!(s.shape, Shape::Images { .. } | Shape::Map { .. } | Shape::Panels { .. });
    let only = figure.series.iter().find(whole);
    match only.map(|s| &s.shape) {
        Some(Shape::Images { images, columns, labels }) => {
            image_lines(images, *columns, labels, width, color, &mut lines)
        }
        Some(Shape::Panels { figures, .. }) => {
            let texts: Vec<String> = figures.iter().map(|one| text(one, width, color)).collect();
            lines.extend(texts.join("\n").lines().map(String::from));
        }
        Some(Shape::Map { cells, y, .. }) => map_lines(cells, y.is_some(), width, color, &mut lines),
        _ => plot_lines(figure, width, color, &mut lines),
    }
    lines.extend(figure.left_out().map(|note| format!("({note})")));
    let mut out = String::new();
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn centered(text: &str, width: usize) -> String {
    let count = text.chars().count();
    format!("{}{text}", " ".repeat(width.saturating_sub(count) / 2))
}

/// Dots or signs in cells, each of the series that came last.
struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<(char, Option<Color>)>,
}

const BRAILLE: u32 = 0x2800;

impl Canvas {
    fn new(columns: usize, rows: usize) -> Canvas {
        Canvas { columns, rows, cells: vec![(' ', None); columns * rows] }
    }

    /// Dots from the left and from the top at a place between the axes.
    fn at(&self, place: Point) -> (i64, i64) {
        let across = place.0 * (2 * self.columns - 1) as f64;
        (across.round() as i64, dot_row(place.1, self.rows))
    }

    /// Sets a dot of braille, or the whole cell to a sign. From the top left corner.
    fn dot(&mut self, x: i64, y: i64, color: Color, sign: Option<char>) {
        // Dots 1 to 8 of a cell: two columns of three, then the fourth row.
        const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x < 0 || y < 0 || x >= 2 * self.columns as i64 || y >= 4 * self.rows as i64 {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) else { return };
        let bit = BITS.get(y % 4).and_then(|row| row.get(x % 2)).copied().unwrap_or(0);
        let before = (cell.0 as u32).checked_sub(BRAILLE).filter(|bits| *bits < 256).unwrap_or(0);
        let now = sign.or(char::from_u32(BRAILLE + (before | bit))).unwrap_or(' ');
        *cell = (now, Some(color));
    }

    fn line(&mut self, from: (i64, i64), to: (i64, i64), color: Color, sign: Option<char>) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        for i in 0..=steps {
            let between = |a: i64, b: i64| a + ((b - a) as f64 * i as f64 / steps as f64).round() as i64;
            self.dot(between(from.0, to.0), between(from.1, to.1), color, sign);
        }
    }

    fn row(&self, row: usize, color: bool) -> String {
        let cells = self.cells.iter().skip(row * self.columns).take(self.columns);
        if !color {
            return cells.map(|(c, _)| *c).collect();
        }
        let mut out = String::new();
        for (c, series) in cells {
            match series {
                Some(color) => out.push_str(&painted(*c, *color)),
                None => out.push(*c),
            }
        }
        out
    }
}

fn painted(c: impl std::fmt::Display, color: Color) -> String {
    format!("\u{1b}[38;5;{}m{c}\u{1b}[0m", cube(color))
}

/// The nearest of the 216 colors that terminals share.
fn cube(color: Color) -> u8 {
    let step = |v: u8| (u32::from(v) * 5 + 127) / 255;
    (16 + 36 * step(color.0) + 6 * step(color.1) + step(color.2)) as u8
}

fn plot_lines(figure: &Figure, width: usize, color: bool, lines: &mut Vec<String>) {
    let (x, y) = layout::axes(figure);
    let y_ticks = y.ticks(5);
    let left = y_ticks.iter().map(|t| t.label.chars().count()).max().unwrap_or(0);
    let most = width.saturating_sub(left + 2).max(10);
    let (columns, rows) = if figure.equal { equal_sides(x.width() / y.width(), most) } else { (most, ROWS) };
    let numbered = |s: &&Series| !matches!(s.shape, Shape::Band { .. } | Shape::Rule { .. });
    let first = figure.series.iter().find(numbered).map(|s| s.color);
    // Whatever has one color is one set of data, as dots and their bars are.
    let several = figure.series.iter().filter(numbered).any(|s| Some(s.color) != first);
    let mut canvas = Canvas::new(columns, rows);
    let layer = |shape: &Shape| match shape {
        Shape::Band { .. } => 0,
        Shape::Rule { .. } => 1,
        Shape::Spans { .. } => 2,
        _ => 3,
    };
    for now in 0..4 {
        for series in figure.series.iter().filter(|s| layer(&s.shape) == now) {
            draw(&mut canvas, series, sign(series, several, color), (&x, &y), several);
        }
    }
    lines.extend(legend(figure, several, color));
    if !figure.y_label.is_empty() {
        lines.push(figure.y_label.clone());
    }
    let row_of = |t: &Tick| dot_row(t.place, rows).clamp(0, 4 * rows as i64 - 1) as usize / 4;
    for row in 0..rows {
        let tick = y_ticks.iter().find(|t| row_of(t) == row);
        let (label, mark) = tick.map_or(("", '\u{2502}'), |t| (t.label.as_str(), '\u{2524}'));
        lines.push(format!("{label:>left$} {mark}{}", canvas.row(row, color)));
    }
    x_axis(&x, left, columns, lines);
    if !figure.x_label.is_empty() {
        lines.push(format!("{}{}", " ".repeat(left + 2), centered(&figure.x_label, columns)));
    }
}

/// Columns and rows, at most `most` columns, of an area that is `shape` times as wide as high: dots are as wide as high.
fn equal_sides(shape: f64, most: usize) -> (usize, usize) {
    let columns = (2.0 * ROWS as f64 * shape).round();
    if columns <= most as f64 {
        return ((columns as usize).max(2), ROWS);
    }
    (most, ((most as f64 / (2.0 * shape)).round() as usize).max(2))
}

fn dot_row(place: f64, rows: usize) -> i64 {
    ((1.0 - place) * (4 * rows - 1) as f64).round() as i64
}

/// What a series is drawn with; none for dots of braille.
fn sign(series: &Series, several: bool, color: bool) -> Option<char> {
    match series.shape {
        Shape::Rule { upright: false, .. } => Some('-'),
        Shape::Rule { .. } => Some(':'),
        Shape::Spans { .. } if several && !color => Some('|'),
        _ if several && !color => series.color.and_then(|i| SIGNS.get(i % SIGNS.len()).copied()),
        _ => None,
    }
}

fn draw(canvas: &mut Canvas, series: &Series, sign: Option<char>, (x, y): (&Axis, &Axis), several: bool) {
    let color = palette::series(series.color);
    let place = |a: f64, b: f64| x.place(a).zip(y.place(b)).filter(|p| p.0.is_finite() && p.1.is_finite());
    let join = |canvas: &mut Canvas, from: Point, to: Point| {
        if let Some((from, to)) = clip::segment(from, to) {
            canvas.line(canvas.at(from), canvas.at(to), color, sign);
        }
    };
    match &series.shape {
        Shape::Line { x, y, .. } => {
            let mut before = None;
            for (&a, &b) in x.iter().zip(y) {
                let now = place(a, b);
                if let Some(to) = now {
                    join(canvas, before.unwrap_or(to), to);
                }
                before = now;
            }
        }
        Shape::Points { x, y } => {
            for place in x.iter().zip(y).filter_map(|(&a, &b)| place(a, b)).filter(|p| clip::inside(*p)) {
                let (across, down) = canvas.at(place);
                canvas.dot(across, down, color, sign);
            }
        }
        Shape::Spans { x, low, high } => {
            for (&a, (&low, &high)) in x.iter().zip(low.iter().zip(high)) {
                if let Some((from, to)) = place(a, low).zip(place(a, high)) {
                    join(canvas, from, to);
                }
            }
        }
        Shape::Rule { at, upright } => {
            let axis = if *upright { x } else { y };
            if let Some(p) = axis.place(*at) {
                let (from, to) = if *upright { ((p, 0.0), (p, 1.0)) } else { ((0.0, p), (1.0, p)) };
                join(canvas, from, to);
            }
        }
        Shape::Band { x, low, high } => {
            let mut before = None;
            for (&a, (&low, &high)) in x.iter().zip(low.iter().zip(high)) {
                let now = place(a, low).zip(place(a, high));
                if let Some(to) = now {
                    shade_between(canvas, before.unwrap_or(to), to, color);
                }
                before = now;
            }
        }
        Shape::Bars { edges, counts, .. } if several => {
            let dot = |place: Point| canvas_place(canvas, place);
            let ground = dot((0.0, 0.0)).1;
            let mut height = ground;
            let mut end = 0;
            let mut strokes = vec![];
            for (pair, &count) in edges.windows(2).zip(counts) {
                let [a, b] = pair else { continue };
                let (Some(from), Some(to)) = (x.place(*a), x.place(*b)) else { continue };
                let (from, to) = (dot((from, 0.0)).0, dot((to, 0.0)).0);
                let top = y.place(count).map_or(ground, |p| dot((0.0, p)).1);
                strokes.extend([((from, height), (from, top)), ((from, top), (to, top))]);
                (height, end) = (top, to);
            }
            strokes.push(((end, height), (end, ground)));
            for (from, to) in strokes {
                canvas.line(from, to, color, sign);
            }
        }
        Shape::Bars { edges, counts, .. } => {
            let rows = canvas.rows;
            for column in 0..canvas.columns {
                let center = (column as f64 + 0.5) / canvas.columns as f64;
                let inside = |pair: &[f64]| match pair {
                    [a, b] => x.place(*a).is_some_and(|p| p <= center) && x.place(*b).is_some_and(|p| center < p),
                    _ => false,
                };
                let count = edges.windows(2).zip(counts).find(|(pair, _)| inside(pair)).map_or(0.0, |(_, c)| *c);
                let eighths = (y.place(count).unwrap_or(0.0) * (8 * rows) as f64).round().max(0.0) as usize;
                for row in 0..rows {
                    let full = eighths.saturating_sub(8 * (rows - 1 - row)).min(8);
                    if full > 0
                        && let Some(cell) = canvas.cells.get_mut(row * canvas.columns + column)
                    {
                        *cell = (char::from_u32(0x2580 + full as u32).unwrap_or(' '), Some(color));
                    }
                }
            }
        }
        Shape::Map { .. } | Shape::Images { .. } | Shape::Panels { .. } => {}
    }
}

/// Dots at a place between the axes, and at their ends for what lies beyond.
fn canvas_place(canvas: &Canvas, place: Point) -> (i64, i64) {
    canvas.at((place.0.clamp(0.0, 1.0), place.1.clamp(0.0, 1.0)))
}

/// Fills the cells between two pairs of places, each pair with one x.
fn shade_between(canvas: &mut Canvas, from: (Point, Point), to: (Point, Point), color: Color) {
    let columns = canvas.columns as f64;
    let (start, end) = (from.0.0.min(to.0.0), from.0.0.max(to.0.0));
    if end < 0.0 || start > 1.0 {
        return;
    }
    let column = |place: f64| (place.clamp(0.0, 1.0) * columns).floor().min(columns - 1.0) as usize;
    for i in column(start)..=column(end) {
        let wide = to.0.0 - from.0.0;
        let part = if wide == 0.0 { 0.0 } else { (((i as f64 + 0.5) / columns - from.0.0) / wide).clamp(0.0, 1.0) };
        let (low, high) = (from.0.1 + part * (to.0.1 - from.0.1), from.1.1 + part * (to.1.1 - from.1.1));
        for row in 0..canvas.rows {
            let place = 1.0 - (row as f64 + 0.5) / canvas.rows as f64;
            if (low.min(high)..=low.max(high)).contains(&place)
                && let Some(cell) = canvas.cells.get_mut(row * canvas.columns + i)
            {
                *cell = (LIGHT, Some(color));
            }
        }
    }
}

fn legend(figure: &Figure, several: bool, color: bool) -> Option<String> {
    let entry = |s: &Series| {
        let mark = match s.shape {
            Shape::Band { .. } => Some(LIGHT),
            _ => sign(s, several, color),
        };
        match (mark, color) {
            (Some(mark), false) => format!("{mark} {}", s.label),
            (Some(mark), true) => painted(format!("{mark}{mark} {}", s.label), palette::series(s.color)),
            (None, true) => painted(format!("\u{2501}\u{2501} {}", s.label), palette::series(s.color)),
            (None, false) => s.label.clone(),
        }
    };
    let entries: Vec<String> = figure.series.iter().filter(|s| !s.label.is_empty()).map(entry).collect();
    if entries.is_empty() { None } else { Some(format!("  {}", entries.join("   "))) }
}

fn x_axis(x: &Axis, left: usize, columns: usize, lines: &mut Vec<String>) {
    let mut ticks = x.ticks((columns / 12).max(2));
    ticks.sort_by(|a, b| a.place.total_cmp(&b.place));
    let mut marks = vec!['\u{2500}'; columns];
    let mut labels: Vec<char> = vec![];
    for tick in ticks {
        let column = (tick.place * (columns - 1) as f64).round() as usize;
        let wide = tick.label.chars().count();
        // One place further right than the marks, for the axis between.
        let start = (column + 1).saturating_sub(wide / 2);
        if start < labels.len() + usize::from(!labels.is_empty()) || start + wide > columns + 1 {
            continue;
        }
        if let Some(mark) = marks.get_mut(column) {
            *mark = '\u{252c}';
        }
        labels.resize(start, ' ');
        labels.extend(tick.label.chars());
    }
    let space = " ".repeat(left + 1);
    lines.push(format!("{space}\u{2514}{}", marks.into_iter().collect::<String>()));
    lines.push(format!("{space}{}", labels.into_iter().collect::<String>()));
}

/// From dark to light.
const SHADES: [char; 5] = [' ', '\u{2591}', '\u{2592}', '\u{2593}', '\u{2588}'];

fn shade(share: f64) -> char {
    SHADES.get((share * SHADES.len() as f64) as usize).copied().unwrap_or('\u{2588}')
}

fn map_lines(cells: &Matrix, upwards: bool, width: usize, color: bool, lines: &mut Vec<String>) {
    let Some((low, high)) = cells.range() else { return };
    let mut picture = cells.picture();
    if !color {
        // Shades are even in the numbers, not in the brightness of colors.
        let level = |v: &f64| palette::gray(super::figure::byte(super::figure::share(*v, low, high)));
        picture.pixels = cells.values.iter().map(level).collect();
    }
    if upwards {
        picture.pixels = picture.pixels.chunks(picture.columns.max(1)).rev().flatten().copied().collect();
    }
    lines.extend(picture_lines(&picture, width, color));
    let scale: String = match color {
        true => (0..=4).map(|i| painted('\u{2588}', palette::heat(f64::from(i) / 4.0))).collect(),
        false => SHADES.iter().collect(),
    };
    let axis = Axis::new(Some((low, high)), false, (0.0, 0.0));
    let ends = axis.ticks(4);
    let digits =
        ends.iter().filter_map(|t| t.label.split_once('.').map(|(_, d)| d.len() + 1)).max().unwrap_or(2).min(6);
    lines.push(format!("{low:.digits$} {scale} {high:.digits$}"));
}

fn image_lines(
    images: &[Picture],
    columns: usize,
    labels: &[String],
    width: usize,
    color: bool,
    lines: &mut Vec<String>,
) {
    let columns = columns.clamp(1, images.len().max(1)).min(width / 4);
    let wide = (width + 1) / columns - 1;
    for (row, some) in images.chunks(columns).enumerate() {
        let drawn: Vec<Vec<String>> = some.iter().map(|p| picture_lines(p, wide, color)).collect();
        let tall = drawn.iter().map(Vec::len).max().unwrap_or(0);
        // All are as wide as the first.
        let used = some.first().map_or(0, |p| extent(p, wide).0);
        for i in 0..tall {
            let parts: Vec<&str> = drawn.iter().map(|d| d.get(i).map_or("", String::as_str)).collect();
            lines.push(parts.join(" "));
        }
        let under = labels.iter().skip(row * columns).take(some.len());
        let names: Vec<String> =
            under.map(|l| format!("{:<used$}", l.chars().take(used).collect::<String>())).collect();
        if !names.is_empty() {
            lines.push(names.join(" "));
        }
    }
}

/// Columns and lines that a picture takes in at most `width` columns: two columns and one line for a pixel if that fits, or
/// more for a picture of few.
fn extent(picture: &Picture, width: usize) -> (usize, usize) {
    const SMALLEST: usize = 24;
    let columns = (2 * picture.columns).max(1);
    let wide = (columns * (SMALLEST / columns).max(1)).min(width).max(1);
    let tall = wide as f64 * picture.rows as f64 / picture.columns.max(1) as f64 / 2.0;
    (wide, (tall.round() as usize).max(1))
}

fn picture_lines(picture: &Picture, width: usize, color: bool) -> Vec<String> {
    let (wide, tall) = extent(picture, width);
    let mut out = vec![];
    for line in 0..tall {
        let mut text = String::new();
        for column in 0..wide {
            let across = (column, wide);
            if color {
                let upper = average(picture, (2 * line, 2 * tall), across);
                let lower = average(picture, (2 * line + 1, 2 * tall), across);
                text.push_str(&format!("\u{1b}[38;5;{};48;5;{}m\u{2580}", cube(upper), cube(lower)));
            } else {
                text.push(shade(average(picture, (line, tall), across).brightness()));
            }
        }
        if color {
            text.push_str("\u{1b}[0m");
        }
        out.push(text);
    }
    out
}

/// The mean color of part `i` of `n` of the rows and of the columns, at least of one pixel.
fn average(picture: &Picture, rows: (usize, usize), columns: (usize, usize)) -> Color {
    let part = |(i, n): (usize, usize), count: usize| {
        let start = i * count / n;
        start..((i + 1) * count / n).max(start + 1)
    };
    let (mut sums, mut count) = ([0u64; 3], 0);
    for row in part(rows, picture.rows) {
        for column in part(columns, picture.columns) {
            let Color(r, g, b) = picture.at(row, column);
            for (sum, v) in sums.iter_mut().zip([r, g, b]) {
                *sum += u64::from(v);
            }
            count += 1;
        }
    }
    let [r, g, b] = sums.map(|sum| (sum / count.max(1)) as u8);
    Color(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Color = Color(0, 0, 0);

    #[test]
    fn braille_has_its_dots_where_unicode_says() {
        let mut canvas = Canvas::new(1, 16);
        canvas.dot(0, 0, INK, None);
        assert_eq!(canvas.row(0, false), "\u{2801}");
        canvas.dot(1, 3, INK, None);
        assert_eq!(canvas.row(0, false), "\u{2881}");
        canvas.dot(2, 0, INK, None);
        canvas.dot(0, -1, INK, None);
        assert_eq!(canvas.row(0, false), "\u{2881}");
    }

    #[test]
    fn colors_of_the_cube() {
        assert_eq!(cube(Color(0, 0, 0)), 16);
        assert_eq!(cube(Color(255, 255, 255)), 231);
        assert_eq!(cube(Color(255, 0, 0)), 196);
    }
}
