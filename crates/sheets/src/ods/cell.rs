//! An open cell of an OpenDocument spreadsheet: its text, and what is drawn or noted in it.

use super::number;
use crate::format::{Format, general};
use quick_xml::events::BytesStart;
use reading::package::attribute;

/// What was read of a cell so far.
#[derive(Default)]
pub(super) struct Open {
    pub(super) covered: bool,
    pub(super) repeated: u32,
    pub(super) columns: u32,
    pub(super) rows: u32,
    kind: String,
    value: String,
    formula: String,
    lines: Vec<String>,
    pub(super) link: Option<String>,
    /// Paragraphs of text boxes.
    pub(super) boxes: Vec<String>,
    /// Alternative texts.
    pub(super) descriptions: Vec<String>,
    /// Folders of embedded objects.
    pub(super) objects: Vec<String>,
    /// Comments: author and text.
    pub(super) comments: Vec<(String, String)>,
    images: usize,
    /// The open paragraph and the open line of another kind.
    paragraph: Option<String>,
    other: Option<String>,
    frames: usize,
    in_comment: bool,
}

impl Open {
    pub(super) fn cell(element: &BytesStart<'_>, covered: bool) -> Self {
        let text = |name| attribute(element, name);
        let value = ["value", "date-value", "time-value", "boolean-value", "string-value"].into_iter().find_map(text);
        Self {
            covered,
            repeated: number(element, "number-columns-repeated"),
            columns: number(element, "number-columns-spanned"),
            rows: number(element, "number-rows-spanned"),
            kind: text("value-type").unwrap_or_default(),
            value: value.unwrap_or_default(),
            formula: text("formula").unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn start(&mut self, name: &str, element: &BytesStart<'_>) {
        match name {
            "p" | "h" => self.paragraph = Some(String::new()),
            "s" => {
                let blanks = usize::try_from(number(element, "c").min(100)).unwrap_or(1);
                self.text(&" ".repeat(blanks));
            }
            "tab" => self.text("\t"),
            "line-break" => self.text("\n"),
            "a" if self.frames == 0 && !self.in_comment => self.link = attribute(element, "href"),
            "annotation" => {
                self.in_comment = true;
                self.comments.push((String::new(), String::new()));
            }
            "creator" | "title" | "desc" => self.other = Some(String::new()),
            "frame" | "custom-shape" | "rect" | "ellipse" | "line" | "connector" | "polygon" | "path" => {
                self.frames += 1
            }
            "image" => self.images += 1,
            "object" => self.objects.extend(attribute(element, "href")),
            _ => {}
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        if let Some(open) = self.other.as_mut().or(self.paragraph.as_mut()) {
            open.push_str(text);
        }
    }

    pub(super) fn end(&mut self, name: &str) {
        match name {
            "p" | "h" => {
                let text = self.paragraph.take().unwrap_or_default();
                if self.in_comment {
                    if let Some((_, comment)) = self.comments.last_mut() {
                        comment.push_str(&text);
                        comment.push('\n');
                    }
                } else if self.frames == 0 {
                    self.lines.push(text);
                } else if !text.trim().is_empty() {
                    self.boxes.push(text);
                }
            }
            "creator" => {
                let by = self.other.take().unwrap_or_default();
                self.comments.last_mut().into_iter().for_each(|comment| comment.0.clone_from(&by));
            }
            "title" | "desc" => {
                let text = self.other.take().filter(|text| !text.trim().is_empty() && self.frames > 0);
                self.descriptions.extend(text);
            }
            "annotation" => {
                self.in_comment = false;
                self.comments.retain(|(_, text)| !text.trim().is_empty());
            }
            "frame" | "custom-shape" | "rect" | "ellipse" | "line" | "connector" | "polygon" | "path" => {
                self.frames = self.frames.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// Pictures without a description. An object brings its picture along.
    pub(super) fn pictures(&self) -> usize {
        self.images.saturating_sub(self.objects.len() + self.descriptions.len())
    }

    /// What the cell shows, and whether that is a text.
    pub(super) fn shown(&mut self) -> (String, bool) {
        let is_text = matches!(&*self.kind, "string" | "");
        let text = std::mem::take(&mut self.lines).join("\n");
        if !text.trim().is_empty() {
            return (text, is_text);
        }
        // Some programs write values only.
        let value = std::mem::take(&mut self.value);
        let number = value.parse::<f64>().ok();
        let shown = match (&*self.kind, number) {
            ("percentage", Some(number)) => Format::parse("0.##%").number(number, false).replace(".%", "%"),
            (_, Some(number)) => general(number),
            ("boolean", None) => value.to_uppercase(),
            ("date", None) => value.trim_end_matches("T00:00:00").replace('T', " "),
            (_, None) => value,
        };
        if !shown.is_empty() || self.formula.is_empty() {
            return (shown, is_text);
        }
        let formula = self.formula.split_once(":=").map_or(&*self.formula, |(_, formula)| formula);
        (format!("={}", formula.trim_start_matches('=')), false)
    }
}
