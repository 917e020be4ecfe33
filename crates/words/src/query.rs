//! Reads a question.
//!
//! The grammar: `"words in a row"`, `-word` and `-"words in a row"`, `filename:part` and `filename:"a part"`. Everything
//! else is plain words, a quotation mark without its second included.

use crate::{
    language::Language,
    term,
    tokens::{Token, tokens},
};

/// Words of a question that are looked up; the rest is left to the search by meaning.
const MAX_WORDS: usize = 64;

/// A word of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The forms that count as this word, in any of the languages.
    pub forms: Vec<String>,
}

impl Wanted {
    /// Its terms in the index.
    pub fn terms(&self) -> impl Iterator<Item = i32> {
        self.forms.iter().map(|form| term(form))
    }

    fn is(&self, token: &Token) -> bool {
        token.forms.iter().any(|form| self.forms.contains(form))
    }
}

/// A question, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Its words, each once, without those that only its grammar needs; those of phrases too.
    pub words: Vec<Wanted>,
    /// How many of `words`, from the first, a passage must have: those of phrases.
    pub required: usize,
    /// What must stand in a row.
    pub phrases: Vec<Vec<Wanted>>,
    /// What must not stand in a passage.
    pub without: Vec<Vec<Wanted>>,
    /// What the file's name must contain.
    pub filenames: Vec<String>,
    /// The question without its operators, for the model.
    pub plain: String,
}

impl Question {
    /// Reads `text`; its words get the base forms of each of `languages`.
    pub fn parse(text: &str, languages: &[Language]) -> Self {
        let mut question = Self::default();
        let mut plain = String::new();
        for part in parts(text) {
            match part {
                Part::Plain(words) => plain.push_str(words),
                Part::Phrase(words) => {
                    question.plain.push_str(words);
                    question.plain.push(' ');
                    question.phrases.extend(Some(wanted(words, languages)).filter(|words| !words.is_empty()));
                }
                Part::Without(words) => {
                    question.without.extend(Some(wanted(words, languages)).filter(|words| !words.is_empty()));
                }
                Part::Filename(name) => question.filenames.push(name.to_owned()),
            }
        }
        for word in question.phrases.iter().flatten() {
            if !question.words.contains(word) {
                question.words.push(word.clone());
            }
        }
        question.words.truncate(MAX_WORDS);
        question.required = question.words.len();
        for word in without_function_words(all_wanted(&plain, languages), languages, question.required == 0) {
            if question.words.len() < MAX_WORDS && !question.words.contains(&word) {
                question.words.push(word);
            }
        }
        question.plain = format!("{}{plain}", question.plain).trim().to_owned();
        question
    }

    /// Whether it only says what is not wanted.
    pub fn is_only_negative(&self) -> bool {
        self.plain.is_empty()
    }

    /// Whether a passage must be read to know that it fits.
    pub fn is_strict(&self) -> bool {
        !self.phrases.is_empty() || !self.without.is_empty()
    }

    /// Whether a passage has every phrase and nothing that is not wanted.
    pub fn accepts(&self, heading: &str, text: &str, language: Option<Language>) -> bool {
        let mut parts = [Vec::new(), Vec::new()];
        for (source, found) in [heading, text].iter().zip(&mut parts) {
            tokens(source, language, &mut |token| found.push(token));
        }
        let has = |wanted: &[Wanted]| parts.iter().any(|found| stands_in(found, wanted));
        self.phrases.iter().all(|phrase| has(phrase)) && !self.without.iter().any(|words| has(words))
    }
}

/// Whether the words stand in a row. Parts of an identifier stand in the row of its text, beside the whole.
fn stands_in(found: &[Token], wanted: &[Wanted]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return false };
    (0..found.len()).any(|start| {
        let mut at = start;
        first.is(&found[start])
            && rest.iter().all(|word| {
                // The next word begins where this one has ended; what overlaps it is a part of it or a pair.
                let next = (at + 1..found.len())
                    .take_while(|next| *next <= at + 1 || overlaps(found, at, *next - 1))
                    .find(|next| word.is(&found[*next]));
                at = next.unwrap_or(at);
                next.is_some()
            })
    })
}

fn overlaps(found: &[Token], at: usize, next: usize) -> bool {
    found[next].start < found[at].end
}

