//! Finds where a unit that is too long may be cut: between cells, sentences, lines, words.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{
    blocks::{Kind, Level, Unit},
    tokens::TextTokens,
};

/// The places inside `window` where `unit` may be cut, in the order of the text.
pub(super) fn cuts(text: &str, unit: &Unit, window: &Range<usize>, tokens: &TextTokens<'_>) -> Vec<(usize, Level)> {
    let inside = unit.range.start.max(window.start)..unit.range.end.min(window.end);
    let level = |at| if tokens.separates_words(at) { word_level(text, unit.kind, at) } else { Level::Piece };
    let mut cuts: Vec<(usize, Level)> = tokens.starts_in(&inside).map(|at| (at, level(at))).collect();
    if unit.kind != Kind::Code {
        raise_sentences(text, &inside, &mut cuts);
    }
    cuts
}

/// The level of a cut before the word at `at`, by the text around it.
fn word_level(text: &str, kind: Kind, at: usize) -> Level {
    let before = text[..at].trim_end();
    let bullet = text[at..].starts_with(['•', '▪', '●', '◦']);
    if kind == Kind::Row && (bullet || before.ends_with('|')) {
        Level::Cell
    } else if text[before.len()..at].contains('\n') {
        Level::Line
    } else {
        Level::Word
    }
}

/// Raises the level of those `cuts` at which a sentence begins.
fn raise_sentences(text: &str, inside: &Range<usize>, cuts: &mut [(usize, Level)]) {
    let starts = text[inside.clone()].split_sentence_bound_indices().map(|(at, _)| inside.start + at);
    let mut starts = starts.peekable();
    for (at, level) in cuts {
        while starts.next_if(|start| start < at).is_some() {}
        // By Unicode's rules every line end also ends a sentence. In markdown it does not.
        let ended = *level != Level::Line || text[..*at].trim_end().ends_with(['.', '!', '?', ':', '。', '！', '？']);
        if ended && starts.peek() == Some(at) {
            *level = (*level).max(Level::Sentence);
        }
    }
}
