//! Separates words that the parsing crate joins ("ausBemerkung 14ist").
//!
//! Some programs draw the space before a word as a move after an empty string: `[<>-332(Bemerkung)] TJ`. The crate
//! takes that move for a part of the word. If a page's text looks joined, its drawing operators tell where words end.

use std::collections::BTreeMap;

use unpdf::parser::backend::{ContentOp, PageId, PdfBackend, PdfValue};

use super::{reopened::Reopened, words};

/// The smallest move that is a space between words, in thousandths of the font size. Kerning moves letters by up to
/// about 95; the narrowest spaces in print are about 160.
const WORD_SPACE: f32 = 120.0;
/// The longest row of words that is looked for, in bytes.
const MAX_ROW_BYTES: usize = 200;
/// The most rows that are looked for on a page; each costs a pass over its text.
const MAX_ROWS: usize = 300;

/// Rows of words with only such moves between them, and how often the page draws each row.
type Rows = BTreeMap<Vec<String>, usize>;

/// The text of page `number` with the spaces that the crate lost.
pub(super) fn separate(text: String, number: u32, reopened: &Reopened<'_>) -> String {
    if !looks_glued(&text) {
        return text;
    }
    let Some((document, page)) = reopened.page(number) else { return text };
    rows_of(document, page).iter().fold(text, |text, (row, count)| separate_row(text, row, *count))
}

/// Whether a capital follows a small letter ("ausBemerkung") or small letters follow a digit ("14ist"). Names and units
/// look so too; for them the page's operators are read to no effect.
fn looks_glued(text: &str) -> bool {
    let mut rest = text.chars();
    let mut first = ' ';
    let mut second = ' ';
    rest.any(|third| {
        let capital_inside = first.is_lowercase() && second.is_uppercase() && third.is_lowercase();
        let word_at_digit = first.is_ascii_digit() && second.is_lowercase() && third.is_lowercase();
        let ordinal = matches!((second, third), ('s', 't') | ('n', 'd') | ('r', 'd') | ('t', 'h'));
        (first, second) = (second, third);
        capital_inside || (word_at_digit && !ordinal)
    })
}

/// Separates the words of `row` wherever `text` joins them. If the joined word occurs more often than the page draws the
/// row, it is a real word too, and the text stays as it is.
fn separate_row(text: String, row: &[String], drawn: usize) -> String {
    let glued = row.concat();
    let separated = row.join(" ");
    let is_inside_word = |at: usize| {
        let is_one_word = |before: Option<char>, after: Option<char>| {
            before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
        };
        is_one_word(text[..at].chars().next_back(), glued.chars().next())
            || is_one_word(glued.chars().next_back(), text[at + glued.len()..].chars().next())
    };
    let found: Vec<_> = text.match_indices(&glued).map(|(at, _)| at).filter(|at| !is_inside_word(*at)).collect();
    if found.is_empty() || found.len() > drawn {
        return text;
    }
    let mut out = String::with_capacity(text.len() + found.len() * row.len());
    let mut done = 0;
    for at in found {
        out.push_str(&text[done..at]);
        out.push_str(&separated);
        done = at + glued.len();
    }
    out + &text[done..]
}

fn rows_of(document: &dyn PdfBackend, page: PageId) -> Rows {
    let Ok(content) = document.page_content(page) else { return Rows::new() };
    // A search for the empty string is cheaper than decoding the operators.
    if !content.windows(3).any(|w| w == b"[<>" || w == b"[()") {
        return Rows::new();
    }
    let Ok(operators) = document.decode_content(&content) else { return Rows::new() };
    let mut reader = Reader { document, page, font: &[], fonts: Vec::new(), row: Vec::new(), rows: Rows::new() };
    operators.iter().for_each(|operator| reader.read(operator));
    reader.end_row();
    reader.rows
}

/// Follows the text position through a page's operators, as far as needed to know whether a text begins where the
/// previous one ended.
struct Reader<'a> {
    document: &'a dyn PdfBackend,
    page: PageId,
    font: &'a [u8],
    /// The fonts of the saved graphics states.
    fonts: Vec<&'a [u8]>,
    /// The words up to the text position.
    row: Vec<String>,
    rows: Rows,
}

impl<'a> Reader<'a> {
    fn read(&mut self, operator: &'a ContentOp) {
        match operator.operator.as_str() {
            "Tf" => {
                if let Some(PdfValue::Name(name)) = operator.operands.first() {
                    self.font = name;
                }
            }
            "q" => self.fonts.push(self.font),
            "Q" => self.font = self.fonts.pop().unwrap_or_default(),
            "Tj" | "TJ" => self.draw(operator),
            // These move the text position elsewhere.
            "Td" | "TD" | "Tm" | "T*" | "'" | "\"" | "BT" | "ET" | "Do" | "cm" => self.end_row(),
            _ => {}
        }
    }

