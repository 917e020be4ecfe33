//! The cells of a sheet of a binary workbook.

use std::collections::HashMap;

use super::{BOF, EOF, Record, Shared, records::Data, records::records};
use crate::{Area, Budget, Cell, Comment, Placed, Sheet};
use domain::document::Block;
use reading::fault::Fault;

/// The class of a link to a URL.
const URL: [u8; 16] = [0xe0, 0xc9, 0xea, 0x79, 0xf9, 0xba, 0xce, 0x11, 0x8c, 0x82, 0x00, 0xaa, 0x00, 0x4b, 0xa9, 0x0b];
/// A comment's text box.
const NOTE: u16 = 0x19;

/// Reads a sheet's substream.
pub(super) fn read(stream: &[u8], shared: &Shared, budget: &mut Budget) -> Result<Sheet, Fault> {
    let mut reader = Reader {
        shared,
        budget,
        sheet: Sheet::default(),
        zeros: true,
        formula: None,
        object: (0, 0),
        notes: HashMap::new(),
        comments: Vec::new(),
    };
    let mut depth = 0_usize;
    for record in records(stream) {
        match record.kind {
            BOF => depth += 1,
            EOF if depth <= 1 => break,
            EOF => depth -= 1,
            // A chart on the sheet has a substream within.
            _ if depth > 1 => {}
            _ => {
                reader.record(&record).unwrap_or(Ok(()))?;
            }
        }
    }
    if depth == 0 {
        return Err(Fault::Corrupt);
    }
    Ok(reader.finish())
}

struct Reader<'a> {
    shared: &'a Shared,
    budget: &'a mut Budget,
    sheet: Sheet,
    zeros: bool,
    /// The cell whose formula's text follows.
    formula: Option<(u16, u16, u16)>,
    /// Kind and id of the last object.
    object: (u16, u16),
    /// Texts of comments by object.
    notes: HashMap<u16, String>,
    /// Row, column, object and author.
    comments: Vec<(u16, u16, u16, String)>,
}

