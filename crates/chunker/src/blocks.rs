//! Finds where a markdown text may be cut by its structure: headings, paragraphs, items, rows.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Headings without text between them stay together up to this size; more of them are treated as a list.
const MAX_BARE_BYTES: usize = 240;

/// How good a place for a cut is. Greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Inside a word.
    Piece,
    /// Between a heading and the text under it, or a table's head and its first row.
    Glued,
    /// Between words.
    Word,
    /// Between lines of one paragraph or code block.
    Line,
    /// Between sentences.
    Sentence,
    /// Between cells of one row, or list items inside a cell.
    Cell,
    /// Between nested items, or paragraphs of one item or quotation.
    Inner,
    /// Between list items or table rows.
    Item,
    /// Between paragraphs, lists, tables and other blocks.
    Block,
}

/// The content of a unit, as far as it affects cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heading,
    /// A table row, or a table's head with the line under it. It is not cut if it fits in a chunk.
    Row,
    Code,
    Prose,
}

/// A part of the text that is cut only if it is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub range: Range<usize>,
    pub kind: Kind,
    /// How good a cut before the unit is.
    pub level: Level,
    /// The head of the table that this row belongs to.
    pub table_head: Option<Range<usize>>,
}

/// A heading in the document's outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// The text without markup.
    pub title: String,
    /// The index of the heading above it in the outline.
    pub parent: Option<usize>,
    depth: u8,
}

/// Headings without text between them, and the text up to the next heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The indices of its units.
    pub units: Range<usize>,
    /// The index of its last heading; `None` before the document's first heading.
    pub heading: Option<usize>,
}

/// The structure of a text. The units cover the text without gaps, and the sections cover the units.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub units: Vec<Unit>,
    pub headings: Vec<Heading>,
    pub sections: Vec<Section>,
}

impl Outline {
    pub fn parse(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
        let mut builder = Builder::new(text);
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            builder.add(event, range);
        }
        builder.finish()
    }

    /// The indices of the headings from the outermost one to `heading`.
    pub fn path(&self, heading: Option<usize>) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(heading, |&at| self.headings[at].parent).collect();
        path.reverse();
        path
    }
}

struct Builder<'a> {
    text: &'a str,
    outline: Outline,
    /// How many lists, items and quotations enclose the event.
    depth: usize,
    /// Whether the event is inside a heading of the outline.
    in_heading: bool,
    /// The head of the current table.
    table_head: Option<Range<usize>>,
    /// Whether the next unit is glued to the one before it.
    glue: bool,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let mut builder =
            Self { text, outline: Outline::default(), depth: 0, in_heading: false, table_head: None, glue: false };
        // The first unit holds text before the first event; link definitions, for example, have no events.
        builder.cut(0, Kind::Prose, Level::Block);
        builder.outline.sections.push(Section { units: 0..0, heading: None });
        builder
    }

    fn add(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.enter(&tag, range),
            Event::End(tag) => self.leave(tag),
            Event::Rule if self.depth == 0 => self.cut(range.start, Kind::Prose, Level::Block),
            Event::Text(part) | Event::Code(part) | Event::InlineHtml(part) => self.title(&part),
            Event::SoftBreak | Event::HardBreak => self.title(" "),
            _ => {}
        }
    }

    fn enter(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        let block = if self.depth == 0 { Level::Block } else { Level::Inner };
        match tag {
            Tag::Heading { level, .. } if self.depth == 0 => self.heading(range.start, *level as u8),
            Tag::Item => {
                self.cut(range.start, Kind::Prose, if self.depth <= 1 { Level::Item } else { Level::Inner });
                self.depth += 1;
            }
            Tag::List(_) | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => {
                self.cut(range.start, Kind::Prose, block);
                self.depth += 1;
            }
            Tag::TableHead => {
                self.cut(range.start, Kind::Row, block);
                self.table_head = Some(range);
                self.glue = true;
            }
            Tag::TableRow => {
                if let Some(head) = self.table_head.as_mut().filter(|_| self.glue) {
                    // The line under the head is a part of the head.
                    head.end = range.start;
                }
                self.cut(range.start, Kind::Row, Level::Item);
            }
            Tag::CodeBlock(_) => self.cut(range.start, Kind::Code, block),
            Tag::Heading { .. } | Tag::Paragraph | Tag::HtmlBlock => self.cut(range.start, Kind::Prose, block),
            _ => {}
        }
    }

    fn leave(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => self.in_heading = false,
            TagEnd::Item | TagEnd::List(_) | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => self.depth -= 1,
            TagEnd::Table => {
                self.table_head = None;
                self.glue = false;
            }
            _ => {}
        }
    }

    fn title(&mut self, part: &str) {
        if let Some(heading) = self.outline.headings.last_mut().filter(|_| self.in_heading) {
            heading.title.push_str(part);
        }
    }

    fn heading(&mut self, at: usize, depth: u8) {
        let headings = &self.outline.headings;
        let mut parent = headings.len().checked_sub(1);
        while let Some(index) = parent.filter(|&index| headings[index].depth >= depth) {
            parent = headings[index].parent;
        }
        self.outline.headings.push(Heading { title: String::new(), parent, depth });
        self.in_heading = true;
        self.glue = false;
        self.cut(at, Kind::Heading, Level::Block);
        self.open_section();
        self.glue = true;
    }

    /// Begins a section at the last unit, unless the section before it has only headings, which need text below them.
    fn open_section(&mut self) {
        let heading = self.outline.headings.len() - 1;
        let unit = self.outline.units.len() - 1;
        let Some(last) = self.outline.sections.last_mut() else { return };
        let above = &self.outline.units[last.units.start..unit];
        let only_headings = above.iter().all(|unit| unit.kind == Kind::Heading);
        if only_headings && above.iter().map(|unit| unit.range.len()).sum::<usize>() <= MAX_BARE_BYTES {
            last.heading = Some(heading);
            self.outline.units[unit].level = if last.units.start == unit { Level::Block } else { Level::Glued };
        } else {
            last.units.end = unit;
            self.outline.sections.push(Section { units: unit..unit, heading: Some(heading) });
        }
    }

    /// Ends the last unit at `at`, or at the start of that line, and begins another one.
    fn cut(&mut self, at: usize, kind: Kind, level: Level) {
        let at = self.line_start(at);
        let level = if std::mem::take(&mut self.glue) { Level::Glued } else { level };
        let table_head = self.table_head.clone().filter(|_| kind == Kind::Row);
        match self.outline.units.last_mut() {
            // A list, its first item and the item's first paragraph start at the same place. The list's level is kept.
            Some(last) if last.range.start >= at => {
                if kind != Kind::Prose {
                    last.kind = kind;
                }
            }
            last => {
                last.into_iter().for_each(|last| last.range.end = at);
                self.outline.units.push(Unit { range: at..self.text.len(), kind, level, table_head });
            }
        }
    }

    /// The start of the line of `at` if only indentation and quotation marks are in between, else `at`.
    fn line_start(&self, at: usize) -> usize {
        // Limits the work: a line of a million quotation marks causes a million events.
        const LOOK_BACK: usize = 64;
        let marks = self.text.as_bytes()[..at].iter().rev().take(LOOK_BACK);
        let indent = marks.take_while(|&&byte| matches!(byte, b' ' | b'\t' | b'>')).count();
        let start = at - indent;
        if start == 0 || self.text.as_bytes()[start - 1] == b'\n' { start } else { at }
    }

    fn finish(mut self) -> Outline {
        let end = self.outline.units.len();
        self.outline.sections.last_mut().into_iter().for_each(|last| last.units.end = end);
        self.outline
    }
}
