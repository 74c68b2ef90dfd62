//! A figure as lines, dots, text and pictures at places: what SVG and PNG have in common.
//!
//! Places are in points from the top left corner.

use super::figure::Picture;
use super::palette::Color;

/// All that is drawn, in order, on white.
pub struct Scene {
    pub width: f64,
    pub height: f64,
    pub items: Vec<Item>,
}

/// A place.
pub type Point = (f64, f64);

/// One thing to draw.
pub enum Item {
    /// A filled rectangle; `alpha` from 0 (unseen) to 1.
    Rect { at: Point, size: Point, color: Color, alpha: f64 },
    /// Lines through points, with round ends.
    Path { points: Vec<Point>, color: Color, width: f64, dashed: bool },
    /// The inside of a polygon.
    Area { points: Vec<Point>, color: Color, alpha: f64 },
    /// Filled circles.
    Dots { points: Vec<Point>, radius: f64, color: Color, alpha: f64 },
    /// Text whose `anchor` lies at the place, on its base line.
    Text { at: Point, text: String, size: f64, anchor: Anchor, color: Color, upwards: bool },
    /// Pixels as large as the place asks, with hard edges; only what lies between two corners, if `window` has them.
    Image { at: Point, size: Point, picture: Picture, window: Option<(Point, Point)> },
    /// Other things, whose places count from `at`.
    Group { at: Point, items: Vec<Item> },
}

/// Which part of a text lies at its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}
