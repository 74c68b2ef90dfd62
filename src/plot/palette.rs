//! Colors: of series, told apart also by the color-blind (Okabe and Ito, "Color Universal Design", 2008), and of heat maps.

/// Red, green, blue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Color(pub u8, pub u8, pub u8);

/// Of the series in order, from the start again where there are more. The yellow of Okabe and Ito is too light on white.
const SERIES: [Color; 10] = [
    Color(0x00, 0x72, 0xb2),
    Color(0xd5, 0x5e, 0x00),
    Color(0x00, 0x9e, 0x73),
    Color(0xcc, 0x79, 0xa7),
    Color(0xe6, 0x9f, 0x00),
    Color(0x56, 0xb4, 0xe9),
    Color(0x66, 0x66, 0x66),
    Color(0x8c, 0x56, 0x1e),
    Color(0x6b, 0x3f, 0xa0),
    Color(0x8a, 0x9a, 0x1b),
];

/// The color of a series; gray for what belongs to none.
pub fn series(place: Option<usize>) -> Color {
    place.and_then(|i| SERIES.get(i % SERIES.len()).copied()).unwrap_or(gray(0x55))
}

/// Points of the map "viridis" (van der Walt and Smith, 2015, CC0), evenly spaced: lightness grows evenly.
const HEAT: [Color; 9] = [
    Color(0x44, 0x01, 0x54),
    Color(0x47, 0x2d, 0x7b),
    Color(0x3b, 0x52, 0x8b),
    Color(0x2c, 0x72, 0x8e),
    Color(0x21, 0x91, 0x8c),
    Color(0x28, 0xae, 0x80),
    Color(0x5e, 0xc9, 0x62),
    Color(0xad, 0xdc, 0x30),
    Color(0xfd, 0xe7, 0x25),
];

/// The color of a number from 0 to 1.
pub fn heat(share: f64) -> Color {
    let place = share.clamp(0.0, 1.0) * (HEAT.len() - 1) as f64;
    let i = (place as usize).min(HEAT.len() - 2);
    let (Some(a), Some(b)) = (HEAT.get(i), HEAT.get(i + 1)) else { return gray(0) };
    a.mixed(*b, place - i as f64)
}

pub const fn gray(level: u8) -> Color {
    Color(level, level, level)
}

impl Color {
    /// This color with `share` of another.
    pub fn mixed(self, other: Color, share: f64) -> Color {
        let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
        Color(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Brightness as the eye sees it, from 0 to 1.
    pub fn brightness(self) -> f64 {
        (0.299 * f64::from(self.0) + 0.587 * f64::from(self.1) + 0.114 * f64::from(self.2)) / 255.0
    }
}
