//! PNG and JPEG as numbers between 0 and 1, and back as PNG.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Problem, count};

/// A picture `[height, width, channels]`, row by row: gray, gray and alpha, red-green-blue, or that and alpha.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    pub shape: [usize; 3],
    pub values: Vec<f32>,
}

/// The picture of a file. The bytes tell which kind it is, not its name.
pub fn read(bytes: &[u8]) -> Result<Pixels, Problem> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [0xff, 0xd8, ..] => jpeg(bytes),
        _ => {
            let kind = match bytes {
                [b'G', b'I', b'F', ..] => "a GIF file",
                [b'B', b'M', ..] => "a BMP file",
                [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP file",
                [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF file",
                [] => "empty",
                _ => "neither PNG nor JPEG",
            };
            Err(Problem::new(format!("is {kind}"))
                .help("convert it to PNG first, for example with `magick in.gif out.png`"))
        }
    }
}

/// Pixels that may be read at once.
const LARGEST: usize = 1 << 30;

fn damaged(kind: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(format!("is a damaged {kind} file: {why}")).help("fetch or make the file again")
}

fn png(bytes: &[u8]) -> Result<Pixels, Problem> {
    let limits = png::Limits { bytes: LARGEST };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    // Palettes become colors, and few bits eight.
    decoder.set_transformations(png::Transformations::EXPAND);
    let bad = |e: png::DecodingError| damaged("PNG", e);
    let mut reader = decoder.read_info().map_err(bad)?;
    let size = reader
        .output_buffer_size()
        .filter(|n| *n <= LARGEST)
        .ok_or_else(|| Problem::new("is a picture too large to be read"))?;
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data).map_err(bad)?;
    data.truncate(frame.buffer_size());
    let values = match frame.bit_depth {
        png::BitDepth::Sixteen => {
            data.chunks_exact(2).map(|c| c.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) as f32 / 65535.0).collect()
        }
        _ => data.iter().map(|b| f32::from(*b) / 255.0).collect(),
    };
    pixels("PNG", frame.height as usize, frame.width as usize, frame.color_type.samples(), values)
}

fn jpeg(bytes: &[u8]) -> Result<Pixels, Problem> {
    let bad = |e: zune_jpeg::errors::DecodeErrors| damaged("JPEG", e);
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    decoder.decode_headers().map_err(bad)?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let wanted = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(DecoderOptions::default().jpeg_set_out_colorspace(wanted));
    let data = decoder.decode().map_err(bad)?;
    let (width, height) = decoder.info().map_or((0, 0), |i| (usize::from(i.width), usize::from(i.height)));
    let values = data.iter().map(|b| f32::from(*b) / 255.0).collect();
    pixels("JPEG", height, width, if gray { 1 } else { 3 }, values)
}

fn pixels(kind: &str, height: usize, width: usize, channels: usize, values: Vec<f32>) -> Result<Pixels, Problem> {
    let shape = [height, width, channels];
    if count(&shape) != Some(values.len()) {
        return Err(damaged(kind, format!("{} numbers for {width} by {height} pixels", values.len())));
    }
    Ok(Pixels { shape, values })
}

/// A PNG of `[height, width, channels]` bytes, with 1 to 4 channels as [`Pixels`] has them.
pub fn write_png(height: usize, width: usize, channels: usize, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(format!("{width} by {height} pixels are too large for a picture"));
    let (w, h) = (u32::try_from(width).map_err(|_| too_large())?, u32::try_from(height).map_err(|_| too_large())?);
    let mut out = vec![];
    let mut encoder = png::Encoder::new(&mut out, w, h);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(bytes)?;
        writer.finish()
    });
    written.map_err(|e| Problem::new(e.to_string()))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_goes_out_and_comes_back() {
        for channels in 1..=4 {
            let bytes: Vec<u8> = (0..6 * channels as u8).map(|i| i * 10).collect();
            let back = read(&write_png(2, 3, channels, &bytes).unwrap()).unwrap();
            assert_eq!(back.shape, [2, 3, channels]);
            assert!(back.values.iter().zip(&bytes).all(|(v, b)| *v == f32::from(*b) / 255.0));
        }
    }

    #[test]
    fn sixteen_bits_and_palettes() {
        let written = |depth, color, palette: Option<Vec<u8>>, data: &[u8]| {
            let mut out = vec![];
            let mut encoder = png::Encoder::new(&mut out, 2, 1);
            encoder.set_depth(depth);
            encoder.set_color(color);
            if let Some(palette) = palette {
                encoder.set_palette(palette);
            }
            encoder.write_header().unwrap().write_image_data(data).unwrap();
            out
        };
        let deep = written(png::BitDepth::Sixteen, png::ColorType::Grayscale, None, &[0x80, 0, 0xff, 0xff]);
        let back = read(&deep).unwrap();
        assert_eq!((back.shape, back.values), ([1, 2, 1], vec![32768.0 / 65535.0, 1.0]));
        let few =
            written(png::BitDepth::Two, png::ColorType::Indexed, Some(vec![255, 0, 0, 0, 0, 255]), &[0b0001_0000]);
        let back = read(&few).unwrap();
        assert_eq!((back.shape, back.values), ([1, 2, 3], vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    }

    #[test]
    fn damage_is_told() {
        let whole = write_png(2, 3, 1, &[0; 6]).unwrap();
        assert!(read(&whole[..40]).unwrap_err().what.contains("damaged PNG"));
        assert!(read(&[0xff, 0xd8, 0xff, 0xe0, 0]).unwrap_err().what.contains("damaged JPEG"));
        assert!(read(b"GIF89a").unwrap_err().what.contains("GIF"));
        assert!(read(b"").unwrap_err().what.contains("empty"));
        for i in 0..whole.len() {
            let mut other = whole.clone();
            other[i] ^= 0x55;
            let _ = read(&other);
        }
    }
}
