//! Cuts text into tokens.
//!
//! * A run of letters is a word, in the base form of the document's language.
//! * A number keeps its decimals and loses what parts its thousands: `$1,577.00` is `1577`.
//! * What holds a digit and is joined by `-`, `_`, `.`, `/` or `:` is an identifier: `ERR-4012` is `err-4012`, `err` and
//!   `4012`; `FY2018` is `fy2018`, `fy` and `2018`.
//! * Scripts without blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and Korean, whose words carry
//!   their particles, are cut into pairs of neighbouring characters.

use std::collections::HashMap;

use crate::{
    fold::{fold, is_invisible, lower},
    language::Language,
};

/// A token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The forms it is indexed under: one, for most words.
    pub forms: Vec<String>,
    /// Whether it is a part of a token before it.
    pub is_part: bool,
}

/// An identifier of more parts is searched as its parts only, and a name of more parts only whole.
const MAX_PARTS: usize = 8;

/// The forms of words in one language, each different word put into its base form once: a text has few different words.
#[derive(Debug)]
pub struct Forms {
    language: Option<Language>,
    known: HashMap<String, Vec<String>>,
}

impl Forms {
    /// Of words in `language`; `None`: only folded.
    pub fn new(language: Option<Language>) -> Self {
        Self { language, known: HashMap::new() }
    }

    /// The forms of a word in lower case: its stem without accents; where that differs, also what is the stem of the word
    /// without accents, for those who type it so.
    fn of(&mut self, word: String) -> Vec<String> {
        let Some(language) = self.language else { return vec![fold(&word)] };
        if let Some(forms) = self.known.get(&word) {
            return forms.clone();
        }
        let plain = fold(&word);
        let stem = fold(&language.stem(&word));
        let stem_of_plain = if plain == word { stem.clone() } else { fold(&language.stem(&plain)) };
        let forms = if stem == stem_of_plain { vec![stem] } else { vec![stem, stem_of_plain] };
        self.known.insert(word, forms.clone());
        forms
    }
}

/// Calls `each` with the tokens of `text` in order, words in the base form of `language`.
pub fn tokens(text: &str, language: Option<Language>, each: &mut dyn FnMut(Token)) {
    tokens_of(text, &mut Forms::new(language), each);
}

/// The same for one of several texts in a language.
pub fn tokens_of(text: &str, forms: &mut Forms, each: &mut dyn FnMut(Token)) {
    let mut runs: Vec<Run> = Vec::new();
    for run in (Runs { text, at: 0 }) {
        if run.kind == Kind::Unspaced {
            flush(text, &mut runs, forms, each);
            pairs(text, run, each);
            continue;
        }
        let is_joined = runs.last().is_some_and(|last| joins(&text[last.end..run.start]));
        if !is_joined {
            flush(text, &mut runs, forms, each);
        }
        runs.push(run);
    }
    flush(text, &mut runs, forms, each);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters, marks and digits.
    Word,
    /// Letters that are cut into pairs.
    Unspaced,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    kind: Kind,
}

struct Runs<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let rest = &self.text[self.at..];
        let (skip, kind) = rest.char_indices().find_map(|(i, c)| kind_of(c).map(|kind| (i, kind)))?;
        let start = self.at + skip;
        let length = self.text[start..]
            .char_indices()
            .find(|(_, c)| kind_of(*c) != Some(kind) && !is_mark(*c) && !is_invisible(*c))
            .map_or(self.text.len() - start, |(i, _)| i);
        self.at = start + length;
        Some(Run { start, end: self.at, kind })
    }
}

fn kind_of(c: char) -> Option<Kind> {
    match c {
        _ if c.is_ascii() => c.is_ascii_alphanumeric().then_some(Kind::Word),
        // Thai, Lao; Burmese; Hangul letters; Khmer; kana, bopomofo, Hangul letters again; Han; Hangul; Han.
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3041}'..='\u{318f}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}' => Some(Kind::Unspaced),
        '々' => Some(Kind::Unspaced),
        _ => c.is_alphanumeric().then_some(Kind::Word),
    }
}

/// Whether words of this letter's script are cut into pairs.
pub fn is_unspaced(c: char) -> bool {
    kind_of(c) == Some(Kind::Unspaced)
}

/// Marks go with the letter before them: accents apart from their letters, vowels of Indic scripts.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && unicode_normalization::char::is_combining_mark(c)
}

fn joins(between: &str) -> bool {
    matches!(between, "-" | "_" | "." | "/" | ":" | "," | "'" | "\u{2019}" | "\u{2010}" | "\u{2011}")
}

fn pairs(text: &str, run: Run, each: &mut dyn FnMut(Token)) {
    let run_text = &text[run.start..run.end];
    let at: Vec<usize> = run_text.char_indices().map(|(i, _)| run.start + i).chain([run.end]).collect();
    let width = if at.len() > 2 { 2 } else { 1 };
    for window in at.windows(width + 1) {
        let (start, end) = (window[0], window[width]);
        each(Token { start, end, forms: vec![fold(&lower(&text[start..end]))], is_part: false });
    }
}

