//! A scene as pixels, and pixels as PNG.

use tiny_skia::{FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform};
use ttf_parser::OutlineBuilder;

use super::figure::Picture;
use super::font;
use super::palette::Color;
use super::scene::{Anchor, Item, Point, Scene};
use crate::formats::picture::write_png;

/// Pixels for a point.
const SCALE: f64 = 2.0;
/// More pixels are not made.
const LARGEST: f64 = 1e8;

/// The scene as a PNG; an error says what is too large.
pub fn picture(scene: &Scene) -> Result<Vec<u8>, String> {
    let (w, h) = ((scene.width * SCALE).round(), (scene.height * SCALE).round());
    let pixmap = if w * h <= LARGEST { Pixmap::new(w as u32, h as u32) } else { None };
    let Some(mut pixmap) = pixmap else {
        return Err(format!("a picture of {w} by {h} pixels is too large"));
    };
    pixmap.fill(tiny_skia::Color::WHITE);
    for item in &scene.items {
        draw(&mut pixmap, item, (0.0, 0.0));
    }
    let bytes: Vec<u8> = pixmap.data().chunks(4).flat_map(|p| p.iter().take(3)).copied().collect();
    write_png(h as usize, w as usize, 3, &bytes).map_err(|problem| problem.what)
}

fn paint(color: Color, alpha: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(color.0, color.1, color.2, (alpha * 255.0).round() as u8);
    paint
}

fn path(points: &[Point]) -> PathBuilder {
    let mut builder = PathBuilder::new();
    for (i, p) in points.iter().enumerate() {
        let (x, y) = (p.0 as f32, p.1 as f32);
        if i == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
    }
    builder
}

/// Draws an item whose places count from `origin`.
fn draw(pixmap: &mut Pixmap, item: &Item, origin: Point) {
    let scaled = Transform::from_translate(origin.0 as f32, origin.1 as f32)
        .post_concat(Transform::from_scale(SCALE as f32, SCALE as f32));
    match item {
        Item::Rect { at, size, color, alpha } => {
            if let Some(rect) = Rect::from_xywh(at.0 as f32, at.1 as f32, size.0 as f32, size.1 as f32) {
                pixmap.fill_rect(rect, &paint(*color, *alpha), scaled, None);
            }
        }
        Item::Path { points, color, width, dashed } => {
            let round = points.len() > 2;
            let stroke = Stroke {
                width: *width as f32,
                line_cap: if round { LineCap::Round } else { LineCap::Butt },
                line_join: if round { LineJoin::Round } else { LineJoin::Miter },
                dash: if *dashed { StrokeDash::new(vec![6.0, 4.0], 0.0) } else { None },
                ..Stroke::default()
            };
            if let Some(path) = path(points).finish() {
                pixmap.stroke_path(&path, &paint(*color, 1.0), &stroke, scaled, None);
            }
        }
        Item::Area { points, color, alpha } => {
            let mut builder = path(points);
            builder.close();
            if let Some(path) = builder.finish() {
                pixmap.fill_path(&path, &paint(*color, *alpha), FillRule::Winding, scaled, None);
            }
        }
        Item::Group { at, items } => {
            for item in items {
                draw(pixmap, item, (origin.0 + at.0, origin.1 + at.1));
            }
        }
        Item::Dots { points, radius, color, alpha } => {
            let paint = paint(*color, *alpha);
            for p in points {
                if let Some(path) = PathBuilder::from_circle(p.0 as f32, p.1 as f32, *radius as f32) {
                    pixmap.fill_path(&path, &paint, FillRule::Winding, scaled, None);
                }
            }
        }
        Item::Text { at, text, size, anchor, color, upwards } => {
            let shift = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => -0.5 * font::width(text, *size),
                Anchor::End => -font::width(text, *size),
            };
            let turn = if *upwards { Transform::from_rotate(-90.0) } else { Transform::identity() };
            let placed = turn.post_concat(Transform::from_translate(at.0 as f32, at.1 as f32)).post_concat(scaled);
            font::outlines(text, *size, |x, unit, curves| {
                let mut pen = Pen { path: PathBuilder::new(), x: (x + shift) as f32, unit: unit as f32 };
                curves(&mut pen);
                if let Some(path) = pen.path.finish() {
                    pixmap.fill_path(&path, &paint(*color, 1.0), FillRule::Winding, placed, None);
                }
            });
        }
        Item::Image { at, size, picture, window } => {
            let moved = |p: Point| (p.0 + origin.0, p.1 + origin.1);
            let window = window.map(|(from, to)| (moved(from), moved(to)));
            cells(pixmap, moved(*at), *size, picture, window);
        }
    }
}

/// Each pixel takes the color of the cell in which its center lies: no blur between cells.
fn cells(pixmap: &mut Pixmap, at: Point, size: Point, picture: &Picture, window: Option<(Point, Point)>) {
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let (first, last) = window.unwrap_or((at, (at.0 + size.0, at.1 + size.1)));
    let ends = |from: f64, to: f64, limit: usize| {
        let clamp = |v: f64| (v * SCALE).round().clamp(0.0, limit as f64) as usize;
        (clamp(from), clamp(to))
    };
    let ((x0, x1), (y0, y1)) = (ends(first.0, last.0, width), ends(first.1, last.1, height));
    let cell = |i: usize, from: f64, size: f64, count: usize| {
        let place = ((i as f64 + 0.5) / SCALE - from) / size;
        ((place * count as f64) as usize).min(count.saturating_sub(1))
    };
    let data = pixmap.data_mut();
    for y in y0..y1 {
        let row = cell(y, at.1, size.1, picture.rows);
        for x in x0..x1 {
            let color = picture.at(row, cell(x, at.0, size.0, picture.columns));
            let start = 4 * (y * width + x);
            if let Some(pixel) = data.get_mut(start..start + 4) {
                pixel.copy_from_slice(&[color.0, color.1, color.2, 0xff]);
            }
        }
    }
}

/// Draws the outlines of a glyph, whose y grows upwards.
struct Pen {
    path: PathBuilder,
    x: f32,
    unit: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.unit, -y * self.unit)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let p = self.at(x, y);
        self.path.move_to(p.0, p.1);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let p = self.at(x, y);
        self.path.line_to(p.0, p.1);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (c, p) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(c.0, c.1, p.0, p.1);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (c, d, p) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(c.0, c.1, d.0, d.1, p.0, p.1);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
