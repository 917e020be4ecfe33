//! Shows the place in a passage where a question's words are: without markup, and cut between words.

use crate::{
    language::Language,
    query::Wanted,
    tokens::{Token, tokens},
};

/// Characters of a fragment.
const FRAGMENT: usize = 220;

/// Up to two fragments with `**` around the words that match; where none does, the start of the passage.
pub fn highlight(text: &str, wanted: &[Wanted], language: Option<Language>) -> String {
    let text = plain(text);
    let mut found: Vec<Token> = Vec::new();
    tokens(&text, language, &mut |token| {
        if wanted.iter().any(|word| word.forms.iter().any(|form| token.forms.contains(form))) {
            found.push(token);
        }
    });
    let marks = marks(&found);
    let Some(first) = best(&text, &found, &[]) else { return excerpt_of_plain(&text, FRAGMENT) };
    let second = best(&text, &found, &[first]);
    let mut fragments: Vec<(usize, usize)> = [Some(first), second].into_iter().flatten().collect();
    fragments.sort_unstable();
    let shown: Vec<String> = fragments.iter().map(|fragment| marked(&text, *fragment, &marks)).collect();
    let before = if fragments[0].0 > 0 { "… " } else { "" };
    let after = if fragments[fragments.len() - 1].1 < text.len() { " …" } else { "" };
    format!("{before}{}{after}", shown.join(" … "))
}

/// The start of a passage without markup, at most `chars` long, cut between words.
pub fn excerpt(text: &str, chars: usize) -> String {
    excerpt_of_plain(&plain(text), chars)
}

fn excerpt_of_plain(text: &str, chars: usize) -> String {
    let end = end_of_words(text, 0, chars);
    if end < text.len() { format!("{} …", text[..end].trim_end()) } else { text.to_owned() }
}

/// Where the last word ends that is within `chars` of `start`.
fn end_of_words(text: &str, start: usize, chars: usize) -> usize {
    let Some((limit, _)) = text[start..].char_indices().nth(chars) else { return text.len() };
    let limit = start + limit;
    let mut end = start;
    let mut last_start = start;
    tokens(&text[start..], None, &mut |token| {
        if start + token.end <= limit {
            end = end.max(start + token.end);
        }
        last_start = start + token.start;
    });
    if end == start { limit } else { end }
}

/// Overlapping and touching matches are one.
fn marks(found: &[Token]) -> Vec<(usize, usize)> {
    let mut marks: Vec<(usize, usize)> = Vec::new();
    let mut spans: Vec<(usize, usize)> = found.iter().map(|token| (token.start, token.end)).collect();
    spans.sort_unstable();
    for (start, end) in spans {
        match marks.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => marks.push((start, end)),
        }
    }
    marks
}

/// The stretch with most different words that overlaps none of `taken`.
fn best(text: &str, found: &[Token], taken: &[(usize, usize)]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize, usize)> = None;
    for (i, token) in found.iter().enumerate() {
        let start = start_before(text, token.start);
        let end = end_of_words(text, start, FRAGMENT).max(token.end);
        if taken.iter().any(|(from, to)| start < *to && end > *from) {
            continue;
        }
        let mut seen: Vec<&String> = Vec::new();
        for other in found[i..].iter().take_while(|other| other.end <= end) {
            if !seen.contains(&&other.forms[0]) {
                seen.push(&other.forms[0]);
            }
        }
        if best.is_none_or(|(most, _, _)| seen.len() > most) {
            best = Some((seen.len(), start, end));
        }
        // Enough to choose from; a passage of one word repeated would cost its square.
        if i > 200 {
            break;
        }
    }
    best.map(|(_, start, end)| (start, end))
}

/// Some words of context before a match: back to the start of the sentence if it is near.
fn start_before(text: &str, at: usize) -> usize {
    const CONTEXT: usize = 60;
    let from = text[..at].char_indices().rev().nth(CONTEXT).map_or(0, |(i, _)| i);
    if from == 0 {
        return 0;
    }
    let before = &text[from..at];
    let sentence = before.rfind(". ").map(|i| from + i + 2);
    sentence.or_else(|| before.find(' ').map(|i| from + i + 1)).unwrap_or(at)
}

fn marked(text: &str, (start, end): (usize, usize), marks: &[(usize, usize)]) -> String {
    let mut shown = String::with_capacity(end - start + 16);
    let mut at = start;
    for (from, to) in marks.iter().filter(|(from, to)| *from >= start && *to <= end) {
        shown.push_str(&text[at..*from]);
        shown.push_str("**");
        shown.push_str(&text[*from..*to]);
        shown.push_str("**");
        at = *to;
    }
    shown.push_str(&text[at..end]);
    shown.trim().to_owned()
}

/// A passage without its markdown: emphasis, code marks, headings, table rules, addresses of links, tags.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('|') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
            continue;
        }
        let line = line.trim_start_matches(['#', '>']);
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let mut skipped = c.len_utf8();
            match c {
                '*' | '`' | '[' => {}
                '!' if rest[1..].starts_with('[') => skipped = 2,
                ']' if rest[1..].starts_with('(') => skipped = rest.find(')').map_or(1, |end| end + 1),
                ']' => {}
                '<' if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') => {
                    skipped = rest.find('>').filter(|end| *end < 200).map_or(1, |end| end + 1);
                    plain.push(' ');
                }
                '\\' if rest[1..].starts_with(|c: char| c.is_ascii_punctuation()) => {
                    plain.extend(rest[1..].chars().next().filter(|c| *c != '*' && *c != '`'));
                    skipped = 2;
                }
                '|' => plain.push(' '),
                c => plain.push(c),
            }
            rest = &rest[skipped..];
        }
        plain.push(' ');
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Question;

    fn shown(question: &str, text: &str) -> String {
        let languages: Vec<Language> = Language::parse("en").into_iter().collect();
        highlight(text, &Question::parse(question, &languages).words, languages.first().copied())
    }

    #[test]
    fn matching_words_are_marked_in_any_form_and_the_passage_s_own_marks_are_gone() {
        assert_eq!(shown("lamps", "# The *lamp* burns [here](http://x.y/lamp)."), "The **lamp** burns here.");
        assert_eq!(shown("ERR-4012", "See ERR-4012."), "See **ERR-4012**.");
        assert_eq!(shown("4012", "See ERR-4012."), "See ERR-**4012**.");
        assert_eq!(shown("保险合同", "这份保险合同。"), "这份**保险合同**。");
        assert_eq!(shown("nothing here", "| a | b |\n|---|---|\n| c\\_d | <b>e</b> |"), "a b c_d e");
    }

    #[test]
    fn fragments_are_cut_between_words() {
        let text = format!("{} lamp {}", "before ".repeat(60), "afterwards ".repeat(60));
        let shown = shown("lamp", &text);
        let words: Vec<&str> = shown.split(' ').collect();
        assert!(words.iter().all(|word| ["…", "before", "**lamp**", "afterwards"].contains(word)), "{shown}");
        assert!(shown.starts_with("… ") && shown.ends_with(" …") && shown.len() < 320, "{shown}");
        assert_eq!(excerpt(&text, 16), "before before …");
        assert_eq!(excerpt("short", 16), "short");
    }

    #[test]
    fn two_fragments_are_shown_where_the_words_stand_far_apart() {
        let text = format!("A lamp. {} A pipe.", "other words ".repeat(60));
        assert!(shown("lamp pipe", &text).matches("**").count() == 4);
    }
}
