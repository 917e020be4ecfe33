//! Renders a page to a picture, as a viewer shows it: its visible part, turned, with annotations and filled forms.

use pdfium_render::prelude::{PdfBitmap, PdfBitmapFormat, PdfPage, PdfRenderConfig};

use super::geometry::POINTS_PER_INCH;
use crate::bitmap::{Bitmap, Colours};

/// The largest picture, in pixels: an A4 page at 300 dpi has 8.7 million. Larger pages get fewer dots per inch.
const MAX_PIXELS: f32 = 16e6;

/// Renders `page` at `dpi` pixels per inch, in colours, since PDFium renders nothing in grey; `None` if it cannot.
pub(super) fn render(page: &PdfPage<'_>, dpi: u32) -> Option<Bitmap> {
    let (width, height) = (page.width().value, page.height().value);
    let wanted = dpi as f32 / POINTS_PER_INCH;
    let scale = wanted.min((MAX_PIXELS / (width * height)).sqrt());
    // Also refuses sizes that are no numbers.
    if !(width > 0.0 && height > 0.0 && scale > 0.0) {
        return None;
    }
    let pixels = |points: f32| ((points * scale).round() as i32).clamp(1, MAX_PIXELS as i32);
    let (columns, rows) = (pixels(width), pixels(height));
    let format = PdfBitmapFormat::BGR;
    let config = PdfRenderConfig::new().set_fixed_size(columns, rows).set_format(format);
    let mut target = PdfBitmap::empty(columns, rows, format).ok()?;
    page.render_into_bitmap_with_config(&mut target, &config).ok()?;
    let raw = target.as_raw_bytes();
    // PDFium pads each row to four bytes.
    let stride = raw.len() / rows as usize;
    let colours = Colours::Rgb;
    let used = columns as usize * colours.bytes();
    let pixels = raw.chunks_exact(stride.max(1)).filter_map(|row| row.get(..used)).flatten().copied().collect();
    let dpi = (scale * POINTS_PER_INCH).round() as u32;
    Some(Bitmap { width: columns as u32, height: rows as u32, colours, dpi, pixels })
}
