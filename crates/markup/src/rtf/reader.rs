//! What is shown: the state of groups, and what each control word does to it.

use std::collections::HashMap;

use encoding_rs::Encoding;

use super::{
    build::{Build, CellShape, Paragraph, Style},
    charset,
    scan::{Scanner, Token},
};
use domain::document::{AsideKind, Block, BlockKind, Document, Inline, LeftOut, Notice};

/// How many groups may be open; those within are read as parts of the last one.
const MAX_GROUPS: usize = 4096;

/// Where words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Shown,
    /// The number in front of a paragraph.
    Marker,
    Nowhere,
    /// What is in groups within counts, words do not.
    Groups,
    Fonts,
    Styles,
    /// A text that is needed when its group ends.
    Kept,
}

/// The state that a group begins with and gives back.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    place: Place,
    style: Style,
    hidden: bool,
    deleted: bool,
    font: i32,
    /// How many characters stand for a `\u` in old readers.
    stand_ins: usize,
    paragraph_style: i32,
    outline: Option<i32>,
    in_table: bool,
    tables: usize,
    level: usize,
}

/// What the end of a group means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Note(usize),
    Comment,
    Head,
    Foot,
    TextBox,
    /// A field's instruction.
    Instruction,
    /// A field's result, which began at this place of the line.
    Result(usize),
    Field,
    Author,
    PropertyName,
    PropertyValue,
    StyleEntry,
}

/// Reads a file.
#[derive(Debug, Default)]
pub(super) struct Reader {
    state: State,
    groups: Vec<(State, Option<End>)>,
    /// Groups beyond [`MAX_GROUPS`].
    beyond: usize,
    deep: usize,
    end: Option<End>,
    builds: Vec<Build>,
    build: Build,
    encoding: Option<&'static Encoding>,
    fonts: HashMap<i32, &'static Encoding>,
    /// The heading level of each style.
    headings: HashMap<i32, u8>,
    bytes: Vec<u8>,
    high_surrogate: Option<u16>,
    /// Characters still to skip.
    skip: usize,
    /// Whether `\*` came: a place that is not known is not shown.
    starred: bool,
    kept: String,
    property: String,
    author: String,
    /// The targets of open fields; an empty one is left out.
    fields: Vec<Option<String>>,
    shapes: Vec<CellShape>,
    shape: CellShape,
    header_row: bool,
    notes: Vec<Block>,
    heads: Vec<Block>,
    feet: Vec<Block>,
    hidden: usize,
    was_hidden: bool,
    pictures: usize,
}

impl Reader {
    /// The file's blocks.
    pub(super) fn read(mut self, bytes: &[u8]) -> Document {
        self.state.stand_ins = 1;
        let mut scanner = Scanner::new(bytes);
        while let Some(token) = scanner.next() {
            match token {
                Token::Text(text) => self.text(text),
                Token::Byte(byte) => self.text(&[byte]),
                other => {
                    self.flush();
                    self.control(&other, &mut scanner);
                }
            }
        }
        self.flush();
        while !self.groups.is_empty() {
            self.close();
        }
        let paragraph = self.paragraph();
        let mut blocks = self.heads;
        blocks.extend(self.build.finish(paragraph));
        blocks.extend(self.notes);
        blocks.extend(self.feet);
        let counts =
            [(LeftOut::HiddenText, self.hidden), (LeftOut::Pictures, self.pictures), (LeftOut::DeepParts, self.deep)];
        let notices = counts.into_iter().filter_map(|(what, count)| Notice::left_out(what, count)).collect();
        Document { blocks, notices, ..Document::default() }
    }

    fn control(&mut self, token: &Token<'_>, scanner: &mut Scanner<'_>) {
        match *token {
            Token::Open => self.open(),
            Token::Close => self.close(),
            Token::Word("bin", count) => scanner.skip(usize::try_from(count.unwrap_or(0)).unwrap_or(0)),
            // One that stands in for a `\u`.
            Token::Word(word, _) if self.skip > 0 && word != "u" && word != "uc" => self.skip -= 1,
            Token::Word(word, number) => self.word(word, number),
            Token::Symbol(_) if self.skip > 0 => self.skip -= 1,
            Token::Symbol(symbol) => self.symbol(symbol),
            Token::Byte(_) | Token::Text(_) => {}
        }
    }

    fn open(&mut self) {
        self.skip = 0;
        if self.groups.len() >= MAX_GROUPS {
            self.beyond += 1;
            self.deep += 1;
            return;
        }
        self.groups.push((self.state, self.end.take()));
        self.starred = false;
        if self.state.place == Place::Styles {
            self.end = Some(End::StyleEntry);
            self.kept.clear();
            (self.state.paragraph_style, self.state.outline) = (0, None);
        }
    }

    fn close(&mut self) {
        self.skip = 0;
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        if let Some(end) = self.end.take() {
            self.ends(end);
        }
        if let Some((state, end)) = self.groups.pop() {
            (self.state, self.end) = (state, end);
        }
    }

