//! Parts pieces of a line in which a column ends: less than the widest blank of a justified line may part two columns.

use super::{
    geometry::Rect,
    words::{Bit, Piece},
};

/// Distances are in parts of the font's size.
/// The blank between two numbers from which on they stand in two columns, whatever they look like.
const WIDE: f32 = 0.5;
/// The narrowest blank between words that may part two columns.
const NARROWEST: f32 = 0.38;
/// The same in parts of the narrowest blank of its piece.
const WIDER: f32 = 1.35;

/// The piece, or its numbers, if it holds nothing else and they are those of several columns.
pub(super) fn numbers(piece: Piece) -> Vec<Piece> {
    let could =
        !piece.gaps.is_empty() && piece.bits.first().is_some_and(|bit| bit.text().starts_with(is_sign_or_digit));
    if !could {
        return vec![piece];
    }
    let text = piece.text();
    let words: Vec<&str> = text.split(' ').collect();
    if words.len() != piece.gaps.len() + 1 || !words.iter().all(|word| word.chars().all(is_sign_or_digit)) {
        return vec![piece];
    }
    let width = |at: usize| (piece.gaps[at].1 - piece.gaps[at].0) / piece.size;
    let is_range = |at: usize| {
        matches!(words[at], "–" | "—" | "-" | "−")
            && at > 0
            && at + 1 < words.len()
            && width(at - 1).max(width(at)) < WIDE
            && [words[at - 1], words[at + 1]].iter().all(|word| word.contains(|c: char| c.is_ascii_digit()))
    };
    let raised = raised_words(&piece);
    let ends = (0..piece.gaps.len()).filter(|&at| {
        let (before, after) = (words[at], words[at + 1]);
        let is_apart = width(at) >= WIDE
            || is_currency_sign(after)
            || is_amount(before) && is_amount(after)
            || is_year(before) && is_year(after);
        is_apart && is_value(before) && begins_value(after) && !is_range(at) && !is_range(at + 1) && !raised[at + 1]
    });
    let ends: Vec<usize> = ends.collect();
    split(&piece, &ends)
}

/// The parts of a piece that stand in different ones of `columns` (left and right ends, in points), apart by more than its words.
pub(super) fn at_columns(piece: &Piece, columns: &[(f32, f32)]) -> Vec<Piece> {
    let narrowest = piece.gaps.iter().map(|gap| gap.1 - gap.0).fold(f32::MAX, f32::min);
    let words = piece.text().matches(' ').count();
    if piece.gaps.is_empty() || words != piece.gaps.len() {
        return vec![piece.clone()];
    }
    let least = if words > 1 { (NARROWEST * piece.size).max(WIDER * narrowest) } else { NARROWEST * piece.size };
    let widest_between = |pair: &[(f32, f32)]| {
        let between = piece
            .gaps
            .iter()
            .enumerate()
            .filter(|(_, gap)| gap.1 - gap.0 >= least && gap.0 < pair[1].0 && pair[0].1 < gap.1);
        between.max_by(|a, b| (a.1.1 - a.1.0).total_cmp(&(b.1.1 - b.1.0))).map(|(at, _)| at)
    };
    let mut ends: Vec<usize> = columns.windows(2).filter_map(widest_between).collect();
    ends.dedup();
    split(piece, &ends)
}

/// The piece in parts, the ends of which are the blanks at `ends`.
fn split(piece: &Piece, ends: &[usize]) -> Vec<Piece> {
    if ends.is_empty() {
        return vec![piece.clone()];
    }
    let mut parts: Vec<Vec<Bit>> = vec![Vec::new()];
    let mut blank = 0;
    for bit in &piece.bits {
        for (at, words) in bit.text().split(' ').enumerate() {
            if at > 0 {
                match ends.contains(&blank) {
                    true => parts.push(Vec::new()),
                    false => push(&mut parts, bit, " "),
                }
                blank += 1;
            }
            push(&mut parts, bit, words);
        }
    }
    let left = std::iter::once(piece.rect.left).chain(ends.iter().map(|&at| piece.gaps[at].1));
    let right = ends.iter().map(|&at| piece.gaps[at].0).chain(std::iter::once(piece.rect.right));
    let first = std::iter::once(0).chain(ends.iter().map(|&at| at + 1));
    let last = ends.iter().copied().chain(std::iter::once(piece.gaps.len()));
    let places = left.zip(right).zip(first.zip(last));
    let pieces = parts.into_iter().zip(places).map(|(bits, ((left, right), (first, last)))| Piece {
        chars: bits.iter().flat_map(|bit| bit.text().chars()).filter(|c| *c != ' ').count(),
        bits,
        rect: Rect { left, right, ..piece.rect },
        gaps: piece.gaps[first..last].to_vec(),
        ..piece.clone()
    });
    pieces.collect()
}

/// Adds `text` of the kind of `bit` to the last part.
fn push(parts: &mut [Vec<Bit>], bit: &Bit, text: &str) {
    let Some(part) = parts.last_mut().filter(|_| !text.is_empty()) else { return };
    match (part.last_mut(), bit) {
        (Some(Bit::Plain(last)), Bit::Plain(_))
        | (Some(Bit::Raised(last)), Bit::Raised(_))
        | (Some(Bit::Lowered(last)), Bit::Lowered(_)) => last.push_str(text),
        (_, Bit::Plain(_)) => part.push(Bit::Plain(text.to_owned())),
        (_, Bit::Raised(_)) => part.push(Bit::Raised(text.to_owned())),
        (_, Bit::Lowered(_)) => part.push(Bit::Lowered(text.to_owned())),
    }
}

