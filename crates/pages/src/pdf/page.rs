//! A page: its text in reading order, as paragraphs and tables with their boxes.

use domain::document::{PageBox, Table};

use super::{
    aligned::{self, Label, Part},
    annotations,
    characters::Char,
    columns::{self, Item},
    geometry::{Rect, Sheet, Turn, median},
    glyphs,
    graphics::Graphics,
    heads,
    lines::{Line, Paragraph, paragraphs},
    parting,
    tables::{self, Grid},
    words::{Piece, pieces},
};

/// A part of a page.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) content: Content,
    pub(super) place: PageBox,
    /// By its form a running head or a page number.
    pub(super) running: bool,
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
        number: aligned::is_number(&piece),
        opens: opens(&piece),
        content: piece,
    }
}

fn opens(piece: &Piece) -> bool {
    let first = piece.bits.iter().flat_map(|bit| bit.text().chars()).find(|c| *c != ' ');
    first.is_some_and(|c| c.is_uppercase() || c.is_numeric() || matches!(c, '(' | '"' | '“' | '$'))
}

/// The page's parts in reading order.
/// `typed` are pieces that lie on the page.
pub(super) fn drafts(chars: &[Char], typed: Vec<Piece>, graphics: &Graphics, sheet: &Sheet, number: u32) -> Vec<Draft> {
    let mut rules: [Vec<Rect>; 4] =
        std::array::from_fn(|turn| graphics.rules.iter().map(|rule| sheet.rect_to_frame(turn as Turn, rule)).collect());
    let grids: [Vec<Grid>; 4] = std::array::from_fn(|turn| tables::grids(&rules[turn]));
    rules.iter_mut().for_each(|rules| rules.retain(|rule| rule.width() > rule.height()));
    let bars = std::array::from_fn(|turn| grids[turn].iter().flat_map(|grid| grid.vertical().to_vec()).collect());
    let mut chars = chars.to_vec();
    glyphs::join_accents(&mut chars);
    even_out_recognised(&mut chars);
    let initials = glyphs::lower_initials(&mut chars);
    let mut pieces: Vec<Piece> = pieces(&chars, &bars).into_iter().flat_map(parting::numbers).collect();
    for piece in &mut pieces {
        let left = initials.iter().find_map(|initial| initial.left_of_line(piece.rect.left, piece.base));
        piece.rect.left = left.unwrap_or(piece.rect.left);
    }
    pieces.extend(typed.into_iter().map(|piece| level(piece, &pieces)).collect::<Vec<_>>());
    let (slanted, pieces): (Vec<Piece>, Vec<Piece>) = pieces.into_iter().partition(|piece| piece.slanted);
    let mut by_turn: [Vec<Piece>; 4] = Default::default();
    for piece in pieces {
        by_turn[usize::from(piece.turn % 4)].push(piece);
    }
    let count = |turn: &usize| by_turn[*turn].iter().map(|piece| piece.chars).sum::<usize>();
    let main = (0..4).max_by_key(|turn| (count(turn), 4 - turn)).unwrap_or(0);
    let layout = Layout { sheet, number, grids: &grids, rules: &rules };
    let (main_turn, mut text) = (main as Turn, std::mem::take(&mut by_turn[main]));
    let [head, foot] = heads::take_running(&mut text, sheet.frame_size(main_turn));
    let mut drafts = layout.running(main_turn, head);
    let mut labels: Vec<Label> =
        slanted.into_iter().map(|piece| Label { begin: begin_of_slanted(&piece, sheet, main_turn), piece }).collect();
    drafts.extend(layout.drafts(main_turn, text, &mut labels));
    drafts.extend(layout.running(main_turn, foot));
    let top = drafts.iter().map(|draft| draft.place.top).fold(1.0, f32::min);
    for (turn, pieces) in by_turn.into_iter().enumerate() {
        let others = layout.drafts(turn as Turn, pieces, &mut Vec::new());
        // What stands above all the rest comes first.
        let above = others.iter().all(|draft| draft.place.bottom <= top);
        let at = if above { 0 } else { drafts.len() };
        drafts.splice(at..at, others);
    }
    // Labels of a chart follow each other.
    let slanted: Vec<Piece> = labels.into_iter().map(|label| label.piece).collect();
    for group in slanted.chunk_by(|a, b| a.turn == b.turn && a.size == b.size) {
        let items: Vec<Item<Piece>> = group.iter().cloned().map(item).collect();
        drafts.extend(Line::of(&items).map(|line| layout.paragraphs(group[0].turn, &[line])).unwrap_or_default());
    }
    drafts
}

