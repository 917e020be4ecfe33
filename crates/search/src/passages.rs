//! Makes the hits that a person or a model reads: folds what is nearly the same, bounds hits a document, adds neighbours.

use std::collections::{HashMap, HashSet};

use domain::{ChunkId, DocumentId};
use store::search::{FoundChunk, Neighbour};
use words::{Language, term, tokens};

/// A share of common triples of words from which two passages are the same.
const SAME_FROM: f64 = 0.8;

/// A hit with the passages that were put together with it.
#[derive(Debug, Clone)]
pub struct Passage {
    /// The chunk that was found; its text and pages span what was put together.
    pub chunk: FoundChunk,
    /// The place of the first passage in the document.
    pub ord_first: i32,
    /// That of the last.
    pub ord_last: i32,
    /// How many further hits are nearly the same and left out.
    pub duplicates: u32,
}

impl Passage {
    /// The hit alone.
    pub fn of(chunk: FoundChunk) -> Self {
        Self { ord_first: chunk.ord, ord_last: chunk.ord, duplicates: 0, chunk }
    }
}

/// The triples of words that a passage has.
pub struct Triples(HashSet<(i32, i32, i32)>);

impl Triples {
    /// Those of `text`.
    pub fn of(text: &str) -> Self {
        let mut words = Vec::new();
        tokens(text, None, &mut |token| words.push(term(&token.forms[0])));
        Self(match words.len() {
            0..3 => words.first().map(|first| (*first, *words.last().unwrap_or(first), 0)).into_iter().collect(),
            _ => words.windows(3).map(|three| (three[0], three[1], three[2])).collect(),
        })
    }

    /// Whether two passages are nearly the same.
    fn are_of_same(&self, other: &Self) -> bool {
        let common = self.0.intersection(&other.0).count() as f64;
        common > 0.0 && common >= SAME_FROM * (self.0.len() + other.0.len()) as f64 / (1.0 + SAME_FROM)
    }
}

/// The hits that later ones may repeat.
#[derive(Default)]
pub struct Folder(Vec<Triples>);

impl Folder {
    /// The place of the hit that a passage repeats.
    pub fn find(&self, triples: &Triples) -> Option<usize> {
        self.0.iter().position(|kept| kept.are_of_same(triples))
    }

    /// Keeps the next hit.
    pub fn push(&mut self, triples: Triples) {
        self.0.push(triples);
    }
}

/// Which neighbours belong to a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// The passage before and the passage after.
    Next,
    /// All under the same headings.
    Section,
    /// All on the same page.
    Page,
}

impl Around {
    /// How far away they may stand.
    pub fn distance(self) -> i32 {
        match self {
            Self::Next => 1,
            Self::Section | Self::Page => 20,
        }
    }
}

/// The first and the last page; `None`: there are no pages.
fn pages(first: Option<i32>, last: Option<i32>) -> Option<(i32, i32)> {
    let first = first.or(last)?;
    Some((first, last.unwrap_or(first)))
}

fn share_a_page(a: Option<(i32, i32)>, b: Option<(i32, i32)>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
}

/// Whether a passage is on a page of another one of its document.
pub fn are_on_a_page(a: &FoundChunk, b: &FoundChunk) -> bool {
    a.document_id == b.document_id && share_a_page(pages(a.page_first, a.page_last), pages(b.page_first, b.page_last))
}

/// Puts each hit together with its neighbours, alternately the one after and the one before, while the text stays within
/// `budget` characters. Hits that meet become one, at the place of the better.
pub fn expand(hits: Vec<Passage>, neighbours: Vec<Neighbour>, around: Around, budget: usize) -> Vec<Passage> {
    let mut by_hit: HashMap<ChunkId, HashMap<i32, Neighbour>> = HashMap::new();
    for neighbour in neighbours {
        by_hit.entry(neighbour.of).or_default().insert(neighbour.ord, neighbour);
    }
    let mut expanded: Vec<Passage> = Vec::new();
    let mut taken: HashMap<DocumentId, HashMap<i32, usize>> = HashMap::new();
    for mut hit in hits {
        let of_document = taken.entry(hit.chunk.document_id).or_default();
        if of_document.contains_key(&hit.chunk.ord) {
            continue;
        }
        let beside = by_hit.remove(&hit.chunk.chunk_id).unwrap_or_default();
        let mut length = hit.chunk.text.chars().count();
        let heading = hit.chunk.heading.clone();
        let on = pages(hit.chunk.page_first, hit.chunk.page_last);
        let mut open = [true, true];
        while open.contains(&true) {
            for (side, is_open) in open.iter_mut().enumerate().filter(|(_, is_open)| **is_open) {
                let ord = if side == 0 { hit.ord_last + 1 } else { hit.ord_first - 1 };
                let next = beside.get(&ord).filter(|next| {
                    let belongs = match around {
                        Around::Next => (next.ord - hit.chunk.ord).abs() <= 1,
                        Around::Section => next.heading == heading,
                        Around::Page => share_a_page(on, pages(next.page_first, next.page_last)),
                    };
                    belongs && !of_document.contains_key(&ord)
                });
                match next {
                    Some(next) if length + next.text.chars().count() <= budget => {
                        length += next.text.chars().count();
                        join(&mut hit, next);
                    }
                    Some(_) | None => *is_open = false,
                }
            }
        }
        for ord in hit.ord_first..=hit.ord_last {
            of_document.insert(ord, expanded.len());
        }
        expanded.push(hit);
    }
    expanded
}

