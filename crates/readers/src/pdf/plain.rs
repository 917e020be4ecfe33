//! Makes a PDF's paragraphs plain: words whole, without the marks that only say how they were set.
//!
//! Bold and italics split words and phrases (`*γ*1`, `within **30 days**`), which search then misses; what they say of
//! the text's structure is in its headings already.

use unpdf::{Block, InlineContent, Paragraph, TextRun, TextStyle};

use super::words::mend;

/// Most capitals that name one thing of mathematics, as a triangle's corners do.
const MAX_NAME_LETTERS: usize = 3;

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
    /// Whether all there is so far is a footnote's mark.
    after_mark: bool,
}

impl Pieces {
    fn add_text(&mut self, text: &str, style: &TextStyle) {
        let is_script = style.superscript || style.subscript;
        let style = (style.bold, style.italic);
        let sticks = (self.after_link || self.after_mark) && is_word_to_word(self.last_char(), text);
        if is_script && self.style.1 && is_symbol_to_script(&self.text, text) {
            self.text.pop();
        } else if sticks || (style != self.style && is_label_to_word(&self.text, text)) {
            self.text.push(' ');
        }
        let is_first = self.text.trim().is_empty() && self.done.is_empty();
        self.after_mark = is_script && is_first && text.chars().all(|c| c.is_ascii_digit());
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

/// "x 2": a slanted letter leans over the space to its index, which then looks like one between words. The names of
/// points ("AB") are symbols too.
fn is_symbol_to_script(before: &str, script: &str) -> bool {
    let Some(before) = before.strip_suffix(' ') else { return false };
    let symbol = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let letters = symbol.chars().count();
    let is_name = (1..=MAX_NAME_LETTERS).contains(&letters) && symbol.chars().all(char::is_uppercase);
    (is_name || (letters == 1 && symbol.chars().all(char::is_alphabetic))) && script.starts_with(char::is_alphanumeric)
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
    fn an_index_belongs_to_its_symbol() {
        let italic = |text| InlineContent::Text(TextRun::italic(text));
        let raised = |text: &str| {
            let style = TextStyle { superscript: true, ..TextStyle::default() };
            InlineContent::Text(TextRun { text: text.into(), style })
        };
        let plain = |text| InlineContent::Text(TextRun::new(text));
        assert_eq!(
            simplified(vec![italic("γ "), raised("0"), plain(" and "), italic("AB "), raised("2")]),
            "γ0 and AB2"
        );
        // A footnote's mark, and an upright word before a mass number.
        assert_eq!(simplified(vec![italic("so it is "), raised("3")]), "so it is 3");
        assert_eq!(simplified(vec![plain("a "), raised("14"), plain("C")]), "a 14C");
    }

    #[test]
    fn a_footnote_does_not_stick_to_its_mark() {
        let style = TextStyle { superscript: true, ..TextStyle::default() };
        let mark = || InlineContent::Text(TextRun { text: "1".into(), style: style.clone() });
        let text = |text| InlineContent::Text(TextRun::new(text));
        assert_eq!(simplified(vec![mark(), text("This holds.")]), "1 This holds.");
        assert_eq!(simplified(vec![text("R"), mark(), text("x")]), "R1x");
    }

    #[test]
    fn a_link_that_only_repeats_itself_is_text() {
        let url = "https://example.org";
        let mut paragraph = Paragraph { content: vec![link(url, "https://example.org/")], ..Paragraph::default() };
        simplify_paragraph(&mut paragraph);
        assert!(matches!(&paragraph.content[..], [InlineContent::Text(run)] if run.text == url));
    }
}