/// A form value on the line of the text before it, else of that behind it, and next to it in the order of the content: fields
/// stand a little higher or lower than their labels, and are listed apart from them.
fn level(value: Piece, pieces: &[Piece]) -> Piece {
    let beside = || {
        pieces.iter().filter(|label| {
            let least = label.rect.height().min(value.rect.height());
            label.turn == value.turn && label.rect.shared_height(&value.rect) > 0.5 * least
        })
    };
    let before = beside().filter(|label| label.rect.right <= value.rect.left + label.size);
    let behind = || beside().filter(|label| label.rect.left >= value.rect.right - label.size);
    let label = before
        .max_by(|a, b| a.rect.right.total_cmp(&b.rect.right))
        .or_else(|| behind().min_by(|a, b| a.rect.left.total_cmp(&b.rect.left)));
    match label {
        Some(label) => Piece { base: label.base, order: label.order, ..value },
        None => value,
    }
}

/// A slanted piece as one that is no longer than its beginning, at the lower left: it rises over the column that it heads.
fn begin_of_slanted(piece: &Piece, sheet: &Sheet, turn: Turn) -> Piece {
    let rect = sheet.rect_to_frame(turn, &sheet.rect_from_frame(piece.turn, &piece.rect));
    let size = piece.size;
    let begin = Rect { right: rect.left + 0.9 * size, top: rect.bottom - size, ..rect };
    Piece { rect: begin, base: rect.bottom - 0.2 * size, turn, slanted: false, ..piece.clone() }
}

/// Gives the words that were recognised in a picture the size of most of them: each was measured on its own, and no heading
/// is known by such a size.
fn even_out_recognised(chars: &mut [Char]) {
    let recognised = |char: &&mut Char| char.look.invisible;
    let Some(usual) = median(&mut chars.iter_mut().filter(recognised).map(|char| char.look.size).collect::<Vec<_>>())
    else {
        return;
    };
    for char in chars.iter_mut().filter(recognised) {
        if (0.7..1.4).contains(&(char.look.size / usual)) {
            char.look.size = usual;
        }
    }
}

struct Layout<'a> {
    sheet: &'a Sheet,
    number: u32,
    grids: &'a [Vec<Grid>; 4],
    /// The horizontal rules.
    rules: &'a [Vec<Rect>; 4],
}

impl Layout<'_> {
    /// The parts that the pieces of one direction make.
    fn drafts(&self, turn: Turn, mut pieces: Vec<Piece>, labels: &mut Vec<Label>) -> Vec<Draft> {
        if pieces.is_empty() {
            return Vec::new();
        }
        let mut tables = Vec::new();
        for grid in &self.grids[usize::from(turn % 4)] {
            tables.extend(grid.table(&mut pieces).map(|(table, order)| (table, grid.rect(), order)));
        }
        tables.extend(aligned::ruled(&mut pieces, labels, &self.rules[usize::from(turn % 4)]));
        let mut items = Vec::new();
        for (table, rect, order) in tables {
            let (content, base) = (Part0::Table(table, rect), rect.top + 10.0);
            items.push(Item {
                rect,
                base,
                size: 10.0,
                order,
                chars: 100,
                right_to_left: false,
                number: false,
                opens: false,
                content,
            });
        }
        items.extend(pieces.into_iter().map(|piece| {
            let Item { rect, base, size, order, chars, right_to_left, number, opens, content } = item(piece);
            Item { rect, base, size, order, chars, right_to_left, number, opens, content: Part0::Piece(content) }
        }));
        columns::regions(items).into_iter().flat_map(|region| self.region(turn, region)).collect()
    }

    /// Running heads and page numbers, line by line.
    fn running(&self, turn: Turn, pieces: Vec<Piece>) -> Vec<Draft> {
        let rows = columns::rows(pieces.into_iter().map(item).collect());
        let lines: Vec<Line> = rows.iter().filter_map(|row| Line::of(row)).collect();
        let mut drafts: Vec<Draft> =
            lines.iter().flat_map(|line| self.paragraphs(turn, std::slice::from_ref(line))).collect();
        drafts.iter_mut().for_each(|draft| draft.running = true);
        drafts
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
                        drafts.push(Draft {
                            content: Content::Table(table),
                            place: self.place(turn, &rect),
                            running: false,
                        });
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
        for part in aligned::parts(rows, &self.rules[usize::from(turn % 4)]) {
            match part {
                Part::Line(line) => lines.push(line),
                Part::Table(table, rect) => {
                    drafts.extend(self.paragraphs(turn, &lines));
                    lines.clear();
                    drafts.push(Draft {
                        content: Content::Table(table),
                        place: self.place(turn, &rect),
                        running: false,
                    });
                }
            }
        }
        drafts.extend(self.paragraphs(turn, &lines));
    }

    fn paragraphs(&self, turn: Turn, lines: &[Line]) -> Vec<Draft> {
        let draft = |paragraph: Paragraph| Draft {
            place: self.place(turn, &paragraph.rect),
            content: Content::Paragraph(paragraph),
            running: false,
        };
        paragraphs(lines).into_iter().map(draft).collect()
    }

    /// The box on the page of a rectangle in the frame of `turn`.
    fn place(&self, turn: Turn, rect: &Rect) -> PageBox {
        annotations::place(&self.sheet.rect_from_frame(turn, rect), self.sheet, self.number)
    }
}
