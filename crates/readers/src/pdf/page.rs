//! A page: its text in reading order, as paragraphs and tables with their boxes.

use domain::document::{PageBox, Table};

use super::{
    annotations,
    characters::Char,
    columns::{self, Item},
    geometry::{Rect, Sheet, Turn},
    graphics::Graphics,
    lines::{Line, Paragraph, paragraphs},
    tables::{self, Grid, Part},
    words::{Piece, pieces},
};

/// A part of a page.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) content: Content,
    pub(super) place: PageBox,
}

/// What a part of a page is.
#[derive(Debug)]
pub(super) enum Content {
    Paragraph(Paragraph),
    Table(Table),
}

/// Something in a region: a piece of a line, or a table with rules.
enum Part0 {
    Piece(Piece),
    Table(Table, Rect),
}

/// An item of the page that holds `piece`.
pub(super) fn item(piece: Piece) -> Item<Piece> {
    Item {
        rect: piece.body(),
        base: piece.base,
        size: piece.size,
        order: piece.order,
        chars: piece.chars,
        right_to_left: piece.right_to_left,
        content: piece,
    }
}

/// The page's parts in reading order.
/// `typed` are pieces that lie on the page.
pub(super) fn drafts(chars: &[Char], typed: Vec<Piece>, graphics: &Graphics, sheet: &Sheet, number: u32) -> Vec<Draft> {
    let grids: [Vec<Grid>; 4] = std::array::from_fn(|turn| {
        let rules: Vec<Rect> = graphics.rules.iter().map(|rule| sheet.rect_to_frame(turn as Turn, rule)).collect();
        tables::grids(&rules)
    });
    let bars = std::array::from_fn(|turn| grids[turn].iter().flat_map(|grid| grid.vertical().to_vec()).collect());
    let mut pieces = pieces(chars, &bars);
    pieces.extend(typed);
    let (slanted, pieces): (Vec<Piece>, Vec<Piece>) = pieces.into_iter().partition(|piece| piece.slanted);
    let mut by_turn: [Vec<Piece>; 4] = Default::default();
    for piece in pieces {
        by_turn[usize::from(piece.turn % 4)].push(piece);
    }
    let count = |turn: &usize| by_turn[*turn].iter().map(|piece| piece.chars).sum::<usize>();
    let main = (0..4).max_by_key(|turn| (count(turn), 4 - turn)).unwrap_or(0);
    let layout = Layout { sheet, number, grids: &grids };
    let mut drafts = layout.drafts(main as Turn, std::mem::take(&mut by_turn[main]));
    let top = drafts.iter().map(|draft| draft.place.top).fold(1.0, f32::min);
    for (turn, pieces) in by_turn.into_iter().enumerate() {
        let others = layout.drafts(turn as Turn, pieces);
        // What stands above all the rest comes first.
        let above = others.iter().all(|draft| draft.place.bottom <= top);
        let at = if above { 0 } else { drafts.len() };
        drafts.splice(at..at, others);
    }
    for piece in slanted {
        drafts.extend(
            layout.paragraphs(piece.turn, &[Line::of(&[item(piece)])].into_iter().flatten().collect::<Vec<_>>()),
        );
    }
    drafts
}

struct Layout<'a> {
    sheet: &'a Sheet,
    number: u32,
    grids: &'a [Vec<Grid>; 4],
}

impl Layout<'_> {
    /// The parts that the pieces of one direction make.
    fn drafts(&self, turn: Turn, mut pieces: Vec<Piece>) -> Vec<Draft> {
        if pieces.is_empty() {
            return Vec::new();
        }
        let mut items = Vec::new();
        for grid in &self.grids[usize::from(turn % 4)] {
            if let Some((table, order)) = grid.table(&mut pieces) {
                let rect = grid.rect();
                let content = Part0::Table(table, rect);
                let base = rect.top + 10.0;
                items.push(Item { rect, base, size: 10.0, order, chars: 100, right_to_left: false, content });
            }
        }
        items.extend(pieces.into_iter().map(|piece| {
            let Item { rect, base, size, order, chars, right_to_left, content } = item(piece);
            Item { rect, base, size, order, chars, right_to_left, content: Part0::Piece(content) }
        }));
        columns::regions(items).into_iter().flat_map(|region| self.region(turn, region)).collect()
    }

    fn region(&self, turn: Turn, items: Vec<Item<Part0>>) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let mut rows: Vec<Vec<Item<Piece>>> = Vec::new();
        for row in columns::rows(items) {
            let mut pieces = Vec::new();
            for Item { content, .. } in row {
                match content {
                    Part0::Piece(piece) => pieces.push(item(piece)),
                    Part0::Table(table, rect) => {
                        self.rows(turn, std::mem::take(&mut rows), &mut drafts);
                        drafts.push(Draft { content: Content::Table(table), place: self.place(turn, &rect) });
                    }
                }
            }
            if !pieces.is_empty() {
                rows.push(pieces);
            }
        }
        self.rows(turn, rows, &mut drafts);
        drafts
    }

    fn rows(&self, turn: Turn, rows: Vec<Vec<Item<Piece>>>, drafts: &mut Vec<Draft>) {
        let mut lines = Vec::new();
        for part in tables::parts(rows) {
            match part {
                Part::Line(line) => lines.push(line),
                Part::Table(table, rect) => {
                    drafts.extend(self.paragraphs(turn, &lines));
                    lines.clear();
                    drafts.push(Draft { content: Content::Table(table), place: self.place(turn, &rect) });
                }
            }
        }
        drafts.extend(self.paragraphs(turn, &lines));
    }

    fn paragraphs(&self, turn: Turn, lines: &[Line]) -> Vec<Draft> {
        let draft = |paragraph: Paragraph| Draft {
            place: self.place(turn, &paragraph.rect),
            content: Content::Paragraph(paragraph),
        };
        paragraphs(lines).into_iter().map(draft).collect()
    }

    /// The box on the page of a rectangle in the frame of `turn`.
    fn place(&self, turn: Turn, rect: &Rect) -> PageBox {
        annotations::place(&self.sheet.rect_from_frame(turn, rect), self.sheet, self.number)
    }
}
