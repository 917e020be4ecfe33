//! Running heads and page numbers: lines that come back at the edge of page after page. The first of each is kept.

use std::collections::HashMap;

use super::page::{Content, Draft};

/// How much of the page's height is its edge, at the top and at the bottom.
const EDGE: f32 = 0.12;
/// The pages on which a line must come back.
const MIN_PAGES: usize = 3;
/// The parts at the top and at the bottom of a page that are looked at.
const PARTS: usize = 4;
/// The longest running head, in characters.
const MAX_CHARS: usize = 160;

/// Leaves out all but the first of each running head.
pub(super) fn keep_once(pages: &mut [Vec<Draft>]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for page in pages.iter() {
        let mut keys: Vec<String> = edges(page).into_iter().filter_map(|at| key(&page[at])).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut seen: HashMap<String, bool> = HashMap::new();
    for page in pages.iter_mut() {
        let again: Vec<usize> = edges(page)
            .into_iter()
            .filter(|&at| {
                key(&page[at])
                    .filter(|key| counts.get(key).is_some_and(|count| *count >= MIN_PAGES))
                    .is_some_and(|key| seen.insert(key, true).is_some())
            })
            .collect();
        let mut at = 0;
        page.retain(|_| {
            let keep = !again.contains(&at);
            at += 1;
            keep
        });
    }
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

/// What stays the same from page to page: the words, but not the numbers; and at which edge.
fn key(draft: &Draft) -> Option<String> {
    let Content::Paragraph(paragraph) = &draft.content else { return None };
    let text = paragraph.text();
    if text.chars().count() > MAX_CHARS || paragraph.lines > 3 {
        return None;
    }
    let word = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_number = !core.is_empty()
            && (core.chars().all(|c| c.is_ascii_digit())
                || core.len() <= 6 && core.chars().all(|c| "ivxlc".contains(c)));
        if is_number { "#".to_owned() } else { word.to_lowercase() }
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    let edge = if draft.place.top < 0.5 { "top" } else { "bottom" };
    Some(format!("{edge} {}", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::{geometry::Rect, lines::Paragraph, words::Bit};
    use domain::document::PageBox;

    fn draft(text: &str, top: f32) -> Draft {
        let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        let place = PageBox { page: 1, left: 0.0, top, right: 1.0, bottom: top + 0.02 };
        let bits = vec![Bit::Plain(text.to_owned())];
        let paragraph = Paragraph { bits, rect, size: 10.0, bold: false, lines: 1, marker: None };
        Draft { content: Content::Paragraph(paragraph), place }
    }

    #[test]
    fn running_heads_stay_on_the_first_page() {
        let page = |n: u32| {
            vec![draft("Annual report", 0.03), draft(&format!("p{n}"), 0.5), draft(&format!("{n} of 4"), 0.95)]
        };
        let mut pages: Vec<Vec<Draft>> = (1..5).map(page).collect();
        keep_once(&mut pages);
        let left: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(left, [3, 1, 1, 1]);
        let mut two: Vec<Vec<Draft>> = (1..3).map(page).collect();
        keep_once(&mut two);
        assert!(two.iter().all(|page| page.len() == 3), "two pages may begin alike by chance");
    }
}
