//! Fills chunks: cuts each section at the best places, then merges tiny neighbours.

use std::ops::Range;

use super::{
    blocks::{Kind, Level, Outline, Section, Unit},
    leaves,
    titles::Titles,
    tokens::TextTokens,
};
use domain::{Failure, ports::Chunk};

/// A table's head is repeated if it needs no more than this part of the budget.
const HEAD_SHARE: usize = 5;

/// Sizes in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The most tokens of a chunk, including its headings.
    pub budget: usize,
    /// A smaller chunk is merged with a related neighbour if both fit in one chunk.
    pub tiny: usize,
}

/// A chunk before its text is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub range: Range<usize>,
    /// The indices of the headings above it, outermost first.
    pub path: Vec<usize>,
    /// The head of the table that it begins inside, which is repeated so that the columns have names.
    pub table_head: Option<Range<usize>>,
    /// The tokens of the text that is embedded.
    pub tokens: usize,
}

/// Cuts one document.
pub(super) struct Packer<'a> {
    pub text: &'a str,
    pub outline: &'a Outline,
    pub tokens: &'a TextTokens<'a>,
    pub titles: &'a Titles,
    pub sizes: Sizes,
}

impl Packer<'_> {
    /// Cuts the document into chunks, in the order of the text. Together they cover the text.
    pub fn pack(&self) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        for section in &self.outline.sections {
            self.split(section, &mut pieces)?;
        }
        self.merge(pieces)
    }

    /// The text of `piece` that is stored and shown.
    pub fn passage(&self, piece: &Piece) -> String {
        let text = self.text[piece.range.clone()].trim();
        match &piece.table_head {
            Some(head) => format!("{}\n{text}", self.text[head.clone()].trim()),
            None => text.to_owned(),
        }
    }

    fn split(&self, section: &Section, pieces: &mut Vec<Piece>) -> Result<(), Failure> {
        let units = &self.outline.units[section.units.clone()];
        let (Some(first), Some(last)) = (units.first(), units.last()) else { return Ok(()) };
        let path = self.outline.path(section.heading);
        let mut start = first.range.start;
        while start < last.range.end {
            let piece = self.next(section, start..last.range.end, &path)?;
            start = piece.range.end;
            // A chunk needs more than white space.
            if !self.text[piece.range.clone()].trim().is_empty() {
                pieces.push(piece);
            }
        }
        Ok(())
    }

    /// Cuts the first piece from `rest`, which is the remaining part of `section`.
    fn next(&self, section: &Section, rest: Range<usize>, path: &[usize]) -> Result<Piece, Failure> {
        let table_head = self.table_head(section, rest.start);
        let head_cost = table_head.as_ref().map_or(0, |head| self.tokens.cost(head));
        let mut room = self.sizes.budget.saturating_sub(self.titles.cost(path) + head_cost).max(1);
        loop {
            let end = self.end(section, &rest, room);
            let piece = self.measured(rest.start..end, path.to_vec(), table_head.clone())?;
            let over = piece.tokens.saturating_sub(self.sizes.budget);
            if over == 0 {
                return Ok(piece);
            }
            if room == 1 {
                return self.shrunk(piece);
            }
            // The cost is an estimate where words are cut or joined, so the piece may be too large. Try a smaller one.
            room = room.min(self.tokens.cost(&piece.range)).saturating_sub(over).max(1);
        }
    }

    /// Drops the headings and the table's head of `piece`, then halves its text until it fits.
    fn shrunk(&self, piece: Piece) -> Result<Piece, Failure> {
        let Range { start, mut end } = piece.range;
        loop {
            let piece = self.measured(start..end, Vec::new(), None)?;
            let chars = self.text[start..end].chars().count();
            if piece.tokens <= self.sizes.budget || chars <= 1 {
                return Ok(piece);
            }
            end = self.text[start..end].char_indices().nth(chars / 2).map_or(end, |(at, _)| start + at);
        }
    }

    fn measured(
        &self,
        range: Range<usize>,
        path: Vec<usize>,
        table_head: Option<Range<usize>>,
    ) -> Result<Piece, Failure> {
        let mut piece = Piece { range, path, table_head, tokens: 0 };
        piece.tokens =
            self.tokens.count(&Chunk::embed_text(&self.titles.joined(&piece.path), &self.passage(&piece)))?;
        Ok(piece)
    }

    /// The head of the table whose row begins at `at`, if it is short enough to repeat.
    fn table_head(&self, section: &Section, at: usize) -> Option<Range<usize>> {
        let units = &self.outline.units[section.units.clone()];
        let unit = &units[units.partition_point(|unit| unit.range.start <= at).checked_sub(1)?];
        let head = unit.table_head.clone().filter(|head| unit.range.start == at && head.end <= at)?;
        (self.tokens.cost(&head) <= self.sizes.budget / HEAD_SHARE).then_some(head)
    }

    /// The best end for a piece of at most `room` tokens from the start of `rest`.
    fn end(&self, section: &Section, rest: &Range<usize>, room: usize) -> usize {
        let cost = |at: usize| self.tokens.cost(&(rest.start..at));
        let whole = cost(rest.end);
        if whole <= room {
            return rest.end;
        }
        // A smaller piece avoids a tiny last piece of the section.
        let most = if whole < room + self.sizes.tiny { room.min(whole / 2 + self.sizes.tiny) } else { room };
        let units = &self.outline.units[section.units.clone()];
        let first = units.partition_point(|unit| unit.range.start <= rest.start);
        let fitting = first + units[first..].partition_point(|unit| cost(unit.range.start) <= most);
        let boundary = |least: usize| {
            let inside = units[first..fitting].iter().map(|unit| (unit.range.start, unit.level));
            best_cut(inside.filter(|&(at, level)| level > Level::Glued && cost(at) >= least))
        };
        if let Some(at) = boundary(most / 2) {
            return at;
        }
        // One unit covers the second half of the piece. A row that fits in a chunk is left for the next piece.
        let across = &units[fitting - 1];
        let row = across.kind == Kind::Row && self.tokens.cost(&across.range) <= room;
        boundary(0).filter(|_| row).unwrap_or_else(|| self.end_inside(across, rest.start, most))
    }

    /// The best end inside `unit` for a piece of at most `most` tokens from `start`.
    fn end_inside(&self, unit: &Unit, start: usize, most: usize) -> usize {
        let window = start..self.tokens.reach(start, most);
        let cuts = leaves::cuts(self.text, unit, &window, self.tokens);
        let late = cuts.iter().filter(|cut| self.tokens.cost(&(start..cut.0)) >= most / 2);
        best_cut(late.copied()).or_else(|| best_cut(cuts.iter().copied())).unwrap_or(window.end)
    }

    fn merge(&self, pieces: Vec<Piece>) -> Result<Vec<Piece>, Failure> {
        let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
        let mut pieces = pieces.into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let joined = match merged.last() {
                Some(last) if last.tokens < self.sizes.tiny => self.joined(last, &piece)?,
                Some(last) if piece.tokens < self.sizes.tiny => {
                    // The next piece is the better neighbour, since its headings are above both.
                    let next = pieces.peek().map_or(Ok(None), |next| self.joined(&piece, next))?;
                    if next.is_some() { None } else { self.joined(last, &piece)? }
                }
                _ => None,
            };
            if joined.is_some() {
                merged.pop();
            }
            merged.push(joined.unwrap_or(piece));
        }
        Ok(merged)
    }

    /// Merges the two pieces if they are related and fit in one chunk.
    fn joined(&self, first: &Piece, second: &Piece) -> Result<Option<Piece>, Failure> {
        let shared = first.path.iter().zip(&second.path).take_while(|(a, b)| a == b).count();
        // Related: two sections under one heading, or the text of a heading and a section under it.
        let related = first.path.len() <= shared + 1 && second.path.len() <= shared + 1;
        if !related || first.tokens + second.tokens > 2 * self.sizes.budget {
            return Ok(None);
        }
        let range = first.range.start..second.range.end;
        let joined = self.measured(range, first.path[..shared].to_vec(), first.table_head.clone())?;
        Ok((joined.tokens <= self.sizes.budget && self.tokens.cost(&joined.range) <= self.sizes.budget)
            .then_some(joined))
    }
}

/// The last of the cuts with the best level.
fn best_cut(cuts: impl Iterator<Item = (usize, Level)>) -> Option<usize> {
    cuts.max_by_key(|&(_, level)| level).map(|(at, _)| at)
}