enum Part<'a> {
    Plain(&'a str),
    Phrase(&'a str),
    Without(&'a str),
    Filename(&'a str),
}

const FILENAME: &str = "filename:";

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut is_at_border = true;
    while let Some(c) = rest.chars().next() {
        if is_at_border {
            if let Some((words, after)) = quoted(rest) {
                parts.push(Part::Phrase(words));
                rest = after;
                continue;
            }
            let negated = rest.strip_prefix('-');
            if let Some((words, after)) = negated.and_then(quoted) {
                parts.push(Part::Without(words));
                rest = after;
                continue;
            }
            if let Some(after) = negated.filter(|after| after.starts_with(char::is_alphabetic)) {
                let (word, after) = word(after);
                parts.push(Part::Without(word));
                rest = after;
                continue;
            }
            if let Some(after) = rest
                .get(..FILENAME.len())
                .filter(|start| start.eq_ignore_ascii_case(FILENAME))
                .map(|_| &rest[FILENAME.len()..])
                && let (name, after) = quoted(after).unwrap_or_else(|| word(after))
                && !name.trim().is_empty()
            {
                parts.push(Part::Filename(name.trim()));
                rest = after;
                continue;
            }
        }
        let end = rest.char_indices().find(|(i, next)| *i > 0 && next.is_whitespace()).map_or(rest.len(), |(i, _)| i);
        let end = if c.is_whitespace() { c.len_utf8() } else { end };
        parts.push(Part::Plain(&rest[..end]));
        is_at_border = c.is_whitespace();
        rest = &rest[end..];
    }
    parts
}

/// What stands between quotation marks at the start of `text`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let last: &[char] = match first {
        '"' => &['"'],
        '\u{201c}' => &['\u{201d}'],
        '\u{201e}' => &['\u{201c}', '\u{201d}'],
        _ => return None,
    };
    let inner = &text[first.len_utf8()..];
    let end = inner.find(last)?;
    let after = inner[end..].chars().next().map_or(0, char::len_utf8);
    (!inner[..end].trim().is_empty()).then(|| (&inner[..end], &inner[end + after..]))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The words in a row, without parts of words.
fn wanted(text: &str, languages: &[Language]) -> Vec<Wanted> {
    let all = read(text, languages);
    all.into_iter().filter(|(_, is_part)| !is_part).map(|(word, _)| word).collect()
}

fn all_wanted(text: &str, languages: &[Language]) -> Vec<Wanted> {
    read(text, languages).into_iter().map(|(word, _)| word).collect()
}

/// The tokens of `text`. Each language cuts it alike and gives other forms. The first form is the folded word itself.
fn read(text: &str, languages: &[Language]) -> Vec<(Wanted, bool)> {
    let mut all: Vec<(Wanted, bool)> = Vec::new();
    tokens(text, None, &mut |token| all.push((Wanted { forms: token.forms }, token.is_part)));
    for language in languages {
        let mut i = 0;
        tokens(text, Some(*language), &mut |token| {
            if let Some((word, _)) = all.get_mut(i) {
                for form in token.forms {
                    if !word.forms.contains(&form) {
                        word.forms.push(form);
                    }
                }
            }
            i += 1;
        });
    }
    all
}

/// Leaves out the function words of the language that the question has most of: one that the user's documents are in, or
/// English. A question of such words alone keeps them, unless there are other words beside it.
fn without_function_words(words: Vec<Wanted>, languages: &[Language], keep_some: bool) -> Vec<Wanted> {
    let mut candidates = languages.to_vec();
    candidates.extend(Language::parse("en").filter(|english| !languages.contains(english)));
    let hits = |language: &Language| words.iter().filter(|word| language.is_function_word(&word.forms[0])).count();
    let most = candidates.iter().map(&hits).max().unwrap_or(0);
    candidates.retain(|language| hits(language) == most);
    let telling: Vec<Wanted> = words
        .iter()
        .filter(|word| !candidates.iter().any(|language| language.is_function_word(&word.forms[0])))
        .cloned()
        .collect();
    if telling.is_empty() && keep_some { words } else { telling }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(codes: &str) -> Vec<Language> {
        codes.split(' ').filter_map(Language::parse).collect()
    }

    fn firsts(words: &[Wanted]) -> String {
        words.iter().map(|word| word.forms[0].as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn function_words_of_the_question_s_language_are_left_out() {
        let question = Question::parse("What is the Kündigungsfrist of the lamps?", &languages("de en"));
        assert_eq!(firsts(&question.words), "kundigungsfrist lamps");
        assert_eq!(question.words[1].forms, ["lamps", "lamp"]);
        let question = Question::parse("Wann war die Kündigung?", &languages("de en"));
        assert_eq!(firsts(&question.words), "kundigung");
        // "die" is no function word of English.
        assert_eq!(firsts(&Question::parse("die hard", &languages("en")).words), "die hard");
        assert_eq!(firsts(&Question::parse("to be or not to be", &languages("en")).words), "to be or not");
    }

    #[test]
    fn phrases_exclusions_and_file_names_are_read_and_the_rest_is_words() {
        let question = Question::parse("storm \"burst pipes\" -flood -\"old age\" filename:Policy.pdf a-b -5", &[]);
        assert_eq!(firsts(&question.words), "burst pipes storm b 5");
        assert_eq!((question.required, question.phrases.len()), (2, 1));
        assert_eq!(question.without.iter().map(|words| firsts(words)).collect::<Vec<_>>(), ["flood", "old age"]);
        assert_eq!(question.filenames, ["Policy.pdf"]);
        assert!(question.plain.contains("burst pipes") && !question.plain.contains("flood"));
        let question = Question::parse("a \"quote that does not end", &[]);
        assert_eq!((question.phrases.len(), firsts(&question.words)), (0, "quote end".to_owned()));
        assert!(Question::parse("-flood -\"old age\"", &[]).is_only_negative());
    }

    #[test]
    fn operators_alone_emoji_and_blanks_are_no_words() {
        for text in ["\"\"", "-", "- -", "😀 😀", "\"😀\"", "-\"\"", "filename:", "*?!", "\u{201c}\u{201d}"] {
            let question = Question::parse(text, &languages("en de"));
            assert!(question.words.len() <= 1 && question.phrases.is_empty(), "{text}: {question:?}");
        }
    }

    #[test]
    fn a_phrase_stands_in_a_row_and_an_excluded_word_nowhere() {
        let english = Language::parse("en");
        let accepts =
            |question: &str, text: &str| Question::parse(question, &languages("en")).accepts("", text, english);
        assert!(accepts("\"burst pipes\"", "Water from a burst pipe."));
        assert!(!accepts("\"burst pipes\"", "The pipe that burst."));
        assert!(accepts("\"code ERR-4012\"", "See code ERR-4012 below."));
        assert!(accepts("\"ERR 4012 below\"", "See code ERR-4012 below."));
        assert!(accepts("\"保险合同\"", "这份保险合同。") && !accepts("\"保险合同\"", "合同保险"));
        assert!(!accepts("storm -floods", "A storm with a flood.") && accepts("storm -floods", "A storm."));
    }
}
