//! Text on layers that are switched off. PDFium gives it like any other text, but does not draw it: where the drawn page has
//! one colour throughout, no character stands.

use pdfium_render::prelude::{PdfBitmapFormat, PdfDocument, PdfPage, PdfRenderConfig};

use super::{
    characters::Char,
    geometry::{Rect, Sheet},
};

/// The greatest side of the drawn page, in pixels.
const MAX_SIDE: i32 = 1600;
/// Pixels a point: 1.5 keeps strokes of small print apart from the paper.
const SCALE: f32 = 1.5;

/// Whether layers of the document are switched off.
pub(super) fn has_hidden_layers(document: &PdfDocument<'_>, bytes: &[u8]) -> bool {
    let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|window| window == word);
    if let Some(at) = find(bytes, b"/OCProperties") {
        // The settings may also stand in an object of their own, before or behind.
        return switches_off(&bytes[at..]) || switches_off(bytes);
    }
    // Compressed objects: PDFium writes them out plainly.
    find(bytes, b"/ObjStm").is_some()
        && document.save_to_bytes().is_ok_and(|copy| find(&copy, b"/OCProperties").is_some() && switches_off(&copy))
}

/// Whether the settings of layers name some that are off.
fn switches_off(bytes: &[u8]) -> bool {
    bytes.windows(4).enumerate().filter(|(_, window)| *window == b"/OFF").any(|(at, _)| {
        let is_state = bytes[..at].trim_ascii_end().ends_with(b"/BaseState");
        let next = bytes[at + 4..].trim_ascii_start();
        let first = next.strip_prefix(b"[").unwrap_or(next).trim_ascii_start().first();
        is_state || first.is_some_and(u8::is_ascii_digit)
    })
}

/// Leaves out the characters that are not drawn, and says whether there were any.
pub(super) fn remove(chars: &mut Vec<Char>, page: &PdfPage<'_>, sheet: &Sheet) -> bool {
    let Some(picture) = Picture::of(page, sheet) else { return false };
    let before = chars.len();
    chars.retain(|char| picture.is_drawn(&sheet.rect_from_frame(char.turn, &char.rect)));
    chars.len() < before
}

struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    scale: (f32, f32),
}

impl Picture {
    fn of(page: &PdfPage<'_>, sheet: &Sheet) -> Option<Self> {
        let (width, height) = sheet.size();
        let scale = SCALE.min(MAX_SIDE as f32 / width.max(height).max(1.0));
        let config = PdfRenderConfig::new()
            .scale_page_by_factor(scale)
            .set_format(PdfBitmapFormat::BGRA)
            .render_annotations(false)
            .render_form_data(false);
        let bitmap = page.render_with_config(&config).ok()?;
        let (columns, rows) = (bitmap.width(), bitmap.height());
        let pixels = bitmap.as_raw_bytes();
        let scale = (columns as f32 / width.max(1.0), rows as f32 / height.max(1.0));
        let (columns, rows) = (usize::try_from(columns).ok()?, usize::try_from(rows).ok()?);
        (pixels.len() >= columns * rows * 4).then_some(Self { pixels, width: columns, height: rows, scale })
    }

    /// Whether the pixels in `rect` differ.
    fn is_drawn(&self, rect: &Rect) -> bool {
        let at = |value: f32, scale: f32, most: usize| ((value * scale).max(0.0) as usize).min(most);
        let columns = at(rect.left, self.scale.0, self.width)..at(rect.right + 1.0, self.scale.0, self.width);
        let rows = at(rect.top, self.scale.1, self.height)..at(rect.bottom + 1.0, self.scale.1, self.height);
        let mut first = None;
        for row in rows {
            for column in columns.clone() {
                let start = (row * self.width + column) * 4;
                let Some(pixel) = self.pixels.get(start..start + 4) else { continue };
                if *first.get_or_insert(pixel) != pixel {
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_are_off_are_named() {
        assert!(switches_off(b"<</D <</OFF [ 7 0 R ] /ON []>> >>"));
        assert!(switches_off(b"<</D <</BaseState /OFF>> >>"));
        assert!(!switches_off(b"<</D <</OFF [] /ON [ 7 0 R ]>> >>"));
    }
}
