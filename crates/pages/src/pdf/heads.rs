//! Running heads and page numbers.
//!
//! Lines that come back at the edge of page after page: the first of each is kept. A document of one or two pages has no
//! such lines; there, what its form gives away is left out: a page number, alone or with the running head around it, and
//! the stamp of a download. Heads of letters, addresses and dates are none of these.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::{
    page::{Content, Draft},
    words::Piece,
};

/// How much of the page's height is its edge, at the top and at the bottom.
const EDGE: f32 = 0.12;
/// The pages on which a line must come back.
const MIN_PAGES: usize = 3;
/// How many pages further on it comes back, at most: left and right pages have heads of their own, and the first page of a chapter
/// has none.
const MAX_GAP: usize = 4;
/// In a document of fewer pages a sentence or a row of measures that comes back is text: pages of one form, slides, examples.
const FEW_PAGES: usize = 6;
/// Words of a sentence, at least.
const SENTENCE_WORDS: usize = 6;
/// The parts at the top and at the bottom of a page that are looked at.
const PARTS: usize = 4;
/// The longest running head, in characters.
const MAX_CHARS: usize = 160;

/// Lines at one edge that may be running heads.
const MAX_HEADS: usize = 3;
/// The least distance of a page number from the text, in parts of the font's size.
const APART: f32 = 1.5;
/// Long lines on a page of running text, at least, and their characters: an invoice or a form has fewer.
const TEXT_LINES: usize = 12;
const LONG_LINE: usize = 30;

/// Leaves out all but the first of each running head, and those that are known by their form where there are too few
/// pages to compare: how many those are is the result.
pub(super) fn keep_once(pages: &mut [Vec<Draft>]) -> usize {
    if pages.len() < MIN_PAGES {
        let before: usize = pages.iter().map(Vec::len).sum();
        pages.iter_mut().for_each(|page| page.retain(|draft| !draft.running));
        return before - pages.iter().map(Vec::len).sum::<usize>();
    }
    let few = pages.len() < FEW_PAGES;
    let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
    for (page, drafts) in pages.iter().enumerate() {
        for at in edges(drafts) {
            let Some((key, numbers)) = key(&drafts[at]).filter(|(key, _)| !(few && is_text(key))) else { continue };
            lines.entry(key).or_default().push(Line { page, at, numbers });
        }
    }
    let mut again: Vec<Vec<usize>> = vec![Vec::new(); pages.len()];
    for line in lines.into_values().flat_map(repeated) {
        again[line.page].push(line.at);
    }
    for (page, again) in pages.iter_mut().zip(again) {
        let mut at = 0;
        page.retain(|_| {
            at += 1;
            !again.contains(&(at - 1))
        });
    }
    0
}

/// A line at the edge of a page: the page, its place there, and the numbers in it.
struct Line {
    page: usize,
    at: usize,
    numbers: Vec<i64>,
}

impl Line {
    /// How much each of its numbers grows by page until `next`, if it comes back as that: on one of the next pages, its numbers the
    /// same or counting pages, in twos where a page has two.
    fn comes_back(&self, next: &Self) -> Option<Vec<i64>> {
        let pages = next.page - self.page;
        let by_page = i64::try_from(pages).ok().filter(|_| (1..=MAX_GAP).contains(&pages))?;
        let step = |(from, to): (&i64, &i64)| (0..=2).find(|step| to - from == step * by_page);
        self.numbers.iter().zip(&next.numbers).map(step).collect()
    }
}

/// Those of the lines with equal words, in the order of pages, that come back on page after page, but for the first.
fn repeated(lines: Vec<Line>) -> Vec<Line> {
    let mut runs: Vec<(Vec<Line>, Option<Vec<i64>>)> = Vec::new();
    for line in lines {
        let goes_on = runs.last_mut().and_then(|(run, steps)| {
            let found = run.last()?.comes_back(&line)?;
            (*steps.get_or_insert_with(|| found.clone()) == found).then_some(run)
        });
        match goes_on {
            Some(run) => run.push(line),
            None => runs.push((vec![line], None)),
        }
    }
    runs.into_iter().map(|(run, _)| run).filter(|run| run.len() >= MIN_PAGES).flatten().skip(1).collect()
}

