//! What is shown: the state of groups, and what their ends mean.

mod words;

use std::collections::HashMap;

use encoding_rs::Encoding;

use super::{
    build::{Build, CellShape, Paragraph, Style},
    scan::{Scanner, Token},
};
use domain::document::{AsideKind, Block, BlockKind, Document, LeftOut, Notice};

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
