//! Picture files to grey pixels, on white where they are transparent.

use std::io::Cursor;

use tiff::{ColorType, decoder::DecodingResult, tags::Tag};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use crate::bitmap::{Bitmap, Colours, grey};
use domain::ports::FileKind;
use reading::fault::Fault;

/// The longest side of a JPEG that is decoded, in pixels.
const MAX_SIDE: usize = 30_000;
/// Directories of a TIFF that are counted: a chain of them may be a ring.
const MAX_PAGES: usize = 10_000;

/// A file's pictures.
pub(super) struct Pictures<'a> {
    kind: FileKind,
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Pictures<'a> {
    /// Looks how many there are.
    pub(super) fn open(kind: FileKind, bytes: &'a [u8]) -> Result<Self, Fault> {
        let count = if kind == FileKind::Tiff { tiff_pages(bytes).ok_or(Fault::Corrupt)? } else { 1 };
        Ok(Self { kind, bytes, count })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Page `at`, from 0; `None` if it is damaged.
    pub(super) fn page(&self, at: u32) -> Option<Bitmap> {
        match self.kind {
            FileKind::Png => png_picture(self.bytes),
            FileKind::Jpeg => jpeg_picture(self.bytes),
            _ => tiff_picture(self.bytes, at),
        }
    }
}

/// The picture of `samples` with `channels` a pixel: grey, grey and alpha, colours, or colours and alpha.
fn picture(width: u32, height: u32, dpi: u32, samples: &[u8], channels: usize) -> Option<Bitmap> {
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        u8::try_from((value * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
    };
    let pixel = |pixel: &[u8]| match *pixel {
        [value] => value,
        [value, alpha] => on_white(value, alpha),
        [red, green, blue] => grey([red, green, blue]),
        [red, green, blue, alpha, ..] => on_white(grey([red, green, blue]), alpha),
        [] => u8::MAX,
    };
    let mut pixels: Vec<u8> = samples.chunks_exact(channels.max(1)).map(pixel).collect();
    let wanted = width as usize * height as usize;
    // A file that ends too early shows what it holds.
    let is_enough = pixels.len() * 2 >= wanted && wanted > 0;
    pixels.resize(wanted, u8::MAX);
    is_enough.then_some(Bitmap { width, height, colours: Colours::Grey, dpi, pixels })
}

fn png_picture(bytes: &[u8]) -> Option<Bitmap> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().ok()?;
    let mut samples = vec![u8::MAX; reader.output_buffer_size()?];
    let per_unit = reader.info().pixel_dims.filter(|dims| dims.unit == png::Unit::Meter).map_or(0, |dims| dims.xppu);
    let frame = reader.next_frame(&mut samples).ok()?;
    let channels = frame.color_type.samples();
    picture(frame.width, frame.height, per_metre_to_inch(per_unit), &samples, channels)
}

fn per_metre_to_inch(per_metre: u32) -> u32 {
    u32::try_from((u64::from(per_metre) * 254 + 5_000) / 10_000).unwrap_or(0)
}

fn jpeg_picture(bytes: &[u8]) -> Option<Bitmap> {
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .set_strict_mode(false)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let samples = decoder.decode().ok()?;
    let (width, height) = decoder.dimensions()?;
    let channels = decoder.output_colorspace()?.num_components();
    let whole = picture(u32::try_from(width).ok()?, u32::try_from(height).ok()?, jfif_dpi(bytes), &samples, channels)?;
    let turn = decoder.exif().and_then(|exif| exif_orientation(exif)).unwrap_or(1);
    Some(turned(whole, turn))
}

/// The pixels per inch that a JPEG's first segment says; 0 if it says none.
fn jfif_dpi(bytes: &[u8]) -> u32 {
    let Some(at) = bytes.get(..64).and_then(|head| head.windows(5).position(|window| window == b"JFIF\0")) else {
        return 0;
    };
    match bytes.get(at + 7..at + 10) {
        Some([1, high, low]) => u32::from(u16::from_be_bytes([*high, *low])),
        Some([2, high, low]) => per_metre_to_inch(u32::from(u16::from_be_bytes([*high, *low])) * 100),
        _ => 0,
    }
}