/// Takes the running heads that are known by their form out of `pieces`: those at the top and those at the bottom of a page
/// of the given width and height.
pub(super) fn take_running(pieces: &mut Vec<Piece>, (width, height): (f32, f32)) -> [Vec<Piece>; 2] {
    let lines = lines(pieces);
    let is_long = |line: &&Vec<usize>| line.iter().any(|&at| pieces[at].chars >= LONG_LINE);
    let is_text = lines.iter().filter(is_long).count() >= TEXT_LINES;
    let mut taken: [Vec<usize>; 2] = Default::default();
    if lines.len() <= MAX_HEADS {
        return Default::default();
    }
    // That of the text, also where most of the page is a table in small print.
    let mut sizes: Vec<f32> = pieces.iter().map(|piece| piece.size).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let usual = sizes.get(sizes.len() * 9 / 10).copied().unwrap_or(10.0);
    let page = Page { pieces, width, height, is_text, usual };
    for (edge, taken) in taken.iter_mut().enumerate() {
        let mut from_edge: Vec<&Vec<usize>> = lines.iter().collect();
        if edge == 1 {
            from_edge.reverse();
        }
        let mut outermost = true;
        for pair in from_edge.windows(2).take(MAX_HEADS) {
            let (line, next) = (pair[0], pair[1]);
            let is_stamp = page.is_stamp(line);
            outermost &= is_stamp || page.is_running(line, next, edge == 1);
            if outermost || is_stamp {
                taken.extend(line);
            }
        }
    }
    let mut at = 0;
    let mut out: [Vec<Piece>; 2] = Default::default();
    pieces.retain(|piece| {
        let edge = taken.iter().position(|taken| taken.contains(&at));
        at += 1;
        if let Some(edge) = edge {
            out[edge].push(piece.clone());
        }
        edge.is_none()
    });
    out
}

/// The lines of the page from top to bottom, by their pieces' places.
fn lines(pieces: &[Piece]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|a, b| pieces[*a].base.total_cmp(&pieces[*b].base));
    let mut lines: Vec<Vec<usize>> = Vec::new();
    for at in order {
        match lines.last_mut() {
            Some(line) if pieces[at].base - pieces[line[0]].base < 0.3 * pieces[at].size => line.push(at),
            _ => lines.push(vec![at]),
        }
    }
    lines
}

struct Page<'a> {
    pieces: &'a [Piece],
    width: f32,
    height: f32,
    /// It holds running text.
    is_text: bool,
    /// The usual size of its font.
    usual: f32,
}

impl Page<'_> {
    /// Whether the outermost `line` is a page number, or a running head around one. `next` is the line beside it.
    fn is_running(&self, line: &[usize], next: &[usize], is_bottom: bool) -> bool {
        let pieces = || line.iter().map(|&at| &self.pieces[at]);
        let Some(number) = pieces().find(|piece| is_page_number(&piece.text())) else { return false };
        let rect = number.body();
        let gap = next.iter().map(|&at| self.pieces[at].body().shared_height(&rect)).fold(f32::MIN, f32::max);
        let size_fits = pieces().all(|piece| piece.size < 1.3 * self.usual);
        let (x, y) = rect.middle();
        let at_edge = if is_bottom { y > (1.0 - EDGE) * self.height } else { y < EDGE * self.height };
        if !size_fits {
            return false;
        }
        if line.len() == 1 {
            let is_centred = (x - self.width / 2.0).abs() < 0.05 * self.width;
            return -gap >= APART * number.size && (is_centred || at_edge);
        }
        // The last item of a list: `6.  ADJOURNMENT`.
        if number.text().trim_end().ends_with(['.', ')']) {
            return false;
        }
        let others = || pieces().filter(|piece| !std::ptr::eq(*piece, number));
        let is_apart = others().all(|piece| -piece.rect.shared_width(&rect) >= APART * number.size);
        self.is_text
            && at_edge
            && is_apart
            && -gap >= 0.5 * number.size
            && others().all(|piece| !is_address(&piece.text()))
    }

    /// Whether the line at the edge says from where the file was downloaded.
    fn is_stamp(&self, line: &[usize]) -> bool {
        let stamps = ["downloaded from ", "downloaded by ", "download date", "digitized by "];
        line.iter().all(|&at| {
            let y = self.pieces[at].body().middle().1 / self.height;
            !(EDGE..=1.0 - EDGE).contains(&y)
        }) && line.first().is_some_and(|_| {
            let text: Vec<String> = line.iter().map(|&at| self.pieces[at].text().to_lowercase()).collect();
            text.iter().any(|text| stamps.iter().any(|stamp| text.starts_with(stamp)))
        })
    }
}

