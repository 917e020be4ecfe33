//! Makes a PDF's paragraphs plain: whole words without bold and italics.
//!
//! Bold and italics split words and phrases (`*γ*1`, `within **30 days**`), which search then misses. The structure
//! that they show is in the headings already.

use unpdf::{Block, InlineContent, Paragraph, TextRun, TextStyle};

use super::words::repair;

/// The most capitals in a mathematical name, for example of a triangle's corners.
const MAX_NAME_LETTERS: usize = 3;

/// Simplifies every paragraph of `block`, table cells included.
pub(super) fn simplify(block: &mut Block) {
    match block {
        Block::Paragraph(paragraph) => simplify_paragraph(paragraph),
        Block::Table(table) => {
            let cells = table.rows.iter_mut().flat_map(|row| &mut row.cells);
            cells.flat_map(|cell| &mut cell.content).for_each(simplify_paragraph);
        }
        // Code stays as it is; the others hold no text.
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
            // Pictures are not stored.
            InlineContent::Image { .. } => {}
        }
    }
    paragraph.content = pieces.finish();
}

/// The new content of a paragraph: text, and links between texts.
#[derive(Default)]
struct Pieces {
    done: Vec<InlineContent>,
    text: String,
    /// Whether the text before was bold.
    bold: bool,
    /// Whether the text before was italic.
    italic: bool,
    /// Whether the piece before was a link, whether or not it became text.
    after_link: bool,
    /// Whether the content so far is only a footnote's mark.
    after_mark: bool,
}

impl Pieces {
    fn add_text(&mut self, text: &str, style: &TextStyle) {
        let is_script = style.superscript || style.subscript;
        let changes_style = (style.bold, style.italic) != (self.bold, self.italic);
        let touches = (self.after_link || self.after_mark) && is_word_to_word(self.last_char(), text);
        if is_script && self.italic && is_symbol_to_script(&self.text, text) {
            self.text.pop();
        } else if touches || (changes_style && is_label_to_word(&self.text, text)) {
            self.text.push(' ');
        }
        let is_first = self.text.trim().is_empty() && self.done.is_empty();
        self.after_mark = is_script && is_first && text.chars().all(|c| c.is_ascii_digit());
        self.bold = style.bold;
        self.italic = style.italic;
        self.after_link = false;
        self.text.push_str(text);
    }

    fn add_link(&mut self, text: String, url: String) {
        let target = url.trim();
        let is_absolute = ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
        // Programs draw references close to the word before, without a space.
        if is_word_to_word(self.last_char(), &text) {
            self.text.push(' ');
        }
        if is_absolute && !text.contains(target.trim_end_matches('/')) {
            self.end_text();
            self.done.push(InlineContent::Link { text: repair(&text), url, title: None, style: TextStyle::default() });
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
            self.done.push(InlineContent::Text(TextRun::new(repair(&std::mem::take(&mut self.text)))));
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

/// "**Figure 3.5:**Situation": the space after a label is drawn as a move.
fn is_label_to_word(before: &str, next: &str) -> bool {
    before.ends_with([':', ';', ')']) && next.starts_with(char::is_alphabetic)
}

/// "x 2": an italic letter leans towards its index, so the crate sees a space between them. Names of points ("AB") are
/// symbols too.
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
    fn a_reference_is_separated_from_the_word_before() {
        let text = InlineContent::Text(TextRun::new("see"));
        assert_eq!(simplified(vec![text.clone(), link("Figure 2", "#2"), text]), "see Figure 2 see");
    }

    #[test]
    fn an_index_is_joined_to_its_symbol() {
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
    fn a_footnote_is_separated_from_its_mark() {
        let style = TextStyle { superscript: true, ..TextStyle::default() };
        let mark = || InlineContent::Text(TextRun { text: "1".into(), style: style.clone() });
        let text = |text| InlineContent::Text(TextRun::new(text));
        assert_eq!(simplified(vec![mark(), text("This holds.")]), "1 This holds.");
        assert_eq!(simplified(vec![text("R"), mark(), text("x")]), "R1x");
    }

    #[test]
    fn a_link_whose_text_is_its_target_becomes_text() {
        let url = "https://example.org";
        let mut paragraph = Paragraph { content: vec![link(url, "https://example.org/")], ..Paragraph::default() };
        simplify_paragraph(&mut paragraph);
        assert!(matches!(&paragraph.content[..], [InlineContent::Text(run)] if run.text == url));
    }
}
