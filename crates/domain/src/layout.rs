//! Where the lines of a markdown text stand on the pages of its file.
//!
//! Lines are counted without blank ones, because steps between reading and cutting may remove those.

use serde::{Deserialize, Serialize};

use crate::document::PageBox;

/// The most marks of one text, some 2 MB as JSON; what stands behind has no boxes. A page of a newspaper has about 100.
const MAX_MARKS: usize = 50_000;
/// The most page labels of one text.
const MAX_LABELS: usize = 10_000;
/// The longest page label, in characters.
const MAX_LABEL_CHARS: usize = 32;
/// Parts of a page's width or height: a thousandth of a millimetre of A4 is beyond any reader.
const PARTS: f32 = 10_000.0;

/// Lines that stand in one box: the first line, how many there are, the page, and the edges left, top, right, bottom in
/// ten thousandths of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark(u32, u32, u32, u16, u16, u16, u16);

/// The places of a text's lines. Small as JSON, in which form it is stored beside the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Lines of the text; a text with another number is another text.
    lines: u32,
    marks: Vec<Mark>,
    /// Pages whose label is not their number.
    labels: Vec<(u32, String)>,
}

/// Lines of a text that stand in one box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The first line, from 0.
    pub first: u32,
    /// How many lines.
    pub lines: u32,
    /// Where they stand.
    pub place: PageBox,
}

impl Layout {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.labels.is_empty()
    }

    /// Adds a line of `text` that is about to follow; returns its number.
    pub fn add_lines(&mut self, text: &str) -> u32 {
        let first = self.lines;
        self.lines = self.lines.saturating_add(count_lines(text));
        first
    }

    /// Says where lines stand. Call it in the order of the text.
    pub fn mark(&mut self, Place { first, lines, place }: Place) {
        // A float beyond the limits, or that is no number, saturates.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
        let part = |edge: f32| (edge.clamp(0.0, 1.0) * PARTS).round() as u16;
        if lines > 0 && self.marks.len() < MAX_MARKS {
            let PageBox { page, left, top, right, bottom } = place;
            self.marks.push(Mark(first, lines, page, part(left), part(top), part(right), part(bottom)));
        }
    }

    /// Says what is printed on a page as its number. A label that is the number itself says nothing.
    pub fn label(&mut self, page: u32, label: &str) {
        let label: String = label.trim().chars().filter(|c| !c.is_control()).take(MAX_LABEL_CHARS).collect();
        if !label.is_empty() && label != page.to_string() && self.labels.len() < MAX_LABELS {
            self.labels.push((page, label));
        }
    }

    /// The places of `text`'s lines, in its order; none if it is not the text that this is about.
    pub fn places(&self, text: &str) -> Vec<Place> {
        if count_lines(text) != self.lines {
            return Vec::new();
        }
        let edge = |part: u16| f32::from(part) / PARTS;
        let place = |&Mark(first, lines, page, left, top, right, bottom): &Mark| Place {
            first,
            lines,
            place: PageBox { page, left: edge(left), top: edge(top), right: edge(right), bottom: edge(bottom) },
        };
        self.marks.iter().map(place).collect()
    }

    /// What is printed on page `page` as its number; `None`: the number itself, as far as is known.
    pub fn label_of(&self, page: u32) -> Option<&str> {
        self.labels.iter().find(|(labelled, _)| *labelled == page).map(|(_, label)| label.as_str())
    }

    /// The layout if it is one that this module makes: a child process that a document controls may send any other.
    pub fn checked(mut self) -> Option<Self> {
        let in_order = self.marks.is_sorted_by_key(|mark| mark.0);
        let on_pages = self.marks.iter().all(|mark| {
            let Mark(first, lines, page, left, top, right, bottom) = *mark;
            let edges = [left, top, right, bottom].into_iter().all(|part| f32::from(part) <= PARTS);
            edges && page > 0 && lines > 0 && first.checked_add(lines).is_some_and(|end| end <= self.lines)
        });
        let labels = std::mem::take(&mut self.labels);
        labels.iter().for_each(|(page, label)| self.label(*page, label));
        (in_order && on_pages && self.marks.len() <= MAX_MARKS).then_some(self)
    }
}

/// Lines that are not blank.
pub fn count_lines(text: &str) -> u32 {
    u32::try_from(text.lines().filter(|line| !line.trim().is_empty()).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(first: u32, lines: u32) -> Place {
        Place { first, lines, place: PageBox { page: 2, left: 0.1, top: 0.25, right: 0.5, bottom: 1.0 } }
    }

    #[test]
    fn places_survive_json_and_lost_blank_lines_but_not_another_text() {
        let mut layout = Layout::default();
        assert_eq!((layout.add_lines("# A\n\nb\n"), layout.add_lines("c")), (0, 2));
        layout.mark(place(0, 1));
        layout.mark(place(2, 1));
        layout.label(2, " iv\u{7} ");
        layout.label(3, "3");
        let json = serde_json::to_string(&layout).unwrap();
        assert_eq!(
            json,
            r#"{"lines":3,"marks":[[0,1,2,1000,2500,5000,10000],[2,1,2,1000,2500,5000,10000]],"labels":[[2,"iv"]]}"#
        );
        let read: Layout = serde_json::from_str::<Layout>(&json).unwrap().checked().unwrap();
        assert_eq!(read.places("# A\nb\n\n\n\nc\n"), [place(0, 1), place(2, 1)]);
        assert!(read.places("# A\nb\n").is_empty());
        assert_eq!((read.label_of(2), read.label_of(3)), (Some("iv"), None));
    }

    #[test]
    fn what_no_reader_makes_is_refused() {
        let checked = |json: &str| serde_json::from_str::<Layout>(json).unwrap().checked();
        for bad in [
            "[0,9,1,0,0,1,1]",
            "[0,1,0,0,0,1,1]",
            "[0,1,1,0,0,10001,1]",
            "[1,1,1,0,0,1,1],[0,1,1,0,0,1,1]",
            "[4294967295,2,1,0,0,1,1]",
        ] {
            assert_eq!(checked(&format!(r#"{{"lines":3,"marks":[{bad}],"labels":[]}}"#)), None, "{bad}");
        }
        let long = checked(&format!(r#"{{"lines":0,"marks":[],"labels":[[1,"{}"]]}}"#, "x".repeat(99))).unwrap();
        assert_eq!(long.label_of(1).map(str::len), Some(MAX_LABEL_CHARS));
    }
}
