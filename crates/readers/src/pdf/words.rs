//! Repairs the words of a PDF's text: joins words that a line end broke, spells out ligatures, removes dot leaders.

use std::borrow::Cow;

/// Words (English and German) before which a hyphen replaces the end of a compound: "first- and second-class".
const AFTER_SUSPENDED_HYPHEN: [&str; 8] = ["and", "or", "to", "und", "oder", "bis", "bzw", "sowie"];

/// A leader has at least this many dots, with or without spaces; an ellipsis has three.
const LEADER_DOTS: usize = 5;

/// `text` with the dot leaders of a table of contents replaced by one space.
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

/// `text` without leaders and ligatures, and with the words joined that a line end broke.
pub(super) fn repair(text: &str) -> String {
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
            // A soft hyphen inside a line is invisible.
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
            // A glyph without a character.
            char::REPLACEMENT_CHARACTER => {}
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_broken_at_a_line_end_are_joined() {
        assert_eq!(repair("The pro- gramming lan\u{ad} guage"), "The programming language");
        assert_eq!(
            repair("low-level, first- and second-class, page 3 - 5"),
            "low-level, first- and second-class, page 3 - 5"
        );
        assert_eq!(repair("Ein- und Ausgabe, A- Bc"), "Ein- und Ausgabe, A- Bc");
        assert_eq!(repair("soft\u{ad}ly"), "softly");
    }

    #[test]
    fn ligatures_become_letters() {
        assert_eq!(repair("signi\u{fb01}cant e\u{fb03}cient"), "significant efficient");
    }

    #[test]
    fn a_table_of_contents_loses_its_dots() {
        assert_eq!(repair("Fees  . . . . . . 12 and ......... 13."), "Fees 12 and 13.");
        assert_eq!(repair("well ... . no"), "well ... . no");
    }
}
