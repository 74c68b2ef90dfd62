//! Pictures and figures beside each other.

use super::figure::{Figure, Picture};
use super::font;
use super::layout::{self, EDGE, INK, SMALL, TITLE};
use super::scene::{Anchor, Item, Point, Scene};

/// Between pictures.
const SPACE: f64 = 8.0;

fn centered(at: Point, text: &str, size: f64) -> Item {
    Item::Text { at, text: text.to_string(), size, anchor: Anchor::Middle, color: INK, upwards: false }
}

/// Where the grid starts below the title.
fn top(figure: &Figure) -> f64 {
    EDGE + if figure.title.is_empty() { 0.0 } else { TITLE + 12.0 }
}

/// Pictures of one size with their labels.
pub fn images(figure: &Figure, images: &[Picture], columns: usize, labels: &[String]) -> Scene {
    let columns = columns.clamp(1, images.len().max(1));
    let rows = images.len().div_ceil(columns);
    let wide = ((figure.width - 2.0 * EDGE + SPACE) / columns as f64 - SPACE).max(1.0);
    let shape = images.first().map_or(1.0, |p| p.rows as f64 / p.columns.max(1) as f64);
    let tall = wide * shape;
    let under = if labels.is_empty() { SPACE } else { SMALL + 2.0 * SPACE };
    let top = top(figure);
    let mut items = vec![];
    if !figure.title.is_empty() {
        items.push(centered((figure.width / 2.0, EDGE + 0.8 * TITLE), &figure.title, TITLE));
    }
    for (i, picture) in images.iter().enumerate() {
        let at = (EDGE + (i % columns) as f64 * (wide + SPACE), top + (i / columns) as f64 * (tall + under));
        items.push(Item::Image { at, size: (wide, tall), picture: picture.clone(), window: None });
        if let Some(label) = labels.get(i) {
            items.push(centered((at.0 + wide / 2.0, at.1 + tall + SMALL + 2.0), label, SMALL));
        }
    }
    let height = top + rows as f64 * (tall + under) - SPACE + EDGE;
    Scene { width: figure.width, height: height.ceil(), items }
}

/// Figures, each of its own size; a column is as wide as its widest, a row as high as its highest.
pub fn panels(figure: &Figure, figures: &[Figure], columns: usize) -> Scene {
    let columns = columns.clamp(1, figures.len().max(1));
    let scenes: Vec<Scene> = figures.iter().map(layout::scene).collect();
    let largest = |sizes: &mut dyn Iterator<Item = f64>| sizes.fold(0.0, f64::max);
    let widths: Vec<f64> =
        (0..columns).map(|j| largest(&mut scenes.iter().skip(j).step_by(columns).map(|s| s.width))).collect();
    let title = font::width(&figure.title, TITLE) + 2.0 * EDGE;
    let width = widths.iter().sum::<f64>().max(if figure.title.is_empty() { 0.0 } else { title });
    let mut items = vec![];
    let mut y = if figure.title.is_empty() { 0.0 } else { top(figure) };
    if !figure.title.is_empty() {
        items.push(centered((width / 2.0, EDGE + 0.8 * TITLE), &figure.title, TITLE));
    }
    let mut scenes = scenes.into_iter().peekable();
    while scenes.peek().is_some() {
        let (mut x, mut tall) = (0.0, 0.0f64);
        for (scene, wide) in scenes.by_ref().take(columns).zip(&widths) {
            tall = tall.max(scene.height);
            let free = (wide - scene.width) / 2.0;
            items.push(Item::Group { at: (x + free, y), items: scene.items });
            x += wide;
        }
        y += tall;
    }
    Scene { width, height: y.ceil(), items }
}