/// Whether `text` is nothing but the number of a page: `62`, `- 3 -`, `Page 3 of 10`, `iv`.
fn is_page_number(text: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || matches!(c, '-' | '–' | '—' | '/' | '|' | '[' | ']' | '.'))
        .filter(|word| !word.is_empty())
        .collect();
    let is_number = |word: &str| {
        let is_roman = word.len() <= 6 && word.bytes().all(|b| b"ivxl".contains(&b));
        let is_year = word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
        word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()) && !is_year || is_roman
    };
    let names = ["page", "p", "pg", "seite", "s", "página", "pagina", "blatt", "of", "von", "de", "sur", "di"];
    let numbers = words.iter().filter(|word| is_number(word)).count();
    (1..=2).contains(&numbers)
        && words.iter().all(|word| is_number(word) || names.contains(word))
        && words.len() <= numbers * 2
}

/// Whether `text` holds more than the words of a running head: a mail address, a number with the digits of an account, or a
/// day.
fn is_address(text: &str) -> bool {
    let is_day = |word: &str| {
        let parts: Vec<&str> = word.trim_end_matches(',').split(['.', '/', '-']).collect();
        parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.contains('@')
        || text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 5)
        || text.split_whitespace().any(is_day)
}

/// The parts at the edges of a page.
fn edges(page: &[Draft]) -> Vec<usize> {
    let mut by_top: Vec<usize> = (0..page.len()).collect();
    by_top.sort_by(|a, b| page[*a].place.top.total_cmp(&page[*b].place.top));
    let top = by_top.iter().copied().take(PARTS).filter(|&at| page[at].place.bottom < EDGE);
    let bottom = by_top.iter().copied().rev().take(PARTS).filter(|&at| page[at].place.top > 1.0 - EDGE);
    let mut edges: Vec<usize> = top.chain(bottom).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Whether a line is a sentence or a row of measures, and no line of a page's foot, such as one that names its owner.
fn is_text(key: &str) -> bool {
    let words = || key.split_whitespace().skip(1);
    let is_measure = |word: &str| {
        let parts = word.split_once(['.', ',']);
        parts.is_some_and(|(whole, part)| {
            [whole, part].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let is_rights = ["©", "(c)", "copyright", "rights reserved", "confidential"].iter().any(|word| key.contains(word));
    let is_sentence = words().count() >= SENTENCE_WORDS && key.ends_with(['.', '!', '?', '。']) && !key.contains('#');
    words().filter(|word| is_measure(word)).count() > 1 || is_sentence && !is_rights
}

/// What stays the same from page to page: the words, and at which edge; and the numbers among the words.
fn key(draft: &Draft) -> Option<(String, Vec<i64>)> {
    let Content::Paragraph(paragraph) = &draft.content else { return None };
    let text = paragraph.text();
    if text.chars().count() > MAX_CHARS || paragraph.lines > 3 || is_of_table(&text) {
        return None;
    }
    let mut numbers = Vec::new();
    let mut word = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        match core.parse().ok().or_else(|| roman(core)) {
            Some(number) => {
                numbers.push(number);
                "#".to_owned()
            }
            None => word.to_lowercase(),
        }
    };
    let words: Vec<String> = text.split_whitespace().map(&mut word).collect();
    let edge = if draft.place.top < 0.5 { "top" } else { "bottom" };
    Some((format!("{edge} {}", words.join(" ")), numbers))
}

/// The value of a small roman number.
fn roman(word: &str) -> Option<i64> {
    let digit =
        |c: char| [('i', 1), ('v', 5), ('x', 10), ('l', 50), ('c', 100)].iter().find(|(d, _)| *d == c).map(|d| d.1);
    let digits: Vec<i64> = word.chars().map(digit).collect::<Option<_>>()?;
    let value = |at: usize| if digits.get(at + 1) > Some(&digits[at]) { -digits[at] } else { digits[at] };
    (1..=6).contains(&digits.len()).then(|| (0..digits.len()).map(value).sum())
}

/// Whether a line is one of a table that goes on from page to page: its unit, its years, an amount.
fn is_of_table(text: &str) -> bool {
    let text = text.trim();
    let is_year = |word: &str| word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    text.starts_with('(') && text.ends_with(')')
        || text.contains(['$', '€', '£', '¥'])
        || numbers.filter(|word| is_year(word)).count() >= 2
}