/// For each word whether it begins with a raised or lowered sign.
fn raised_words(piece: &Piece) -> Vec<bool> {
    let mut raised = Vec::new();
    let mut begins = true;
    for bit in &piece.bits {
        for (at, words) in bit.text().split(' ').enumerate() {
            begins |= at > 0;
            if begins && !words.is_empty() {
                raised.push(!matches!(bit, Bit::Plain(_)));
                begins = false;
            }
        }
    }
    raised.resize(piece.gaps.len() + 1, false);
    raised
}

fn is_sign_or_digit(c: char) -> bool {
    c.is_ascii_digit() || is_currency(c) || matches!(c, '.' | ',' | '%' | '(' | ')' | '-' | '–' | '—' | '−' | '+')
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥')
}

fn is_currency_sign(word: &str) -> bool {
    word.starts_with(is_currency)
}

/// Whether a word ends a number, or stands for one.
fn is_value(word: &str) -> bool {
    !word.ends_with(['(', '+', '.', ',']) && !word.ends_with(is_currency)
}

fn begins_value(word: &str) -> bool {
    !matches!(word, "%" | ")" | ")%" | "%)" | "." | ",")
}

/// Whether a word is an amount by its signs, and no part of a number with blanks in it.
fn is_amount(word: &str) -> bool {
    matches!(word, "—" | "–" | "%" | ")%")
        || word.contains(|c: char| c.is_ascii_digit())
            && word.contains(|c: char| is_currency(c) || matches!(c, '.' | ',' | '%' | '(' | ')'))
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.parse::<u16>().is_ok_and(|year| (1900..2100).contains(&year))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece of words with the blanks between them, in points; its font has ten.
    fn piece(words: &[(&str, f32)]) -> Piece {
        let (mut text, mut gaps, mut right) = (String::new(), Vec::new(), 0.0);
        for (word, gap) in words {
            if !text.is_empty() {
                text.push(' ');
                gaps.push((right, right + gap));
                right += gap;
            }
            text.push_str(word);
            right += 5.0 * word.chars().count() as f32;
        }
        let (bits, chars) = (vec![Bit::Plain(text.clone())], text.chars().count());
        let rect = Rect { left: 0.0, top: 2.0, right, bottom: 12.0 };
        let [bold, fixed, right_to_left, slanted] = [false; 4];
        Piece {
            bits,
            rect,
            base: 10.0,
            size: 10.0,
            turn: 0,
            order: 0,
            chars,
            gaps,
            bold,
            fixed,
            right_to_left,
            slanted,
        }
    }

    fn texts(parts: &[Piece]) -> Vec<String> {
        parts.iter().map(Piece::text).collect()
    }

    #[test]
    fn numbers_of_two_columns_are_parted_where_a_blank_stands_between_them() {
        let parts = numbers(piece(&[("$", 0.0), ("286", 4.0), ("$", 3.0)]));
        assert_eq!(texts(&parts), ["$ 286", "$"]);
        assert_eq!((parts[0].rect.right, parts[1].rect.left, parts[0].gaps.len(), parts[1].chars), (24.0, 27.0, 1, 1));
        assert_eq!(texts(&numbers(piece(&[("5%", 0.0), ("-2%", 4.0)]))), ["5%", "-2%"]);
        assert_eq!(texts(&numbers(piece(&[("(30)", 0.0), ("%", 3.0), ("1.5", 4.0)]))), ["(30) %", "1.5"]);
        assert_eq!(texts(&numbers(piece(&[("2022", 0.0), ("2021", 3.0)]))), ["2022", "2021"]);
        assert_eq!(texts(&numbers(piece(&[("12", 0.0), ("7", 6.0)]))), ["12", "7"]);
    }

    #[test]
    fn ranges_numbers_with_blanks_and_words_stay_whole() {
        for whole in [
            piece(&[("0.48%", 0.0), ("–", 3.0), ("0.63%", 3.0)]),
            piece(&[("1", 0.0), ("234", 3.0), ("567", 3.0)]),
            piece(&[("415", 0.0), ("973-1000", 3.0)]),
            piece(&[("5", 0.0), ("to", 3.0), ("75", 3.0)]),
        ] {
            assert_eq!(numbers(whole.clone()).len(), 1, "{}", whole.text());
        }
        let mut noted = piece(&[("(551)", 0.0), ("(7)", 3.0)]);
        noted.bits = vec![Bit::Plain("(551) ".to_owned()), Bit::Raised("(7)".to_owned())];
        assert_eq!(numbers(noted).len(), 1);
    }

    #[test]
    fn headings_are_parted_between_columns_at_blanks_wider_than_their_own() {
        let headings = piece(&[("Level", 0.0), ("1", 2.5), ("Level", 5.0), ("2", 2.5)]);
        assert_eq!(texts(&at_columns(&headings, &[(0.0, 30.0), (40.0, 65.0)])), ["Level 1", "Level 2"]);
        assert_eq!(texts(&at_columns(&headings, &[(0.0, 10.0), (15.0, 25.0)])), ["Level 1 Level 2"], "no gutter there");
        let one = piece(&[("Year", 0.0), ("ended", 2.5), ("May", 2.5)]);
        assert_eq!(texts(&at_columns(&one, &[(0.0, 21.0), (22.0, 70.0)])), ["Year ended May"]);
    }
}