/// How a camera was held: the tag 0x0112 of the first directory of Exif.
fn exif_orientation(exif: &[u8]) -> Option<u16> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = exif.starts_with(b"MM");
    let two = |at: usize| {
        let bytes = [*exif.get(at)?, *exif.get(at + 1)?];
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let four = |at: usize| {
        let (first, second) = (u32::from(two(at)?), u32::from(two(at + 2)?));
        Some(if big { first << 16 | second } else { second << 16 | first })
    };
    let directory = usize::try_from(four(4)?).ok()?;
    let entries = usize::from(two(directory)?);
    (0..entries).map(|entry| directory + 2 + 12 * entry).find_map(|at| (two(at)? == 0x0112).then(|| two(at + 8))?)
}

/// The picture as it is shown, from how the camera was held.
fn turned(picture: Bitmap, orientation: u16) -> Bitmap {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (columns, rows) = if matches!(orientation, 5..=8) { (height, width) } else { (width, height) };
    // Which pixel of the file is shown at x, y.
    let source = |x: usize, y: usize| match orientation {
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        8 => (width - 1 - y, x),
        _ => (x, y),
    };
    if !matches!(orientation, 2..=8) {
        return picture;
    }
    let at = |index: usize| {
        let (x, y) = source(index % columns, index / columns);
        picture.pixels[y * width + x]
    };
    let pixels = (0..columns * rows).map(at).collect();
    let (width, height) =
        if matches!(orientation, 5..=8) { (picture.height, picture.width) } else { (picture.width, picture.height) };
    Bitmap { width, height, pixels, ..picture }
}

type Tiff<'a> = tiff::decoder::Decoder<Cursor<&'a [u8]>>;

fn tiff_pages(bytes: &[u8]) -> Option<usize> {
    let mut decoder = Tiff::new(Cursor::new(bytes)).ok()?;
    let mut count = 1;
    while count < MAX_PAGES && decoder.more_images() && decoder.next_image().is_ok() {
        count += 1;
    }
    Some(count)
}

fn tiff_picture(bytes: &[u8], at: u32) -> Option<Bitmap> {
    let limits = tiff::decoder::Limits::unlimited();
    let mut decoder = Tiff::new(Cursor::new(bytes)).ok()?.with_limits(limits);
    decoder.seek_to_image(usize::try_from(at).ok()?).ok()?;
    let (width, height) = decoder.dimensions().ok()?;
    let colours = decoder.colortype().ok()?;
    let palette = match colours {
        ColorType::Palette(_) => Some(decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap).ok()??),
        _ => None,
    };
    let dpi = tiff_dpi(&mut decoder);
    let samples: Vec<u8> = match decoder.read_image().ok()? {
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(samples) => samples.iter().map(|sample| sample.to_be_bytes()[0]).collect(),
        _ => return None,
    };
    match colours {
        ColorType::Gray(bits @ (1 | 2 | 4)) => {
            let most = (1_u32 << bits) - 1;
            let values = unpacked(&samples, width as usize, bits);
            let samples: Vec<u8> =
                values.map(|value| u8::try_from(u32::from(value) * 255 / most).unwrap_or(0)).collect();
            picture(width, height, dpi, &samples, 1)
        }
        ColorType::Palette(bits) => {
            let palette = palette?;
            let entries = palette.len() / 3;
            let colour = |value: u8| {
                let channel =
                    |at: usize| palette.get(at * entries + usize::from(value)).copied().unwrap_or(0).to_be_bytes()[0];
                grey([channel(0), channel(1), channel(2)])
            };
            let samples: Vec<u8> = match bits {
                1 | 2 | 4 => unpacked(&samples, width as usize, bits).map(colour).collect(),
                _ => samples.into_iter().map(colour).collect(),
            };
            picture(width, height, dpi, &samples, 1)
        }
        ColorType::CMYK(_) => {
            let rgb = |ink: &[u8]| {
                let paper = |at: usize| u32::from(255 - ink[at]) * u32::from(255 - ink[3]) / 255;
                [paper(0), paper(1), paper(2)].map(|value| u8::try_from(value).unwrap_or(u8::MAX))
            };
            let samples: Vec<u8> = samples.chunks_exact(4).map(|ink| grey(rgb(ink))).collect();
            picture(width, height, dpi, &samples, 1)
        }
        _ => picture(width, height, dpi, &samples, usize::from(colours.num_samples())),
    }
}

