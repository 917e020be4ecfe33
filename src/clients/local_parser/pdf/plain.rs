//! Makes a PDF's paragraphs plain: words whole, without the marks that only say how they were set.
//!
//! Bold and italics split words and phrases (`*γ*1`, `within **30 days**`), which search then misses; what they say of
//! the text's structure is in its headings already.

use std::borrow::Cow;

use unpdf::{Block, InlineContent, Paragraph, TextRun, TextStyle};

/// Words before which a hyphen at the end of a word stands for a word left out ("first- and second-class"; German).
const AFTER_SUSPENDED_HYPHEN: [&str; 8] = ["and", "or", "to", "und", "oder", "bis", "bzw", "sowie"];

/// So many dots in a row, spaces between them or not, are a leader; an ellipsis has three.
const LEADER_DOTS: usize = 5;

/// Simplifies every paragraph of `block`, table cells included.
pub(super) fn simplify(block: &mut Block) {
    match block {
        Block::Paragraph(paragraph) => simplify_paragraph(paragraph),
        Block::Table(table) => {
            let cells = table.rows.iter_mut().flat_map(|row| &mut row.cells);
            cells.flat_map(|cell| &mut cell.content).for_each(simplify_paragraph);
        }
        // Code is kept letter by letter, and the rest holds no text.
        Block::Code { .. }
        | Block::Raw { .. }
        | Block::Image { .. }
        | Block::HorizontalRule
        | Block::PageBreak
        | Block::SectionBreak => {}
    }
}

fn simplify_paragraph(paragraph: &mut Paragraph) {
    let mut pieces = Pieces::default();
    for item in std::mem::take(&mut paragraph.content) {
        match item {
            InlineContent::Text(run) => pieces.add_text(&run.text, &run.style),
            InlineContent::LineBreak => pieces.add_text(" ", &TextStyle::default()),
            InlineContent::Link { text, url, .. } => pieces.add_link(text, url),
            // Nobody stores the picture.
            InlineContent::Image { .. } => {}
        }
    }
    paragraph.content = pieces.finish();
}

/// A paragraph's content as it is put together anew: text, and links between texts.
#[derive(Default)]
struct Pieces {
    done: Vec<InlineContent>,
    text: String,
    /// Whether the text before was bold, and whether italic.
    style: (bool, bool),
    /// Whether the piece before was a link, kept as one or not.
    after_link: bool,
}

impl Pieces {
    fn add_text(&mut self, text: &str, style: &TextStyle) {
        let style = (style.bold, style.italic);
        let sticks_to_link = self.after_link && is_word_to_word(self.last_char(), text);
        if sticks_to_link || (style != self.style && is_label_to_word(&self.text, text)) {
            self.text.push(' ');
        }
        self.style = style;
        self.after_link = false;
        self.text.push_str(text);
    }

    fn add_link(&mut self, text: String, url: String) {
        let target = url.trim();
        let means_something = ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
        // Setters draw references close to the word before, without a space.
        if is_word_to_word(self.last_char(), &text) {
            self.text.push(' ');
        }
        if means_something && !text.contains(target.trim_end_matches('/')) {
            self.end_text();
            self.done.push(InlineContent::Link { text: mend(&text), url, title: None, style: TextStyle::default() });
        } else {
            self.text.push_str(&text);
        }
        self.after_link = true;
    }

    fn last_char(&self) -> Option<char> {
        match (self.text.chars().next_back(), self.done.last()) {
            (Some(last), _) => Some(last),
            (None, Some(InlineContent::Link { text, .. })) => text.chars().next_back(),
            (None, _) => None,
        }
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.done.push(InlineContent::Text(TextRun::new(mend(&std::mem::take(&mut self.text)))));
        }
    }

    fn finish(mut self) -> Vec<InlineContent> {
        self.end_text();
        self.done
    }
}

fn is_word_to_word(last: Option<char>, next: &str) -> bool {
    last.is_some_and(char::is_alphanumeric) && next.starts_with(char::is_alphanumeric)
}

/// "**Figure 3.5:**Situation": the space after a label is drawn by moving on.
fn is_label_to_word(before: &str, next: &str) -> bool {
    before.ends_with([':', ';', ')']) && next.starts_with(char::is_alphabetic)
}

