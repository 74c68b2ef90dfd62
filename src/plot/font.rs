//! The font of figures: how wide a text is, and its outlines. DejaVu Sans, cut down to Latin-1, Greek and some signs; its licence
//! lies beside it in `fonts/`. What it lacks is shown by its box for missing signs.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

/// The parsed font and the size of one of its units for text of size 1.
fn face() -> Option<(Face<'static>, f64)> {
    let face = Face::parse(FONT, 0).ok()?;
    let unit = 1.0 / f64::from(face.units_per_em());
    Some((face, unit))
}

fn glyphs(face: &Face, text: &str) -> Vec<(GlyphId, f64)> {
    let glyph = |c| face.glyph_index(c).or(face.glyph_index('\u{fffd}')).unwrap_or(GlyphId(0));
    text.chars().map(glyph).map(|g| (g, f64::from(face.glyph_hor_advance(g).unwrap_or(0)))).collect()
}

/// How wide a text is.
pub fn width(text: &str, size: f64) -> f64 {
    let Some((face, unit)) = face() else { return 0.6 * size * text.chars().count() as f64 };
    glyphs(&face, text).iter().map(|(_, advance)| advance).sum::<f64>() * unit * size
}

/// Draws the outlines of a text. For each glyph, `place` gets the distance from the start of the text and the size of a unit, and
/// gives what takes its curves.
pub fn outlines(text: &str, size: f64, mut glyph: impl FnMut(f64, f64, &dyn Fn(&mut dyn OutlineBuilder))) {
    let Some((face, unit)) = face() else { return };
    let mut x = 0.0;
    for (id, advance) in glyphs(&face, text) {
        glyph(x, unit * size, &|builder| {
            let _ = face.outline_glyph(id, builder);
        });
        x += advance * unit * size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_labels_need() {
        let (face, _) = face().unwrap();
        for c in "AZaz09 .,-+()[]{}%#@\u{2212}\u{d7}\u{b2}\u{b0}\u{e4}\u{df}\u{b1}\u{3b1}\u{3c9}\u{3a3}\u{2264}".chars()
        {
            assert!(face.glyph_index(c).is_some(), "{c}");
        }
        assert!((width("00", 10.0) - 2.0 * width("1", 10.0)).abs() < 1e-9, "digits are equally wide");
        assert!(width("\u{4e2d}", 10.0) > 0.0);
    }
}
