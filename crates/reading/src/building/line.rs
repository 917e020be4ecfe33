//! Builds a line of text from the runs of a file, which split words and styles anywhere.

use std::rc::Rc;

use domain::document::Inline;

/// Stands for the number of a page in a header or footer until the words around it are taken away.
pub const PAGE_NUMBER: &str = "\u{1}";

/// How a run looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// In bold letters.
    pub bold: bool,
    /// In italics.
    pub italic: bool,
    /// Struck through.
    pub struck: bool,
    /// Raised or lowered.
    pub raised: Raised,
}

/// Whether text is raised or lowered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Raised {
    /// On the line.
    #[default]
    No,
    /// Superscript.
    Up,
    /// Subscript.
    Down,
}

#[derive(Debug)]
enum Piece {
    Text { look: Look, text: String },
    Other(Inline),
}

/// A line under construction.
#[derive(Debug, Default)]
pub struct Line {
    pieces: Vec<(Option<Rc<str>>, Piece)>,
    /// The target of the link that encloses what is pushed.
    pub link: Option<Rc<str>>,
    /// How often something was added.
    pub additions: usize,
}

impl Line {
    /// Adds words. Soft hyphens are left out.
    pub fn text(&mut self, look: Look, text: &str) {
        let words = text.chars().filter(|c| *c != '\u{ad}');
        self.additions += usize::from(!text.is_empty());
        if let Some((link, Piece::Text { look: last, text })) = self.pieces.last_mut()
            && *last == look
            && *link == self.link
        {
            text.extend(words);
            return;
        }
        let text: String = words.collect();
        if !text.is_empty() {
            self.pieces.push((self.link.clone(), Piece::Text { look, text }));
        }
    }

    /// Adds something that is no text.
    pub fn push(&mut self, inline: Inline) {
        self.additions += 1;
        self.pieces.push((self.link.clone(), Piece::Other(inline)));
    }

    /// Whether nothing on it can be seen.
    pub fn is_blank(&self) -> bool {
        self.pieces.iter().all(|(_, piece)| match piece {
            Piece::Text { text, .. } => text.trim().is_empty(),
            Piece::Other(inline) => *inline == Inline::LineBreak,
        })
    }

    /// Its words, without styles.
    pub fn plain(&self) -> String {
        let mut plain = String::new();
        for (_, piece) in &self.pieces {
            match piece {
                Piece::Text { text, .. } => plain.push_str(text),
                Piece::Other(Inline::Formula(text)) => plain.push_str(text),
                Piece::Other(_) => plain.push(' '),
            }
        }
        plain
    }

    /// Takes bold and italic away, as in a heading, which is bold as a whole.
    pub fn without_emphasis(mut self) -> Self {
        for (_, piece) in &mut self.pieces {
            if let Piece::Text { look, .. } = piece {
                (look.bold, look.italic) = (false, false);
            }
        }
        self
    }

    /// A line of a header or footer without the number of the page and the words around it (`Page 3 of 7`).
    pub fn without_page_number(self) -> Self {
        /// More words than this say something else.
        const MOST_WORDS: usize = 3;
        let plain = self.plain();
        if !plain.contains(PAGE_NUMBER) {
            return self;
        }
        let rest = plain.split('\t').filter_map(|part| {
            let words = part.replace(PAGE_NUMBER, "");
            let count = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
            (words == part || count > MOST_WORDS).then_some(words)
        });
        let mut line = Self::default();
        line.text(Look::default(), &rest.collect::<Vec<_>>().join("\t"));
        line
    }

    /// The finished line.
    pub fn finish(mut self) -> Vec<Inline> {
        self.keep_words_whole();
        let mut done: Vec<Inline> = Vec::new();
        let mut link: Option<(Rc<str>, Vec<Inline>)> = None;
        for (target, piece) in self.pieces {
            if link.as_ref().map(|(open, _)| open) != target.as_ref() {
                done.extend(link.take().map(closed));
                link = target.map(|target| (target, Vec::new()));
            }
            let to = link.as_mut().map_or(&mut done, |(_, inner)| inner);
            match piece {
                Piece::Other(inline) => to.push(inline),
                Piece::Text { look, text } => push_styled(to, look, text),
            }
        }
        done.extend(link.map(closed));
        done
    }

    /// A word of which only a part is bold or italic gets no marks: they would cut it in two.
    fn keep_words_whole(&mut self) {
        for at in 1..self.pieces.len() {
            let (before, after) = self.pieces.split_at_mut(at);
            if let (Some((_, Piece::Text { look: left, text: one })), Some((_, Piece::Text { look: right, text: two }))) =
                (before.last_mut(), after.first_mut())
                && one.chars().next_back().is_some_and(char::is_alphanumeric)
                && two.chars().next().is_some_and(char::is_alphanumeric)
            {
                (left.bold, left.italic) = (left.bold && right.bold, left.italic && right.italic);
                (right.bold, right.italic) = (left.bold, left.italic);
            }
        }
    }
}

fn closed((target, text): (Rc<str>, Vec<Inline>)) -> Inline {
    Inline::Link { target: target.to_string(), text }
}

fn push_styled(to: &mut Vec<Inline>, look: Look, text: String) {
    let mut inline = match look.raised {
        Raised::Up => Inline::Superscript(text),
        Raised::Down => Inline::Subscript(text),
        Raised::No => {
            if let (Some(Inline::Text(last)), false) = (to.last_mut(), look.bold || look.italic || look.struck) {
                last.push_str(&text);
                return;
            }
            Inline::Text(text)
        }
    };
    for (on, wrap) in [
        (look.struck, Inline::Deleted as fn(Vec<Inline>) -> Inline),
        (look.italic, Inline::Emphasis),
        (look.bold, Inline::Strong),
    ] {
        if on {
            inline = wrap(vec![inline]);
        }
    }
    to.push(inline);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOLD: Look = Look { bold: true, italic: false, struck: false, raised: Raised::No };

    #[test]
    fn a_word_that_is_partly_bold_is_one_word() {
        let mut line = Line::default();
        line.text(Look::default(), "Water");
        line.text(BOLD, "gate");
        line.text(Look::default(), " is ");
        line.text(BOLD, "here");
        assert_eq!(line.finish(), [Inline::text("Watergate is "), Inline::Strong(vec![Inline::text("here")])]);
    }

    #[test]
    fn pieces_under_one_link_are_one_link() {
        let mut line = Line { link: Some("https://a.example".into()), ..Line::default() };
        line.text(Look::default(), "a ");
        line.text(Look { struck: true, ..Look::default() }, "b");
        line.link = None;
        line.text(Look::default(), "c\u{ad}d");
        let inner = vec![Inline::text("a "), Inline::Deleted(vec![Inline::text("b")])];
        assert_eq!(
            line.finish(),
            [Inline::Link { target: "https://a.example".into(), text: inner }, Inline::text("cd")]
        );
    }
}