/// A run of letters and digits, or a number with its separators.
#[derive(Debug)]
struct Piece {
    start: usize,
    end: usize,
    /// The forms of a number; none: letters, or letters and digits.
    number: Vec<String>,
}

/// Emits the tokens of runs that are joined by single characters.
fn flush(text: &str, runs: &mut Vec<Run>, forms: &mut Forms, each: &mut dyn FnMut(Token)) {
    let pieces = pieces(text, runs);
    runs.clear();
    for group in groups(text, &pieces) {
        let whole = &text[group[0].start..group[group.len() - 1].end];
        let has_digit = whole.chars().any(char::is_numeric);
        if group.len() > 1 && group.len() <= MAX_PARTS && has_digit {
            let whole = vec![fold(&lower(&whole.replace(['\u{2010}', '\u{2011}'], "-")))];
            each(Token { start: group[0].start, end: group[group.len() - 1].end, forms: whole, is_part: false });
        }
        for piece in group {
            emit(text, piece, forms, each);
        }
    }
}

/// Puts digits and their separators together.
fn pieces(text: &str, runs: &[Run]) -> Vec<Piece> {
    let is_digits = |run: &Run| text[run.start..run.end].chars().all(char::is_numeric);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut i = 0;
    while i < runs.len() {
        let mut last = i;
        while is_digits(&runs[i])
            && last + 1 < runs.len()
            && is_digits(&runs[last + 1])
            && matches!(&text[runs[last].end..runs[last + 1].start], "." | ",")
        {
            last += 1;
        }
        let (start, end) = (runs[i].start, runs[last].end);
        match is_digits(&runs[i]).then(|| number(&lower(&text[start..end]))).flatten() {
            Some(number) => pieces.push(Piece { start, end, number }),
            None => pieces.extend(runs[i..=last].iter().map(|run| Piece {
                start: run.start,
                end: run.end,
                number: Vec::new(),
            })),
        }
        i = last + 1;
    }
    pieces
}

/// Parts pieces at commas and apostrophes, which join no identifier.
fn groups<'a>(text: &str, pieces: &'a [Piece]) -> Vec<&'a [Piece]> {
    let is_border = |pair: &[Piece]| matches!(&text[pair[0].end..pair[1].start], "," | "'" | "\u{2019}");
    let mut groups = Vec::new();
    let mut first = 0;
    for i in 1..=pieces.len() {
        if i == pieces.len() || is_border(&pieces[i - 1..=i]) {
            groups.push(&pieces[first..i]);
            first = i;
        }
    }
    groups
}

/// The forms of a number written with `.` and `,`; `None`: a list of numbers.
fn number(text: &str) -> Option<Vec<String>> {
    let groups: Vec<&str> = text.split(['.', ',']).collect();
    let separators: Vec<char> = text.chars().filter(|c| matches!(c, '.' | ',')).collect();
    let are_thousands = |groups: &[&str]| {
        groups[0].len() <= 3
            && groups[0].len() * 2 > groups[0].trim_start_matches('0').len()
            && groups[1..].iter().all(|g| g.len() == 3)
    };
    let decimal = |whole: String, decimals: &str| match decimals.trim_end_matches('0') {
        "" => whole,
        decimals => format!("{whole}.{decimals}"),
    };
    let Some((last, earlier)) = separators.split_last() else { return Some(vec![text.to_owned()]) };
    let is_mixed = earlier.iter().any(|separator| separator != last);
    let (decimals, wholes) = groups.split_last()?;
    Some(match (last, earlier.is_empty()) {
        // 1,234.50 and 1.234,50
        _ if is_mixed && earlier.iter().all(|separator| separator == &earlier[0]) && are_thousands(wholes) => {
            vec![decimal(wholes.concat(), decimals)]
        }
        _ if is_mixed => return None,
        // 1,577
        (',', _) if are_thousands(&groups) => vec![groups.concat()],
        // 12,5
        (',', true) => vec![decimal(wholes.concat(), decimals)],
        (',', false) => return None,
        // 1.577 is a decimal in some countries and a thousand in others.
        (_, true) if are_thousands(&groups) && groups[0] != "0" => {
            vec![decimal(wholes.concat(), decimals), groups.concat()]
        }
        (_, true) => vec![decimal(wholes.concat(), decimals)],
        (_, false) if are_thousands(&groups) => vec![groups.concat()],
        // A version, an address.
        (_, false) => vec![text.to_owned()],
    })
}

