//! What lies on a page: values of form fields and text typed onto it are text of the page; comments stand beside it.

use domain::document::{AsideKind, Block, BlockKind, PageBox};
use pdfium_render::prelude::{
    PdfFormField, PdfFormFieldCommon, PdfPage, PdfPageAnnotation, PdfPageAnnotationCommon, PdfPageAnnotationType,
};

use super::{
    geometry::{Rect, Sheet},
    words::{Bit, Piece},
};

/// Annotations of a page that are read.
const MAX_ANNOTATIONS: usize = 5000;
/// Entries of a list box that are looked at.
const MAX_ENTRIES: usize = 1000;
/// The height of an entry of a list box, at least, in points.
const MIN_ENTRY_HEIGHT: f32 = 7.0;
/// The height of a line of typed text, at most, in points.
const LINE_HEIGHT: f32 = 14.0;

/// What lies on a page.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// Lines of text at their places.
    pub(super) pieces: Vec<Piece>,
    /// Comments.
    pub(super) comments: Vec<Block>,
    /// Those that are not shown.
    pub(super) hidden: usize,
}

/// Reads the annotations of `page`, which has the given number. The pieces' places in the content begin at `order`.
pub(super) fn read(page: &PdfPage<'_>, sheet: &Sheet, number: u32, order: usize) -> Annotations {
    let mut found = Annotations::default();
    for annotation in page.annotations().iter().take(MAX_ANNOTATIONS) {
        let Ok(bounds) = annotation.bounds() else { continue };
        let rect = [bounds.left().value, bounds.bottom().value, bounds.right().value, bounds.top().value];
        if !rect.iter().all(|value| value.is_finite()) {
            continue;
        }
        let rect = sheet.shown_rect(rect);
        let text = text_of(&annotation, rect.height());
        if annotation.is_hidden() {
            found.hidden += usize::from(text.is_some());
            continue;
        }
        let Some(text) = text else { continue };
        match annotation.annotation_type() {
            PdfPageAnnotationType::Widget | PdfPageAnnotationType::FreeText => {
                push_lines(&mut found.pieces, &text, rect, order)
            }
            _ => found.comments.push(comment(&annotation, text, place(&rect, sheet, number))),
        }
    }
    found
}

/// The value of a form field, or the text of another annotation, which is `height` points high; `None` if there is none.
fn text_of(annotation: &PdfPageAnnotation<'_>, height: f32) -> Option<String> {
    let text = match annotation.annotation_type() {
        PdfPageAnnotationType::Widget => value_of(annotation.as_form_field()?, height)?,
        PdfPageAnnotationType::Link | PdfPageAnnotationType::Popup | PdfPageAnnotationType::XfaWidget => return None,
        _ => annotation.contents()?,
    };
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn value_of(field: &PdfFormField<'_>, height: f32) -> Option<String> {
    let mark = |checked: bool| Some(if checked { "☒" } else { "☐" }.to_owned());
    match field {
        PdfFormField::Text(field) => field.value(),
        PdfFormField::ComboBox(field) => field.value(),
        PdfFormField::ListBox(field) => {
            let entries = field.options().iter().take(MAX_ENTRIES);
            let entries: Vec<(bool, String)> =
                entries.filter_map(|entry| Some((entry.is_set(), entry.label()?.trim().to_owned()))).collect();
            chosen(&entries, height)
        }
        PdfFormField::Checkbox(field) => mark(is_on(field.appearance_stream().as_deref(), field.is_checked().ok()?)),
        PdfFormField::RadioButton(button) => {
            let chosen = button.group_value().is_some() && button.is_checked().ok()?;
            mark(is_on(button.appearance_stream().as_deref(), chosen))
        }
        PdfFormField::PushButton(_) | PdfFormField::Signature(_) | PdfFormField::Unknown(_) => None,
    }
}

/// Whether a box is shown as checked: by the name of its look, which only an empty one has from the standard; else by the field's
/// value.
fn is_on(look: Option<&str>, by_value: bool) -> bool {
    look.filter(|look| !look.is_empty()).map_or(by_value, |look| look.trim_start_matches('/') != "Off")
}

/// The entries of a list box of that height: all, if they fit into it, the chosen ones marked; else the chosen ones, which are its
/// value. `None` if nothing is chosen and the reader sees a part of the list only.
fn chosen(entries: &[(bool, String)], height: f32) -> Option<String> {
    let all_seen = entries.len() as f32 * MIN_ENTRY_HEIGHT <= height;
    let lines: Vec<String> = match all_seen {
        true => entries.iter().map(|(set, label)| format!("{} {label}", if *set { "☒" } else { "☐" })).collect(),
        false => entries.iter().filter(|(set, _)| *set).map(|(_, label)| label.clone()).collect(),
    };
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Adds the lines of `text`, the first at the top of `rect`.
fn push_lines(pieces: &mut Vec<Piece>, text: &str, rect: Rect, order: usize) {
    let lines: Vec<&str> = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
    let height = (rect.height() / lines.len().max(1) as f32).clamp(1.0, LINE_HEIGHT);
    // A single line stands in the middle of its field.
    let top = if lines.len() == 1 { rect.middle().1 - height / 2.0 } else { rect.top };
    for (at, line) in lines.into_iter().enumerate() {
        let top = top + at as f32 * height;
        let rect = Rect { top, bottom: top + height, ..rect };
        pieces.push(Piece {
            bits: vec![Bit::Plain(line.to_owned())],
            rect,
            base: rect.bottom - 0.2 * height,
            size: 0.8 * height,
            turn: 0,
            order: order + pieces.len(),
            chars: line.chars().count(),
            gaps: Vec::new(),
            bold: false,
            fixed: false,
            right_to_left: false,
            slanted: false,
        });
    }
}

fn comment(annotation: &PdfPageAnnotation<'_>, text: String, place: PageBox) -> Block {
    let by = annotation.creator().unwrap_or_default();
    let blocks = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).map(Block::paragraph).collect();
    Block { kind: BlockKind::Aside { kind: AsideKind::Annotation, by, blocks }, boxes: vec![place] }
}

/// The box on the page of a rectangle as shown.
pub(super) fn place(rect: &Rect, sheet: &Sheet, page: u32) -> PageBox {
    let (width, height) = sheet.size();
    let share = |value: f32, whole: f32| (value / whole.max(1.0)).clamp(0.0, 1.0);
    PageBox {
        page,
        left: share(rect.left, width),
        top: share(rect.top, height),
        right: share(rect.right, width),
        bottom: share(rect.bottom, height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_checked_if_it_looks_so_whatever_its_look_is_called() {
        assert!(is_on(Some("Yes"), true) && is_on(Some("1"), false) && is_on(None, true));
        assert!(
            !is_on(Some("Off"), true) && !is_on(Some("/Off"), false) && !is_on(Some(""), false) && !is_on(None, false)
        );
    }

    #[test]
    fn a_list_box_marks_what_is_chosen_of_what_it_shows() {
        let entries = [(false, "Rope".to_owned()), (true, "Net".to_owned()), (true, "Oar".to_owned())];
        assert_eq!(chosen(&entries, 40.0).as_deref(), Some("☐ Rope\n☒ Net\n☒ Oar"));
        assert_eq!(chosen(&entries, 14.0).as_deref(), Some("Net\nOar"));
        assert_eq!(chosen(&entries[..1], 5.0), None);
    }
}
