//! What each control word does.

use super::{End, Place, Reader, symbol_of};
use crate::rtf::{
    build::{CellShape, Paragraph, Style},
    charset,
};
use domain::document::Inline;

impl Reader {
    pub(super) fn word(&mut self, word: &str, number: Option<i32>) {
        if self.state.place == Place::Nowhere && word != "ud" {
            return;
        }
        let starred = std::mem::take(&mut self.starred);
        if self.destination(word) {
            return;
        }
        // A place that is not known.
        if starred {
            self.state.place = Place::Nowhere;
            return;
        }
        let on = number != Some(0);
        let style = &mut self.state.style;
        match word {
            "b" => style.bold = on,
            "i" => style.italic = on,
            "strike" | "striked" => style.strike = on,
            "super" => (style.raised, style.lowered) = (on, false),
            "sub" => (style.raised, style.lowered) = (false, on),
            "nosupersub" => (style.raised, style.lowered) = (false, false),
            "v" => self.state.hidden = on,
            "deleted" => self.state.deleted = on,
            "plain" => {
                *style = Style::default();
                (self.state.hidden, self.state.deleted) = (false, false);
            }
            "f" => self.state.font = number.unwrap_or(0),
            "fcharset" if self.state.place == Place::Fonts => {
                if let Some(encoding) = charset::of_font(number.unwrap_or(1)) {
                    self.fonts.insert(self.state.font, encoding);
                }
            }
            "ansicpg" => self.encoding = Some(charset::of_code_page(number.unwrap_or(1252))),
            "mac" => self.encoding = Some(charset::of_code_page(10000)),
            "uc" => self.state.stand_ins = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(16),
            "u" => self.unicode(number.unwrap_or(0)),
            "s" => self.state.paragraph_style = number.unwrap_or(0),
            "outlinelevel" => self.state.outline = number,
            "ilvl" => self.state.level = usize::try_from(number.unwrap_or(0)).unwrap_or(0),
            "pard" => {
                (self.state.paragraph_style, self.state.outline, self.state.level) = (0, None, 0);
                (self.state.in_table, self.state.tables) = (false, 1);
            }
            _ => self.shown_word(word, number),
        }
    }

    /// A word that stands for text, or ends a part of it.
    fn shown_word(&mut self, word: &str, number: Option<i32>) {
        match word {
            "par" | "sect" | "page" | "column" if self.state.place == Place::Shown => {
                let paragraph = self.paragraph();
                self.build.end_paragraph(paragraph);
            }
            "line" | "lbr" if self.state.place == Place::Shown => self.build.add(Inline::LineBreak),
            "tab" => self.show("\t"),
            "emdash" => self.show("—"),
            "endash" => self.show("–"),
            "lquote" => self.show("‘"),
            "rquote" => self.show("’"),
            "ldblquote" => self.show("“"),
            "rdblquote" => self.show("”"),
            "bullet" => self.show("•"),
            "emspace" | "enspace" | "qmspace" => self.show(" "),
            "trowd" => {
                self.shapes.clear();
                self.shape = CellShape::default();
                self.header_row = false;
                self.in_table();
            }
            "trhdr" => self.header_row = true,
            "clmrg" => self.shape.joins_left = true,
            "clvmrg" => self.shape.joins_above = true,
            "cellx" if self.shapes.len() < 1000 => {
                let shape = std::mem::take(&mut self.shape);
                self.shapes.push(CellShape { right: number.unwrap_or(0), ..shape });
            }
            "intbl" => self.in_table(),
            "itap" => {
                self.state.tables = usize::try_from(number.unwrap_or(1)).unwrap_or(1);
                self.state.in_table = self.state.tables > 0;
            }
            "cell" => {
                let paragraph = self.paragraph();
                self.build.end_cell(Paragraph { tables: 1, ..paragraph });
            }
            "nestcell" => {
                let paragraph = self.paragraph();
                self.build.end_cell(paragraph);
            }
            "row" => {
                self.build.end_row(1, &self.shapes, self.header_row);
                self.state.in_table = false;
                // The next row may be a group's neighbour.
                self.groups.iter_mut().rev().take(8).for_each(|(state, _)| state.in_table = false);
            }
            "nestrow" => self.build.end_row(self.state.tables.max(2), &self.shapes, self.header_row),
            _ => {}
        }
    }

    fn in_table(&mut self) {
        self.state.in_table = true;
        self.state.tables = self.state.tables.max(1);
    }

    fn unicode(&mut self, number: i32) {
        self.skip = self.state.stand_ins;
        // Written as a signed number of 16 bits.
        let Ok(unit) = u16::try_from(if number < 0 { number.saturating_add(0x1_0000) } else { number }) else {
            if let Some(c) = u32::try_from(number).ok().and_then(char::from_u32) {
                self.show(c.encode_utf8(&mut [0; 4]));
            }
            return;
        };
        let units = match self.high_surrogate.take() {
            Some(high) => vec![high, unit],
            None if (0xd800..0xdc00).contains(&unit) => {
                self.high_surrogate = Some(unit);
                return;
            }
            None => vec![unit],
        };
        for c in char::decode_utf16(units) {
            let c = symbol_of(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            self.show(c.encode_utf8(&mut [0; 4]));
        }
    }

    /// Whether the word says where its group's text goes.
    fn destination(&mut self, word: &str) -> bool {
        match word {
            "colortbl" | "info" | "nonshppict" | "nonesttables" | "shprslt" | "xe" | "tc" | "private" | "pntxta"
            | "pntxtb" | "do" | "upr" | "objdata" | "listtable" | "listoverridetable" | "revtbl" | "rsidtbl"
            | "atnid" | "ftnsep" | "ftnsepc" | "aftnsep" | "aftnsepc" => self.state.place = Place::Nowhere,
            "ud" => self.state.place = Place::Shown,
            "fonttbl" => self.state.place = Place::Fonts,
            "stylesheet" => self.state.place = Place::Styles,
            "listtext" | "pntext" => {
                self.build.marker.clear();
                self.state.place = Place::Marker;
            }
            "shppict" | "picprop" | "shpinst" | "sp" | "shp" => self.state.place = Place::Groups,
            "pict" => {
                self.pictures += 1;
                self.state.place = Place::Groups;
            }
            "sn" => self.keep(End::PropertyName),
            "sv" => self.keep(End::PropertyValue),
            "nesttableprops" | "result" => {}
            "field" => {
                self.fields.push(None);
                self.end = Some(End::Field);
            }
            "fldinst" => self.keep(End::Instruction),
            "fldrslt" => {
                let mark = self.build.mark();
                self.end = Some(End::Result(mark));
            }
            "atnauthor" => self.keep(End::Author),
            "footnote" => {
                let number = self.notes.len() + self.builds.len() + 1;
                self.build.add(Inline::NoteRef(number.to_string()));
                self.begin_build(End::Note(number));
            }
            "annotation" => self.begin_build(End::Comment),
            "header" | "headerl" | "headerr" | "headerf" => self.begin_build(End::Head),
            "footer" | "footerl" | "footerr" | "footerf" => self.begin_build(End::Foot),
            "shptxt" => self.begin_build(End::TextBox),
            _ => return false,
        }
        true
    }
}
