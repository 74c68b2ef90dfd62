//! Figures: from data to SVG, PNG and text.
//!
//! `figure`: what is to be shown. `axis`: ranges and ticks. `layout`: a figure becomes a `scene`, which is lines, dots and
//! text at places; `clip` leaves out what lies beyond the axes, `grid` places pictures and figures beside each other. `svg` and `raster` write a scene; `terminal` draws a figure in characters. `font` measures text and gives
//! its outlines; `palette` chooses colors. Nothing here knows of values or files.

pub mod axis;
pub mod clip;
pub mod figure;
pub mod font;
pub mod grid;
pub mod layout;
pub mod palette;
pub mod raster;
pub mod scene;
pub mod svg;
pub mod terminal;
