//! A scene as SVG text. Numbers have two decimals at most; text stays text, so that it can be searched and restyled.

use std::fmt::Write;

use super::figure::Picture;
use super::palette::Color;
use super::scene::{Anchor, Item, Point, Scene};
use crate::formats::picture::write_png;

/// The document.
pub fn svg(scene: &Scene) -> String {
    let (w, h) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n"
    );
    for item in &scene.items {
        // Writing to a String cannot fail.
        let _ = write_item(&mut out, item);
    }
    out.push_str("</svg>\n");
    out
}

fn write_item(out: &mut String, item: &Item) -> std::fmt::Result {
    match item {
        Item::Rect { at, size, color, alpha } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{}/>",
            number(at.0),
            number(at.1),
            number(size.0),
            number(size.1),
            hex(*color),
            opacity(*alpha)
        ),
        Item::Path { points, color, width, dashed } => {
            write!(out, "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" ", hex(*color), number(*width))?;
            if points.len() > 2 {
                out.push_str("stroke-linecap=\"round\" stroke-linejoin=\"round\" ");
            }
            if *dashed {
                out.push_str("stroke-dasharray=\"6 4\" ");
            }
            writeln!(out, "points=\"{}\"/>", pairs(points))
        }
        Item::Area { points, color, alpha } => {
            writeln!(out, "<polygon fill=\"{}\"{} points=\"{}\"/>", hex(*color), opacity(*alpha), pairs(points))
        }
        Item::Group { at, items } => {
            writeln!(out, "<g transform=\"translate({} {})\">", number(at.0), number(at.1))?;
            items.iter().try_for_each(|item| write_item(out, item))?;
            writeln!(out, "</g>")
        }
        Item::Dots { points, radius, color, alpha } => {
            writeln!(out, "<g fill=\"{}\"{}>", hex(*color), opacity(*alpha))?;
            for p in points {
                writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"/>", number(p.0), number(p.1), number(*radius))?;
            }
            writeln!(out, "</g>")
        }
        Item::Text { at, text, size, anchor, color, upwards } => {
            let (x, y) = (number(at.0), number(at.1));
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let turn = if *upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>{}</text>",
                number(*size),
                hex(*color),
                escaped(text)
            )
        }
        Item::Image { at, size, picture, window } => {
            if let Some((from, to)) = window {
                // A picture within a picture shows nothing beyond its edges.
                let [x, y, w, h] = [from.0, from.1, to.0 - from.0, to.1 - from.1].map(number);
                writeln!(out, "<svg x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" viewBox=\"{x} {y} {w} {h}\">")?;
            }
            write_image(out, *at, *size, picture)?;
            if window.is_some() { writeln!(out, "</svg>") } else { Ok(()) }
        }
    }
}

fn write_image(out: &mut String, at: Point, size: Point, picture: &Picture) -> std::fmt::Result {
    writeln!(
        out,
        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{}\"/>",
        number(at.0),
        number(at.1),
        number(size.0),
        number(size.1),
        base64(&encoded(picture))
    )
}

fn encoded(picture: &Picture) -> Vec<u8> {
    let bytes: Vec<u8> = picture.pixels.iter().flat_map(|c| [c.0, c.1, c.2]).collect();
    write_png(picture.rows, picture.columns, 3, &bytes).unwrap_or_default()
}

fn pairs(points: &[Point]) -> String {
    points.iter().map(|p| format!("{},{}", number(p.0), number(p.1))).collect::<Vec<_>>().join(" ")
}

fn opacity(alpha: f64) -> String {
    if alpha < 1.0 { format!(" fill-opacity=\"{}\"", number(alpha)) } else { String::new() }
}

fn hex(c: Color) -> String {
    format!("#{:02x}{:02x}{:02x}", c.0, c.1, c.2)
}

fn number(v: f64) -> String {
    let text = format!("{v:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

/// Without what XML would take for marks, and without the control characters that it forbids.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().chain(&[0, 0]).take(3).fold(0u32, |bits, b| bits << 8 | u32::from(*b));
        for i in 0..4 {
            let sign = SIGNS.get((bits >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if i <= group.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(escaped("a<b & c>\u{0}\"d\""), "a&lt;b &amp; c&gt; \"d\"");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(12.5), "12.5");
        assert_eq!(number(100.0), "100");
    }
}