impl Reader<'_> {
    /// Reads a record; `None` if it is cut off.
    fn record(&mut self, record: &Record<'_>) -> Option<Result<(), Fault>> {
        let mut data = record.data();
        match record.kind {
            0x0203 => {
                let at = place(&mut data)?;
                return Some(self.number(at, f64::from_le_bytes(data.bytes()?)));
            }
            0x027e => {
                let at = place(&mut data)?;
                return Some(self.number(at, packed(data.u32()?)));
            }
            0x00bd => {
                let (row, first) = (data.u16()?, data.u16()?);
                let count = record.len().saturating_sub(6) / 6;
                for column in (first..).take(count) {
                    let (style, value) = (data.u16()?, data.u32()?);
                    if let Err(fault) = self.number((row, column, style), packed(value)) {
                        return Some(Err(fault));
                    }
                }
            }
            0x00fd => {
                let at = place(&mut data)?;
                let text = self.shared.strings.get(usize::try_from(data.u32()?).ok()?)?.clone();
                return Some(self.text(at, text));
            }
            0x0204 | 0x00d6 => {
                let at = place(&mut data)?;
                let text = self.long_text(&mut data)?;
                return Some(self.text(at, text));
            }
            0x0205 => {
                let at = place(&mut data)?;
                let (value, is_error) = (data.u8()?, data.u8()? != 0);
                return Some(self.push(at, flag(value, is_error), false));
            }
            0x0006 | 0x0406 => {
                let at = place(&mut data)?;
                let value: [u8; 8] = data.bytes()?;
                return match value {
                    [0, .., 0xff, 0xff] => {
                        self.formula = Some(at);
                        None
                    }
                    [kind @ (1 | 2), _, value, .., 0xff, 0xff] => Some(self.push(at, flag(value, kind == 2), false)),
                    [3, .., 0xff, 0xff] => None,
                    value => Some(self.number(at, f64::from_le_bytes(value))),
                };
            }
            0x0207 => {
                let at = self.formula.take()?;
                let text = self.long_text(&mut data)?;
                return Some(self.text(at, text));
            }
            _ => self.besides(record, data)?,
        }
        Some(Ok(()))
    }

    /// Reads what is no cell.
    fn besides(&mut self, record: &Record<'_>, mut data: Data<'_>) -> Option<()> {
        match record.kind {
            0x00e5 => {
                for _ in 0..data.u16()? {
                    let area = area(&mut data)?;
                    self.sheet.merged.push(area);
                }
            }
            0x0208 => {
                let row = data.u16()?;
                if data.skip(10).u16()? & 0x20 != 0 {
                    self.sheet.hidden.rows.push((row.into(), row.into()));
                }
            }
            0x007d => {
                let (first, last) = (data.u16()?, data.u16()?);
                if data.skip(4).u16()? & 1 != 0 {
                    self.sheet.hidden.columns.push((first.into(), last.into()));
                }
            }
            0x023e => self.zeros = data.u16()? & 0x10 != 0,
            0x01b8 => {
                let area = area(&mut data)?;
                let target = link(&mut data)?;
                self.sheet.links.insert((area.top, area.left), target);
            }
            0x005d => {
                data.skip(4);
                self.object = (data.u16()?, data.u16()?);
            }
            0x01b6 if self.shared.unicode => {
                let length = usize::from(data.skip(10).u16()?);
                let mut text = record.continued();
                let wide = text.u8()? & 1 == 1;
                let text = text.characters(length, wide);
                match self.object {
                    (NOTE, id) => drop(self.notes.insert(id, text)),
                    _ if text.trim().is_empty() => {}
                    // Where the box stands is not read.
                    _ => self.sheet.placed.push(Placed {
                        row: u32::MAX,
                        column: 0,
                        blocks: vec![Block::paragraph(text)],
                    }),
                }
            }
            0x001c if self.shared.unicode => {
                let (row, column, _flags, id) = (data.u16()?, data.u16()?, data.u16()?, data.u16()?);
                self.comments.push((row, column, id, data.text(true).unwrap_or_default()));
            }
            _ => {}
        }
        Some(())
    }

    fn long_text(&self, data: &mut Data<'_>) -> Option<String> {
        if self.shared.unicode { data.text(true) } else { data.bytes_text(true, self.shared.encoding) }
    }

    fn number(&mut self, at: (u16, u16, u16), value: f64) -> Result<(), Fault> {
        if value == 0.0 && !self.zeros {
            return Ok(());
        }
        let shown = self.format(at.2).map(|format| format.number(value, self.shared.since_1904));
        self.push(at, shown.unwrap_or_else(|| super::super::format::general(value)), false)
    }

    fn text(&mut self, at: (u16, u16, u16), text: String) -> Result<(), Fault> {
        let shown = match self.format(at.2) {
            Some(format) => format.text(text),
            None => text,
        };
        self.push(at, shown, true)
    }

    fn format(&self, style: u16) -> Option<&super::Format> {
        let (_, format) = self.shared.styles.get(usize::from(style))?;
        self.shared.formats.get(format)
    }

    fn push(&mut self, (row, column, style): (u16, u16, u16), text: String, is_text: bool) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        self.budget.take(&text)?;
        let font = self.shared.styles.get(usize::from(style)).map(|(font, _)| *font);
        let bold = font.and_then(|font| self.shared.fonts.get(font)).copied().unwrap_or(false);
        self.sheet.cells.push(Cell { row: row.into(), column: column.into(), text, is_text, bold });
        Ok(())
    }

    fn finish(mut self) -> Sheet {
        for (row, column, id, by) in self.comments {
            let text = self.notes.remove(&id).unwrap_or_default();
            if !text.trim().is_empty() {
                self.sheet.comments.push(Comment { row: row.into(), column: column.into(), by, text });
            }
        }
        self.sheet
    }
}

/// Row, column and style of a cell.
fn place(data: &mut Data<'_>) -> Option<(u16, u16, u16)> {
    Some((data.u16()?, data.u16()?, data.u16()?))
}

fn area(data: &mut Data<'_>) -> Option<Area> {
    let [top, bottom, left, right] = [data.u16()?, data.u16()?, data.u16()?, data.u16()?].map(u32::from);
    (top <= bottom && left <= right).then_some(Area { top, left, bottom, right })
}

/// A number in 30 bits: whole or the front of a float, perhaps times 100.
fn packed(value: u32) -> f64 {
    let number =
        if value & 2 == 0 { f64::from_bits(u64::from(value & !3) << 32) } else { f64::from(value.cast_signed() >> 2) };
    if value & 1 == 0 { number } else { number / 100.0 }
}

/// A truth value or an error.
fn flag(value: u8, is_error: bool) -> String {
    let shown = match (is_error, value) {
        (false, 0) => "FALSE",
        (false, _) => "TRUE",
        (true, 0x00) => "#NULL!",
        (true, 0x07) => "#DIV/0!",
        (true, 0x0f) => "#VALUE!",
        (true, 0x17) => "#REF!",
        (true, 0x1d) => "#NAME?",
        (true, 0x24) => "#NUM!",
        (true, _) => "#N/A",
    };
    shown.to_owned()
}

/// The URL of a link.
fn link(data: &mut Data<'_>) -> Option<String> {
    let flags = data.skip(20).u32()?;
    for mask in [0x14, 0x80] {
        if flags & mask == mask {
            let length = usize::try_from(data.u32()?).ok()?;
            data.skip(length.checked_mul(2)?);
        }
    }
    if flags & 1 == 0 || data.bytes()? != URL {
        return None;
    }
    let length = usize::try_from(data.u32()?).ok()? / 2;
    let text = data.characters(length, true);
    Some(text.split('\0').next().unwrap_or_default().to_owned())
}
