//! Shows the place in a passage where a question's words are: without markup, and cut between words.

use std::collections::{HashMap, HashSet};

use crate::{
    language::Language,
    query::Wanted,
    tokens::{Forms, Token, tokens, tokens_of},
};

/// Characters of a fragment.
const FRAGMENT: usize = 220;

/// Marks a question's words in the passages that it has found.
#[derive(Debug)]
pub struct Highlighter<'a> {
    wanted: HashSet<&'a str>,
    /// By the code of a language, since hits share most of their words.
    forms: HashMap<&'static str, Forms>,
}

impl<'a> Highlighter<'a> {
    /// Of the words of a question.
    pub fn new(wanted: &'a [Wanted]) -> Self {
        let wanted = wanted.iter().flat_map(|word| &word.forms).map(String::as_str).collect();
        Self { wanted, forms: HashMap::new() }
    }

    /// Up to two fragments with `**` around the words that match; where none does, the start of the passage.
    pub fn highlight(&mut self, text: &str, language: Option<Language>) -> String {
        let text = plain(text);
        let code = language.map_or("", Language::code);
        let forms = self.forms.entry(code).or_insert_with(|| Forms::new(language));
        let (mut spans, mut found) = (Vec::new(), Vec::<Token>::new());
        tokens_of(&text, forms, &mut |token| {
            spans.push((token.start, token.end));
            if token.forms.iter().any(|form| self.wanted.contains(form.as_str())) {
                found.push(token);
            }
        });
        let marks = marks(&found);
        let Some(first) = best(&text, &spans, &found, &[]) else { return excerpt_of_plain(&text, FRAGMENT) };
        let second = best(&text, &spans, &found, &[first]);
        let mut fragments: Vec<(usize, usize)> = [Some(first), second].into_iter().flatten().collect();
        fragments.sort_unstable();
        let shown: Vec<String> = fragments.iter().map(|fragment| marked(&text, *fragment, &marks)).collect();
        let before = if fragments[0].0 > 0 { "… " } else { "" };
        let after = if fragments[fragments.len() - 1].1 < text.len() { " …" } else { "" };
        format!("{before}{}{after}", shown.join(" … "))
    }
}

/// The start of a passage without markup, at most `chars` long, cut between words.
pub fn excerpt(text: &str, chars: usize) -> String {
    excerpt_of_plain(&plain(text), chars)
}

fn excerpt_of_plain(text: &str, chars: usize) -> String {
    // A word that goes on beyond the limit is seen to do so.
    let read = text.char_indices().nth(chars + 1).map_or(text.len(), |(i, _)| i);
    let mut spans = Vec::new();
    tokens(&text[..read], None, &mut |token| spans.push((token.start, token.end)));
    let end = end_of_words(text, &spans, 0, chars);
    if end < text.len() { format!("{} …", text[..end].trim_end()) } else { text.to_owned() }
}

/// Where the last word ends that begins at or behind `start` and is within `chars` of it. `spans`: where tokens begin and end,
/// in order.
fn end_of_words(text: &str, spans: &[(usize, usize)], start: usize, chars: usize) -> usize {
    let Some((limit, _)) = text[start..].char_indices().nth(chars) else { return text.len() };
    let limit = start + limit;
    let first = spans.partition_point(|(from, _)| *from < start);
    let within = spans[first..].iter().take_while(|(from, _)| *from < limit).map(|(_, to)| *to);
    within.filter(|to| *to <= limit).max().unwrap_or(limit)
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
fn best(text: &str, spans: &[(usize, usize)], found: &[Token], taken: &[(usize, usize)]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize, usize)> = None;
    for (i, token) in found.iter().enumerate() {
        let start = start_before(text, token.start);
        let end = end_of_words(text, spans, start, FRAGMENT).max(token.end);
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
        let words = Question::parse(question, &languages).words;
        Highlighter::new(&words).highlight(text, languages.first().copied())
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