    fn ends(&mut self, end: End) {
        match end {
            End::Note(number) => {
                let blocks = self.take_build();
                self.notes.push(BlockKind::Footnote { label: number.to_string(), blocks }.into());
            }
            End::Comment => {
                let (by, blocks) = (std::mem::take(&mut self.author), self.take_build());
                self.build.pending.push(BlockKind::Aside { kind: AsideKind::Comment, by, blocks }.into());
            }
            End::Head | End::Foot => {
                let blocks = self.take_build();
                let known = if end == End::Head { &mut self.heads } else { &mut self.feet };
                for block in blocks {
                    if !known.contains(&block) {
                        known.push(block);
                    }
                }
            }
            End::TextBox => {
                let blocks = self.take_build();
                self.build.pending.extend(blocks);
            }
            End::Instruction => {
                let target = target_of(&std::mem::take(&mut self.kept));
                if let Some(field) = self.fields.last_mut() {
                    *field = target;
                }
            }
            End::Result(mark) => match self.fields.last() {
                Some(Some(target)) if target.is_empty() => self.build.drop_since(mark),
                Some(Some(target)) => self.build.link(mark, target),
                _ => {}
            },
            End::Field => drop(self.fields.pop()),
            End::Author => self.author = std::mem::take(&mut self.kept).trim().to_owned(),
            End::PropertyName => self.property = std::mem::take(&mut self.kept),
            End::PropertyValue => {
                let value = std::mem::take(&mut self.kept);
                if self.property.trim() == "wzDescription" && !value.trim().is_empty() {
                    self.build.pending.push(BlockKind::Picture(value).into());
                    self.pictures = self.pictures.saturating_sub(1);
                }
            }
            End::StyleEntry => {
                let name = std::mem::take(&mut self.kept).trim().trim_end_matches(';').to_lowercase();
                let named = name.strip_prefix("heading ").and_then(|level| level.parse().ok());
                let outline = self.state.outline.filter(|level| (0..9).contains(level)).map(|level| level + 1);
                let level = outline.or(named).or_else(|| (name == "title").then_some(1));
                if let Some(level) = level.and_then(|level| u8::try_from(level).ok()) {
                    self.headings.insert(self.state.paragraph_style, level.clamp(1, 6));
                }
            }
        }
    }

    /// The group's text is a part of its own, which `end` puts in its place.
    fn begin_build(&mut self, end: End) {
        self.builds.push(std::mem::take(&mut self.build));
        self.end = Some(end);
        let State { stand_ins, font, .. } = self.state;
        self.state = State { stand_ins, font, ..State::default() };
    }

    fn take_build(&mut self) -> Vec<Block> {
        let paragraph = self.paragraph();
        let outer = self.builds.pop().unwrap_or_default();
        std::mem::replace(&mut self.build, outer).finish(paragraph)
    }

    fn keep(&mut self, end: End) {
        self.state.place = Place::Kept;
        self.end = Some(end);
        self.kept.clear();
    }

    fn paragraph(&self) -> Paragraph {
        let State { outline, paragraph_style, level, tables, in_table, .. } = self.state;
        let outline = outline.map(|level| u8::try_from(level + 1).ok().filter(|level| (1..=9).contains(level)));
        let heading = outline.unwrap_or_else(|| self.headings.get(&paragraph_style).copied());
        Paragraph {
            heading: heading.map(|level| level.min(6)),
            level,
            tables: if in_table { tables.max(1) } else { 0 },
        }
    }

    fn text(&mut self, mut text: &[u8]) {
        if self.skip > 0 {
            let skipped = self.skip.min(text.len());
            self.skip -= skipped;
            text = text.get(skipped..).unwrap_or_default();
        }
        if self.state.place != Place::Nowhere {
            self.bytes.extend_from_slice(text);
        }
    }

    /// Shows the bytes that were gathered.
    fn flush(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let encoding = self.fonts.get(&self.state.font).copied().or(self.encoding).unwrap_or(encoding_rs::WINDOWS_1252);
        let bytes = std::mem::take(&mut self.bytes);
        let text = encoding.decode_without_bom_handling(&bytes).0;
        self.show(&text);
    }

    fn show(&mut self, text: &str) {
        match self.state.place {
            Place::Shown if self.state.deleted => {}
            Place::Shown if self.state.hidden => {
                self.hidden += usize::from(!self.was_hidden && !text.trim().is_empty());
                self.was_hidden = true;
            }
            Place::Shown => {
                self.was_hidden = false;
                self.build.push(self.state.style, text);
            }
            Place::Marker => self.build.marker.push_str(text),
            Place::Kept | Place::Styles => self.kept.push_str(text),
            Place::Nowhere | Place::Groups | Place::Fonts => {}
        }
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'*' => self.starred = true,
            b'~' => self.show("\u{a0}"),
            b'_' => self.show("\u{2011}"),
            // A paragraph may end with an escaped line end.
            b'\r' | b'\n' => self.word("par", None),
            b'{' | b'}' | b'\\' => self.show(char::from(symbol).encode_utf8(&mut [0; 4])),
            b'\t' => self.show("\t"),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
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

/// The target of a field's link; an empty one if the field shows a page number; `None` for any other field.
fn target_of(instruction: &str) -> Option<String> {
    let mut words = instruction.split_whitespace();
    match words.next()?.to_ascii_uppercase().as_str() {
        "PAGE" | "NUMPAGES" => Some(String::new()),
        "HYPERLINK" => words.map(|word| word.trim_matches('"')).find(|word| word.contains(':')).map(str::to_owned),
        _ => None,
    }
}

/// Symbol fonts' bullets and ticks as characters that every font has.
fn symbol_of(c: char) -> char {
    match c {
        '\u{f0b7}' => '•',
        '\u{f0a7}' => '▪',
        '\u{f0fc}' => '✓',
        '\u{f0fe}' => '☑',
        '\u{f0a8}' | '\u{f06f}' => '☐',
        c => c,
    }
}
