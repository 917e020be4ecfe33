//! Heading paths, shortened to fit the model.

use super::{blocks::Heading, tokens::TextTokens};
use domain::Failure;

/// The most characters of a heading path.
const MAX_CHARS: usize = 200;
/// A heading path needs at most this part of a chunk's tokens: 42 of 254.
const BUDGET_SHARE: usize = 6;
/// The text between two headings.
const SEPARATOR: &str = " > ";

/// The outline's headings, each shortened to fit above a chunk.
pub(super) struct Titles {
    titles: Vec<Title>,
    max_tokens: usize,
}

struct Title {
    text: String,
    chars: usize,
    tokens: usize,
}

impl Titles {
    pub fn new(headings: &[Heading], tokens: &TextTokens<'_>, budget: usize) -> Result<Self, Failure> {
        let max_tokens = budget / BUDGET_SHARE;
        let titles =
            headings.iter().map(|heading| shortened(&heading.title, tokens, max_tokens)).collect::<Result<_, _>>()?;
        Ok(Self { titles, max_tokens })
    }

    /// The headings of `path`, joined. Outermost headings are left out if the path would be too long.
    pub fn joined(&self, path: &[usize]) -> String {
        let kept: Vec<&str> = self.kept(path).iter().map(|&at| self.titles[at].text.as_str()).collect();
        kept.into_iter().filter(|title| !title.is_empty()).collect::<Vec<_>>().join(SEPARATOR)
    }

    /// The tokens of the joined headings of `path`.
    pub fn cost(&self, path: &[usize]) -> usize {
        self.kept(path).iter().map(|&at| self.titles[at].tokens + 1).sum()
    }

    fn kept<'p>(&self, path: &'p [usize]) -> &'p [usize] {
        let mut chars = 0;
        let mut tokens = 0;
        let fitting = path.iter().rev().take_while(|&&at| {
            chars += self.titles[at].chars + SEPARATOR.len();
            // The separator is one token, since spaces are none.
            tokens += self.titles[at].tokens + 1;
            chars <= MAX_CHARS + SEPARATOR.len() && tokens <= self.max_tokens + 1
        });
        &path[path.len() - fitting.count()..]
    }
}

/// Puts `title` on one line and cuts its end if it is too long.
fn shortened(title: &str, tokens: &TextTokens<'_>, max_tokens: usize) -> Result<Title, Failure> {
    // Limits the work for very long titles. What is kept is longer than any title that fits.
    let whole: Vec<&str> = title.split_whitespace().take(MAX_CHARS).collect();
    let whole: String = whole.join(" ").chars().take(2 * MAX_CHARS).collect();
    let mut chars = whole.chars().count();
    let mut text = whole.clone();
    loop {
        let count = tokens.count(&text)?;
        if (chars <= MAX_CHARS && count <= max_tokens) || chars == 0 {
            return Ok(Title { chars: text.chars().count(), text, tokens: count });
        }
        chars = (chars * 7 / 8).min(MAX_CHARS - 1);
        let cut = whole.char_indices().nth(chars).map_or(whole.len(), |(at, _)| at);
        let words = whole[..cut].rfind(' ').filter(|&at| at > cut / 2).unwrap_or(cut);
        text = format!("{}…", whole[..words].trim_end());
    }
}