/// The samples of rows in which several share a byte; a row begins at a byte.
fn unpacked(samples: &[u8], width: usize, bits: u8) -> impl Iterator<Item = u8> + '_ {
    let each = usize::from(8 / bits);
    let mask = u8::try_from((1_u16 << bits) - 1).unwrap_or(u8::MAX);
    samples.chunks(width.div_ceil(each).max(1)).flat_map(move |row| {
        (0..width).filter_map(move |x| {
            let shift = u32::from(bits) * u32::try_from(each - 1 - x % each).unwrap_or(0);
            Some((row.get(x / each)? >> shift) & mask)
        })
    })
}

fn tiff_dpi(decoder: &mut Tiff<'_>) -> u32 {
    let per_unit = decoder.get_tag_f32(Tag::XResolution).unwrap_or(0.0);
    let unit = decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok().flatten().unwrap_or(2);
    let per_inch = if unit == 3 { per_unit * 2.54 } else { per_unit };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float beyond the type saturates")]
    let dpi = per_inch.round() as u32;
    if unit == 1 { 0 } else { dpi }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(kind: FileKind, bytes: &[u8], at: u32) -> Bitmap {
        Pictures::open(kind, bytes).unwrap().page(at).unwrap()
    }

    #[test]
    fn a_png_is_read_on_white_with_its_resolution() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 11_811, yppu: 11_811, unit: png::Unit::Meter }));
        encoder.write_header().unwrap().write_image_data(&[0, 0, 0, 255, 0, 0, 0, 0]).unwrap();
        let found = page(FileKind::Png, &bytes, 0);
        assert_eq!((found.width, found.height, found.dpi, &found.pixels[..]), (2, 1, 300, &[0, 255][..]));
    }

    #[test]
    fn a_tiff_has_many_pages() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<tiff::encoder::colortype::Gray8>(2, 1, &[7, 9]).unwrap();
        encoder.write_image::<tiff::encoder::colortype::RGB8>(1, 1, &[255, 255, 255]).unwrap();
        let bytes = bytes.into_inner();
        assert_eq!(Pictures::open(FileKind::Tiff, &bytes).unwrap().count(), 2);
        assert_eq!(page(FileKind::Tiff, &bytes, 0).pixels, [7, 9]);
        assert_eq!(page(FileKind::Tiff, &bytes, 1).pixels, [255]);
    }

    #[test]
    fn packed_samples_are_taken_apart_row_by_row() {
        let found: Vec<u8> = unpacked(&[0b1010_0000, 0b0110_0000], 3, 1).collect();
        assert_eq!(found, [1, 0, 1, 0, 1, 1]);
        assert_eq!(unpacked(&[0x1f], 2, 4).collect::<Vec<_>>(), [1, 15]);
    }

    #[test]
    fn a_photo_is_turned_as_the_camera_was_held() {
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        assert_eq!(exif_orientation(exif), Some(6));
        let picture = Bitmap { width: 2, height: 1, colours: Colours::Grey, dpi: 0, pixels: vec![1, 2] };
        let shown = |orientation| turned(picture.clone(), orientation);
        assert_eq!((shown(6).width, shown(6).height, shown(6).pixels), (1, 2, vec![1, 2]));
        assert_eq!(shown(8).pixels, [2, 1]);
        assert_eq!(shown(3).pixels, [2, 1]);
        assert_eq!(shown(1), picture);
    }

    #[test]
    fn what_is_damaged_is_no_picture() {
        assert!(Pictures::open(FileKind::Png, b"\x89PNG\r\n\x1a\nrest").unwrap().page(0).is_none());
        assert!(Pictures::open(FileKind::Tiff, b"II*\0rest").is_err());
    }
}