/// `text` with the dots that lead the eye through a table of contents cut to one space.
fn without_leaders(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(start) = text[at..].find('.').map(|dot| at + dot) {
        let dots = &text[start..];
        let end = start + dots.find(|c| c != '.' && c != ' ').unwrap_or(dots.len());
        if text[start..end].bytes().filter(|byte| *byte == b'.').count() >= LEADER_DOTS {
            out.push_str(text[kept..start].trim_end());
            out.push(' ');
            kept = end;
        }
        at = end;
    }
    if kept == 0 { text.into() } else { (out + &text[kept..]).into() }
}

/// `text` without leaders, with ligatures spelled out and words joined that were broken at a line's end.
fn mend(text: &str) -> String {
    let text = without_leaders(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(['-', '\u{ad}', '\u{2010}']) {
        let (before, from_hyphen) = rest.split_at(at);
        spell_out(before, &mut out);
        let hyphen_len = from_hyphen.chars().next().map_or(1, char::len_utf8);
        let (hyphen, after) = from_hyphen.split_at(hyphen_len);
        let next = after.trim_start();
        let is_broken_word = out.ends_with(char::is_alphabetic)
            && next.len() < after.len()
            && next.starts_with(char::is_lowercase)
            && !is_suspended(next);
        if is_broken_word {
            rest = next;
        } else {
            // A soft hyphen inside a line is never seen.
            out.push_str(if hyphen == "\u{ad}" { "" } else { hyphen });
            rest = after;
        }
    }
    spell_out(rest, &mut out);
    out
}

fn is_suspended(next: &str) -> bool {
    let word = next.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    AFTER_SUSPENDED_HYPHEN.contains(&word)
}

fn spell_out(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            // What a font could not name.
            char::REPLACEMENT_CHARACTER => {}
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simplified(content: Vec<InlineContent>) -> String {
        let mut paragraph = Paragraph { content, ..Paragraph::default() };
        simplify_paragraph(&mut paragraph);
        paragraph.plain_text()
    }

    fn link(text: &str, url: &str) -> InlineContent {
        InlineContent::Link { text: text.into(), url: url.into(), title: None, style: TextStyle::default() }
    }

    #[test]
    fn words_broken_at_a_line_end_are_whole_again() {
        assert_eq!(mend("The pro- gramming lan\u{ad} guage"), "The programming language");
        assert_eq!(
            mend("low-level, first- and second-class, page 3 - 5"),
            "low-level, first- and second-class, page 3 - 5"
        );
        assert_eq!(mend("Ein- und Ausgabe, A- Bc"), "Ein- und Ausgabe, A- Bc");
        assert_eq!(mend("soft\u{ad}ly"), "softly");
    }

    #[test]
    fn ligatures_are_letters() {
        assert_eq!(mend("signi\u{fb01}cant e\u{fb03}cient"), "significant efficient");
    }

    #[test]
    fn a_table_of_contents_loses_its_dots() {
        assert_eq!(mend("Fees  . . . . . . 12 and ......... 13."), "Fees 12 and 13.");
        assert_eq!(mend("well ... . no"), "well ... . no");
    }

    #[test]
    fn emphasis_does_not_split_phrases() {
        let runs = ["within ", "30 days", " of it"].map(TextRun::bold).map(InlineContent::Text);
        let mut paragraph = Paragraph { content: runs.to_vec(), ..Paragraph::default() };
        simplify_paragraph(&mut paragraph);
        assert!(
            matches!(&paragraph.content[..], [InlineContent::Text(run)] if run.text == "within 30 days of it" && !run.style.bold)
        );
    }

    #[test]
    fn a_reference_does_not_stick_to_the_word_before() {
        let text = InlineContent::Text(TextRun::new("see"));
        assert_eq!(simplified(vec![text.clone(), link("Figure 2", "#2"), text]), "see Figure 2 see");
    }

    #[test]
    fn a_link_that_only_repeats_itself_is_text() {
        let url = "https://example.org";
        let mut paragraph = Paragraph { content: vec![link(url, "https://example.org/")], ..Paragraph::default() };
        simplify_paragraph(&mut paragraph);
        assert!(matches!(&paragraph.content[..], [InlineContent::Text(run)] if run.text == url));
    }
}
