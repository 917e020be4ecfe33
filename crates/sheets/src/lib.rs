//! Reads spreadsheets: each sheet is a page with its name as heading, and each block of used cells is a table.
//!
//! `xlsx`, `xls` and `ods` read the files; what they read is a `Sheet`, which `blocks` lays out. What a cell shows is
//! made by `format`, except in OpenDocument, which stores it.

mod blocks;
mod chart;
mod format;
mod hidden;
mod ods;
mod xls;
mod xlsx;

use std::collections::HashMap;

use domain::{
    document::{AsideKind, Block, BlockKind, Document, LeftOut, Notice},
    ports::ParseLimits,
};

use hidden::Hidden;
use reading::{fault::Fault, limits::check_pages};
pub use {
    ods::read as read_ods,
    xls::{is_workbook as is_xls, read as read_xls},
    xlsx::read as read_xlsx,
};

/// A cell that shows something. Rows and columns are counted from 0.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    row: u32,
    column: u32,
    text: String,
    /// Whether it is a text, and not a number, a date or a truth value.
    is_text: bool,
    bold: bool,
}

/// A rectangle of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    top: u32,
    left: u32,
    bottom: u32,
    right: u32,
}

/// Something that stands on a sheet at a cell: a chart, a text box, a picture.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    row: u32,
    column: u32,
    blocks: Vec<Block>,
}

/// A comment on a cell.
#[derive(Debug, Clone, PartialEq)]
struct Comment {
    row: u32,
    column: u32,
    by: String,
    text: String,
}

/// What a sheet shows, cells in any order.
#[derive(Debug, Default)]
struct Sheet {
    cells: Vec<Cell>,
    merged: Vec<Area>,
    /// Targets of links, by row and column.
    links: HashMap<(u32, u32), String>,
    placed: Vec<Placed>,
    comments: Vec<Comment>,
    hidden: Hidden,
    /// Pictures without a description.
    pictures: usize,
}

/// What text and memory may still grow by, so that a sheet of ten million cells ends before its tables are built.
struct Budget {
    text_left: u64,
    memory_left: u64,
    limits: ParseLimits,
}

impl Budget {
    /// A cell's share of a table besides its text: a bar and blanks.
    const CELL_TEXT: u64 = 3;
    /// What a cell of a table needs while it is laid out and rendered, in bytes, besides its text (measured).
    const CELL_MEMORY: u64 = 300;

    fn new(limits: &ParseLimits) -> Self {
        // Half of the memory is for everything else: the program, the file, the rendered text.
        Self { text_left: limits.output_bytes, memory_left: limits.memory_bytes / 2, limits: *limits }
    }

    fn take(&mut self, text: &str) -> Result<(), Fault> {
        let (length, limits) = (text.len() as u64, self.limits);
        let left = self.text_left.checked_sub(Self::CELL_TEXT + length);
        self.text_left = left.ok_or(Fault::OutputLimit { limit_bytes: limits.output_bytes })?;
        let left = self.memory_left.checked_sub(Self::CELL_MEMORY + length);
        self.memory_left = left.ok_or(Fault::Memory { limit_bytes: limits.memory_bytes })?;
        Ok(())
    }
}

/// The document that grows sheet by sheet.
struct Workbook {
    document: Document,
    hidden_sheets: usize,
    hidden_cells: usize,
    pictures: usize,
    failed: Vec<u32>,
}

impl Workbook {
    /// For a file with so many sheets that are shown and hidden.
    fn new(shown: usize, hidden: usize, limits: &ParseLimits) -> Result<Self, Fault> {
        let document = Document { pages: check_pages(limits, shown)?, ..Document::default() };
        Ok(Self { document, hidden_sheets: hidden, hidden_cells: 0, pictures: 0, failed: Vec::new() })
    }

    /// Adds sheet `number`, or that it can't be read.
    fn add(&mut self, number: u32, name: &str, sheet: Result<Sheet, Fault>) -> Result<(), Fault> {
        let out = &mut self.document.blocks;
        out.push(Block::page(number));
        out.push(Block::heading(2, name));
        let mut sheet = match sheet {
            Ok(sheet) => sheet,
            Err(Fault::Corrupt) => {
                self.failed.push(number);
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        self.pictures += sheet.pictures;
        self.hidden_cells += hidden::leave_out(&mut sheet);
        let mut comments = std::mem::take(&mut sheet.comments);
        out.extend(blocks::lay_out(sheet));
        comments.sort_by_key(|comment| (comment.row, comment.column));
        out.extend(comments.into_iter().map(Comment::block));
        Ok(())
    }

    fn finish(mut self) -> Result<Document, Fault> {
        const LISTED: usize = 100;
        let count = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        if count > 0 && count == self.document.pages {
            return Err(Fault::Corrupt);
        }
        let notices = &mut self.document.notices;
        if count > 0 {
            self.failed.truncate(LISTED);
            notices.push(Notice::FailedPages { pages: self.failed, count });
        }
        notices.extend(Notice::left_out(LeftOut::HiddenSheets, self.hidden_sheets));
        notices.extend(Notice::left_out(LeftOut::HiddenCells, self.hidden_cells));
        notices.extend(Notice::left_out(LeftOut::Pictures, self.pictures));
        Ok(self.document)
    }
}

impl Comment {
    fn block(self) -> Block {
        let address = address(self.row, self.column);
        // Excel begins the text of a comment with its author's name.
        let text = self.text.trim();
        let own = text.strip_prefix(&*self.by).filter(|_| !self.by.is_empty());
        let text = own.and_then(|rest| rest.strip_prefix(':')).unwrap_or(text).trim();
        let by = if self.by.is_empty() { address } else { format!("{address}, {}", self.by) };
        BlockKind::Aside { kind: AsideKind::Comment, by, blocks: vec![Block::paragraph(text)] }.into()
    }
}

/// The address of a cell, for example `B12`.
fn address(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = u64::from(column) + 1;
    while left > 0 {
        left -= 1;
        letters.push(char::from(b'A' + u8::try_from(left % 26).unwrap_or(0)));
        left /= 26;
    }
    letters.iter().rev().collect::<String>() + &(u64::from(row) + 1).to_string()
}

/// Row and column of an address such as `B12` or `$B$12`.
fn cell_at(address: &str) -> Option<(u32, u32)> {
    let address = address.trim().replace('$', "");
    let digits = address.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &address[..address.len() - digits.len()];
    let column = letters.bytes().try_fold(0_u32, |column, letter| {
        column.checked_mul(26)?.checked_add(u32::from(letter.to_ascii_uppercase() - b'A') + 1)
    })?;
    Some((digits.parse::<u32>().ok()?.checked_sub(1)?, column.checked_sub(1)?))
}

/// The area of a reference such as `B2:D4` or `B2`.
fn area_of(reference: &str) -> Option<Area> {
    let (first, last) = reference.split_once(':').unwrap_or((reference, reference));
    let ((top, left), (bottom, right)) = (cell_at(first)?, cell_at(last)?);
    (top <= bottom && left <= right).then_some(Area { top, left, bottom, right })
}

#[cfg(test)]
mod tests;