    fn draw(&mut self, operator: &ContentOp) {
        if !opens_with_space(strings(operator)) {
            self.end_row();
        }
        let text = self.text(operator);
        let mut words = text.split_whitespace();
        self.row.extend(words.next().map(String::from));
        if let Some(last) = words.next_back() {
            self.end_row();
            self.row.push(last.into());
        }
    }

    fn end_row(&mut self) {
        let mut row = std::mem::take(&mut self.row);
        // A word that is hyphenated at a line's end was joined with its other half.
        if let Some(last) = row.last_mut() {
            last.truncate(last.trim_end_matches(['-', '\u{ad}']).len());
        }
        let bytes: usize = row.iter().map(String::len).sum();
        if row.len() < 2 || bytes > MAX_ROW_BYTES || row.iter().any(String::is_empty) {
            return;
        }
        let row = row.iter().map(|word| words::repair(word)).collect();
        if self.rows.len() < MAX_ROWS || self.rows.contains_key(&row) {
            *self.rows.entry(row).or_default() += 1;
        }
    }

    /// The text that `operator` draws, with a space for each move that is one.
    fn text(&self, operator: &ContentOp) -> String {
        let mut text = String::new();
        for item in strings(operator) {
            match item {
                PdfValue::Str(bytes) => {
                    text.push_str(&self.document.decode_text(operator.scope(self.page), self.font, bytes).text);
                }
                other if moved(other) >= WORD_SPACE => text.push(' '),
                _ => {}
            }
        }
        text
    }
}

/// The strings that a `Tj` or `TJ` draws, and the moves between them.
fn strings(operator: &ContentOp) -> &[PdfValue] {
    match operator.operands.first() {
        Some(PdfValue::Array(items)) => items,
        _ => &operator.operands,
    }
}

/// Whether the first string is empty and a space comes before the next one.
fn opens_with_space(items: &[PdfValue]) -> bool {
    let is_empty = |item: &&PdfValue| matches!(item, PdfValue::Str(bytes) if bytes.is_empty());
    let is_before_text = |item: &&PdfValue| is_empty(item) || !matches!(item, PdfValue::Str(_));
    let opening = items.iter().take_while(is_before_text);
    items.first().as_ref().is_some_and(is_empty) && opening.map(moved).sum::<f32>() >= WORD_SPACE
}

/// The move to the right of a number in a `TJ`, in thousandths of the font size.
fn moved(item: &PdfValue) -> f32 {
    match item {
        #[expect(clippy::cast_precision_loss, reason = "a move too large for f32 leaves the page")]
        PdfValue::Integer(number) => -(*number as f32),
        PdfValue::Real(number) => -number,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separated(text: &str, row: &[&str], drawn: usize) -> String {
        separate_row(text.into(), &row.iter().copied().map(String::from).collect::<Vec<_>>(), drawn)
    }

    #[test]
    fn only_pages_that_look_joined_are_read_again() {
        assert!(looks_glued("folgt ausBemerkung 14") && looks_glued("Bemerkung 14ist"));
        assert!(!looks_glued("On March 3rd, the 21st of 12 NATO-Staaten, 3 a and 4b, A1 and HTML"));
    }

    #[test]
    fn joined_words_are_separated_unless_inside_a_longer_word() {
        assert_eq!(separated("b)NachSatz 1, NachSatz-", &["Nach", "Satz"], 2), "b)Nach Satz 1, Nach Satz-");
        assert_eq!(separated("3.5:Situation", &["3.5:", "Situation"], 1), "3.5: Situation");
        assert_eq!(separated("Satz 14folgtaus", &["14", "folgt", "aus"], 1), "Satz 14 folgt aus");
    }

    #[test]
    fn a_real_word_is_not_separated() {
        assert_eq!(separated("inform, informs, inform", &["in", "form"], 1), "inform, informs, inform");
        assert_eq!(separated("misinform informs", &["in", "form"], 1), "misinform informs");
    }

    #[test]
    fn a_space_is_a_move_after_an_empty_string() {
        let nothing = || PdfValue::Str(Vec::new());
        let word = || PdfValue::Str(b"word".to_vec());
        assert!(opens_with_space(&[nothing(), PdfValue::Integer(-332), word()]));
        assert!(opens_with_space(&[nothing(), PdfValue::Real(-100.5), nothing(), PdfValue::Integer(-50), word()]));
        assert!(!opens_with_space(&[nothing(), PdfValue::Integer(-80), word()]));
        // The crate itself reads these right.
        assert!(!opens_with_space(&[PdfValue::Integer(-332), word()]));
        assert!(!opens_with_space(&[word(), PdfValue::Integer(-332), word()]));
    }
}