fn emit(text: &str, piece: &Piece, of: &mut Forms, each: &mut dyn FnMut(Token)) {
    let &Piece { start, end, .. } = piece;
    if !piece.number.is_empty() {
        each(Token { start, end, forms: piece.number.clone(), is_part: false });
        return;
    }
    let source = &text[start..end];
    // The letter after an apostrophe: company's, don't.
    let is_rest = text[..start].ends_with(['\'', '\u{2019}']) && source.chars().count() == 1;
    if is_rest {
        return;
    }
    let word = lower(source);
    if !source.chars().any(char::is_numeric) {
        each(Token { start, end, forms: of.of(word), is_part: false });
        for (from, to) in humps(source) {
            let forms = of.of(lower(&source[from..to]));
            each(Token { start: start + from, end: start + to, forms, is_part: true });
        }
        return;
    }
    each(Token { start, end, forms: vec![fold(&word)], is_part: false });
    for (from, to) in letters_and_digits(source) {
        let part = lower(&source[from..to]);
        let forms = if part.starts_with(char::is_numeric) { vec![part] } else { of.of(part) };
        each(Token { start: start + from, end: start + to, forms, is_part: true });
    }
}

/// `FY2018` → `FY`, `2018`; nothing where there is one part, or many as in a checksum. Single letters are no parts.
fn letters_and_digits(word: &str) -> Vec<(usize, usize)> {
    parts(word, |before, c| before.is_numeric() != c.is_numeric())
        .into_iter()
        .filter(|(from, to)| word[*from..*to].chars().nth(1).is_some() || word[*from..].starts_with(char::is_numeric))
        .collect()
}

/// `getUserName` → `get`, `User`, `Name`.
fn humps(word: &str) -> Vec<(usize, usize)> {
    parts(word, |before, c| before.is_lowercase() && c.is_uppercase())
}

fn parts(word: &str, is_border: impl Fn(char, char) -> bool) -> Vec<(usize, usize)> {
    let mut borders = vec![0];
    let mut before = None;
    for (i, c) in word.char_indices() {
        if before.is_some_and(|before| is_border(before, c)) {
            borders.push(i);
        }
        before = Some(c);
    }
    if borders.len() == 1 || borders.len() > MAX_PARTS / 2 {
        return Vec::new();
    }
    borders.push(word.len());
    borders.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms_of(text: &str, language: &str) -> String {
        let mut all = Vec::new();
        tokens(text, Language::parse(language), &mut |token| {
            assert!(!token.forms.is_empty() && text.is_char_boundary(token.start) && token.start < token.end);
            all.push(token.forms.join("|"));
        });
        all.join(" ")
    }

    #[test]
    fn numbers_keep_decimals_and_lose_their_thousands() {
        for (text, expected) in [
            ("$1,577.00 and 1.234,50 EUR", "1577 and 1234.5 eur"),
            ("12.50% of 1,2,3", "12.5 of 1 2 3"),
            ("1.577 km, 1.234.567", "1.577|1577 km 1234567"),
            ("3.14.2, 0.125, 007", "3.14.2 0.125 007"),
        ] {
            assert_eq!(forms_of(text, "en"), expected, "{text}");
        }
    }

    #[test]
    fn identifiers_are_found_whole_and_in_parts() {
        for (text, expected) in [
            ("ERR-4012.", "err-4012 err 4012"),
            ("3M_2018_10K", "3m_2018_10k 3m 3 2018 10k 10"),
            ("FY2018", "fy2018 fy 2018"),
            ("2024-05-01", "2024-05-01 2024 05 01"),
            ("cash-flow user_id", "cash flow user id"),
            ("getUserName", "getusernam get user name"),
            ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"),
        ] {
            assert_eq!(forms_of(text, "en"), expected, "{text}");
        }
    }

    #[test]
    fn words_have_their_language_s_base_form_with_and_without_accents() {
        assert_eq!(forms_of("The company's lamps, don\u{2019}t", "en"), "the compani lamp don");
        assert_eq!(forms_of("Versicherungen Häuser", "de"), "versicher haus");
        assert_eq!(forms_of("declaración declaraciones", "es"), "declar|declaracion declar");
        assert_eq!(forms_of("declaracion", "es"), "declaracion");
        assert_eq!(forms_of("l\u{2019}eau", "fr"), "l eau");
        assert_eq!(forms_of("Lamps", ""), "lamps");
    }

    #[test]
    fn scripts_without_blanks_are_cut_into_pairs() {
        assert_eq!(forms_of("保险合同第3章", "zh"), "保险 险合 合同 同第 3 章");
        assert_eq!(forms_of("보험은 iPhone", ""), "보험 험은 iphone i phone");
        assert_eq!(forms_of("水", ""), "水");
    }

    #[test]
    fn nothing_is_cut_within_a_character() {
        for text in ["", "\u{301}", "e\u{301}\u{301}", "😀😀 -.-", "a\u{ad}\u{ad}", "1,,2..3", "'''a'b'", "ก\u{e33}ข"]
        {
            forms_of(text, "en");
        }
    }
}
