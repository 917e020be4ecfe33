//! Where a markdown text may be cut, by its structure: headings, paragraphs, items, rows.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Headings that follow each other directly stay together up to this: more of them are a list in themselves.
const MAX_BARE_BYTES: usize = 240;

/// How good a place for a cut is; greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Inside a word.
    Piece,
    /// Between a heading and what it heads, a table's head and its first row.
    Glued,
    /// Between words.
    Word,
    /// Between lines of one paragraph or code block.
    Line,
    /// Between sentences.
    Sentence,
    /// Between cells of one row, or points listed inside a cell.
    Cell,
    /// Between nested items, or paragraphs of one item or quotation.
    Inner,
    /// Between list items or table rows.
    Item,
    /// Between paragraphs, lists, tables and other blocks.
    Block,
}

/// What a unit holds, as far as cutting it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heading,
    /// A table row, or a table's head with the line under it. Not cut where it fits alone.
    Row,
    Code,
    Prose,
}

/// A stretch of text that is cut only where it is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub range: Range<usize>,
    pub kind: Kind,
    /// How good a cut before it is.
    pub level: Level,
    /// The head of the table that this row belongs to.
    pub table_head: Option<Range<usize>>,
}

/// A heading of the outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// Its text without markup.
    pub title: String,
    /// The heading that it stands under, by index.
    pub parent: Option<usize>,
    depth: u8,
}

/// Headings that follow each other directly, and all up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Indices of its units.
    pub units: Range<usize>,
    /// The last of its headings; `None` before the document's first.
    pub heading: Option<usize>,
}

/// A text's structure. Units cover it without gaps, sections cover the units.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub units: Vec<Unit>,
    pub headings: Vec<Heading>,
    pub sections: Vec<Section>,
}

impl Outline {
    pub fn parse(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
        let mut walk = Walk::new(text);
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            walk.step(event, range);
        }
        walk.finish()
    }

    /// The headings from the outermost to `heading`.
    pub fn path(&self, heading: Option<usize>) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(heading, |&at| self.headings[at].parent).collect();
        path.reverse();
        path
    }
}

struct Walk<'a> {
    text: &'a str,
    outline: Outline,
    /// Containers (lists, items, quotations) around the event.
    depth: usize,
    /// Whether the event stands in a heading of the outline, whose title is being read.
    in_heading: bool,
    /// Heads of the table being read: known, and still open.
    table_head: Option<Range<usize>>,
    /// Whether the next unit belongs to the one before it.
    glue: bool,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        let mut walk =
            Self { text, outline: Outline::default(), depth: 0, in_heading: false, table_head: None, glue: false };
        // What stands before the first event, such as link definitions, which have none.
        walk.cut(0, Kind::Prose, Level::Block);
        walk.outline.sections.push(Section { units: 0..0, heading: None });
        walk
    }

    fn step(&mut self, event: Event<'_>, range: Range<usize>) {
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
                    // The line under the head belongs to it.
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
            TagEnd::Table => (self.table_head, self.glue) = (None, false),
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

    /// Begins a section at the last unit, unless the one before has headings only: those need a text below them.
    fn open_section(&mut self) {
        let heading = self.outline.headings.len() - 1;
        let unit = self.outline.units.len() - 1;
        let Some(last) = self.outline.sections.last_mut() else { return };
        let above = &self.outline.units[last.units.start..unit];
        let bare = above.iter().all(|unit| unit.kind == Kind::Heading);
        if bare && above.iter().map(|unit| unit.range.len()).sum::<usize>() <= MAX_BARE_BYTES {
            last.heading = Some(heading);
            self.outline.units[unit].level = if last.units.start == unit { Level::Block } else { Level::Glued };
        } else {
            last.units.end = unit;
            self.outline.sections.push(Section { units: unit..unit, heading: Some(heading) });
        }
    }

    /// Ends the last unit at `at`, or at the start of its line, and begins another.
    fn cut(&mut self, at: usize, kind: Kind, level: Level) {
        let at = self.line_start(at);
        let level = if std::mem::take(&mut self.glue) { Level::Glued } else { level };
        let table_head = self.table_head.clone().filter(|_| kind == Kind::Row);
        match self.outline.units.last_mut() {
            // A list, its first item and that item's first paragraph start together: the list has the word.
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

    /// `at`, or the start of its line where only indentation and quotation marks stand between.
    fn line_start(&self, at: usize) -> usize {
        // No further: a line of a million quotation marks is a million events.
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