fn join(hit: &mut Passage, next: &Neighbour) {
    let chunk = &mut hit.chunk;
    if next.ord > hit.ord_last {
        hit.ord_last = next.ord;
        chunk.text = format!("{}\n\n{}", chunk.text, next.text);
    } else {
        hit.ord_first = next.ord;
        chunk.text = format!("{}\n\n{}", next.text, chunk.text);
    }
    chunk.page_first = [chunk.page_first, next.page_first].into_iter().flatten().min();
    chunk.page_last = [chunk.page_last, next.page_last].into_iter().flatten().max();
}

/// The language of a chunk's document.
pub fn language_of(chunk: &FoundChunk) -> Option<Language> {
    Language::parse(&chunk.language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn hit(ord: i32) -> Passage {
        Passage::of(FoundChunk {
            chunk_id: ChunkId(Uuid::from_u128(ord.unsigned_abs().into())),
            document_id: DocumentId(Uuid::from_u128(1)),
            filename: "a.md".into(),
            ord,
            heading: "A".into(),
            text: format!("text {ord}"),
            page_first: Some(ord),
            page_last: Some(ord),
            page_label: None,
            boxes: None,
            language: "en".into(),
        })
    }

    fn neighbour(of: i32, ord: i32, heading: &str) -> Neighbour {
        Neighbour {
            of: ChunkId(Uuid::from_u128(of.unsigned_abs().into())),
            ord,
            heading: heading.into(),
            text: format!("text {ord}"),
            page_first: Some(ord),
            page_last: Some(ord),
        }
    }

    #[test]
    fn hits_that_meet_become_one_at_the_better_place_and_the_budget_holds() {
        let beside =
            [4, 6].map(|ord| neighbour(5, ord, "A")).into_iter().chain([5, 7].map(|ord| neighbour(6, ord, "A")));
        let hits = expand(vec![hit(5), hit(6), hit(9)], beside.clone().collect(), Around::Next, 100);
        let spans: Vec<_> = hits.iter().map(|hit| (hit.ord_first, hit.ord_last)).collect();
        assert_eq!(spans, [(4, 6), (9, 9)]);
        assert_eq!(hits[0].chunk.text, "text 4\n\ntext 5\n\ntext 6");
        assert_eq!((hits[0].chunk.page_first, hits[0].chunk.page_last), (Some(4), Some(6)));
        let hits = expand(vec![hit(5)], beside.collect(), Around::Next, 12);
        assert_eq!((hits[0].ord_first, hits[0].ord_last), (5, 6), "the one after fits, the one before does not");
    }

    #[test]
    fn a_section_ends_at_another_heading() {
        let beside = [(3, "B"), (4, "A"), (6, "A"), (7, "A"), (8, "B"), (9, "A")];
        let beside = beside.map(|(ord, heading)| neighbour(5, ord, heading)).to_vec();
        let hits = expand(vec![hit(5)], beside, Around::Section, 1000);
        assert_eq!((hits[0].ord_first, hits[0].ord_last), (4, 7));
    }

    #[test]
    fn a_page_ends_at_the_next_one_and_without_pages_a_hit_stays_alone() {
        // Passages 4 and 5 are on page 5, where 6 begins.
        let on = |ord: i32, pages: (i32, i32)| Neighbour {
            page_first: Some(pages.0),
            page_last: Some(pages.1),
            ..neighbour(5, ord, "A")
        };
        let beside = vec![on(3, (4, 4)), on(4, (5, 5)), on(6, (5, 6)), on(7, (6, 6))];
        let hits = expand(vec![hit(5)], beside.clone(), Around::Page, 1000);
        assert_eq!((hits[0].ord_first, hits[0].ord_last), (4, 6));
        assert_eq!((hits[0].chunk.page_first, hits[0].chunk.page_last), (Some(5), Some(6)));
        let mut without = hit(5);
        (without.chunk.page_first, without.chunk.page_last) = (None, None);
        assert!(!are_on_a_page(&without.chunk, &hit(5).chunk) && are_on_a_page(&hits[0].chunk, &hit(6).chunk));
        let alone = expand(vec![without], beside, Around::Page, 1000);
        assert_eq!((alone[0].ord_first, alone[0].ord_last), (5, 5));
    }

    #[test]
    fn passages_that_are_nearly_the_same_are_found_and_others_are_not() {
        let mut folder = Folder::default();
        let mut find_or_push = |text: &str| {
            let triples = Triples::of(text);
            let found = folder.find(&triples);
            if found.is_none() {
                folder.push(triples);
            }
            found
        };
        let text = "The insurance covers damage by water, fire and storm in the house and in the garden of the owner.";
        assert_eq!(find_or_push(text), None);
        assert_eq!(find_or_push("Something else entirely, of about the same length as the other passage has."), None);
        assert_eq!(find_or_push(&text.replace("owner", "Owner!")), Some(0));
        assert_eq!((find_or_push("a lamp"), find_or_push("A lamp"), find_or_push("a sea")), (None, Some(2), None));
    }
}
