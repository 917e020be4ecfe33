//! A document as its reader sees it: blocks in reading order. Readers make it from files; a renderer makes markdown of it.

use serde::{Deserialize, Serialize};

/// What a reader made of one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The blocks in reading order.
    pub blocks: Vec<Block>,
    /// Pages, slides or sheets in the file; 0 if the format has none.
    pub pages: u32,
    /// What the text does not hold, or holds with a doubt.
    pub notices: Vec<Notice>,
    /// What is printed on pages as their numbers, where that is not the number: page and label.
    pub labels: Vec<(u32, String)>,
}

impl Document {
    /// Adds the blocks of a part, and counts what it leaves out with what this document leaves out.
    pub fn append(&mut self, part: Self) {
        self.blocks.extend(part.blocks);
        part.notices.into_iter().for_each(|notice| self.note(notice));
    }

    /// Adds a notice, or its count to one of the same kind.
    pub fn note(&mut self, notice: Notice) {
        if let Notice::LeftOut { what, count } = notice {
            for known in &mut self.notices {
                if let Notice::LeftOut { what: same, count: sum } = known
                    && *same == what
                {
                    *sum = sum.saturating_add(count);
                    return;
                }
            }
        }
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

/// A block and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Where it stands on its pages; empty if the format has no pages.
    pub boxes: Vec<PageBox>,
}

impl From<BlockKind> for Block {
    fn from(kind: BlockKind) -> Self {
        Self { kind, boxes: Vec::new() }
    }
}

/// A rectangle on a page, in parts of the page's width and height (0 to 1). The origin is at the top left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageBox {
    /// The page, from 1.
    pub page: u32,
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

/// The kinds of blocks.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockKind {
    /// A page, slide or sheet begins. Its number is from 1.
    Page(u32),
    /// A heading of level 1 to 6, with the number that the page shows in front of it as part of its text.
    Heading {
        /// 1 is the highest.
        level: u8,
        /// Its words.
        text: Vec<Inline>,
    },
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// List items of one level.
    List(Vec<ListItem>),
    /// A table.
    Table(Table),
    /// Preformatted text, blanks and lines as they are.
    Code(String),
    /// A formula on a line of its own, as LaTeX.
    Formula(String),
    /// A quotation.
    Quote(Vec<Block>),
    /// A footnote or endnote, under the label of its [`Inline::NoteRef`].
    Footnote {
        /// The label, for example `1`.
        label: String,
        /// Its text.
        blocks: Vec<Block>,
    },
    /// What belongs to the document beside its pages.
    Aside {
        /// What it is.
        kind: AsideKind,
        /// Who wrote it, or what it is called; empty if unknown.
        by: String,
        /// Its text.
        blocks: Vec<Block>,
    },
    /// A picture, by its description.
    Picture(String),
    /// A picture in an Office file, which OCR may read. It shows nothing itself.
    PictureFile {
        /// The name of its part in the file.
        part: String,
        /// Whether the file describes it, too.
        described: bool,
    },
    /// Text that is markdown already.
    Markdown(String),
}

/// What an aside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsideKind {
    /// Speaker notes of a slide.
    SpeakerNotes,
    /// A comment on the text.
    Comment,
    /// An annotation of a page.
    Annotation,
    /// An attached file that was not read: its name only.
    Attachment,
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListItem {
    /// The number or letter that the page shows, with its punctuation (`3.`, `(b)`); `None`: a bullet.
    pub marker: Option<String>,
    /// Its text; nested lists stand in it.
    pub blocks: Vec<Block>,
}

/// A table. Rows may have different lengths; a cell may span columns and rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The words above or below the table that name it; empty if there are none.
    pub caption: Vec<Inline>,
    /// How many of the first rows are column headings; 0 if the file does not say.
    pub header_rows: usize,
    /// The rows, each with the cells that begin in it.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Its content.
    pub blocks: Vec<Block>,
    /// Columns that it covers, at least 1.
    pub columns: u32,
    /// Rows that it covers, at least 1.
    pub rows: u32,
}

impl Cell {
    /// A cell of one column and one row.
    pub fn new(blocks: Vec<Block>) -> Self {
        Self { blocks, columns: 1, rows: 1 }
    }

    /// A cell of one column and one row that holds `text`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(vec![Block::paragraph(text)])
    }
}

/// A part of a line of text.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// Plain words. Markup characters in it are text.
    Text(String),
    /// The line ends here, as the author set it.
    LineBreak,
    /// Strong text.
    Strong(Vec<Inline>),
    /// Emphasised text.
    Emphasis(Vec<Inline>),
    /// Text that is struck through on the page.
    Deleted(Vec<Inline>),
    /// Raised text.
    Superscript(String),
    /// Lowered text.
    Subscript(String),
    /// Code.
    Code(String),
    /// A formula within a line, as LaTeX.
    Formula(String),
    /// A link.
    Link {
        /// An absolute URL.
        target: String,
        /// What is shown.
        text: Vec<Inline>,
    },
    /// The mark of a footnote.
    NoteRef(String),
}

impl Inline {
    /// Plain words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl Block {
    /// A paragraph of plain words.
    pub fn paragraph(text: impl Into<String>) -> Self {
        BlockKind::Paragraph(vec![Inline::text(text)]).into()
    }

    /// A heading of plain words.
    pub fn heading(level: u8, text: impl Into<String>) -> Self {
        BlockKind::Heading { level, text: vec![Inline::text(text)] }.into()
    }

    /// The beginning of page, slide or sheet `number`, from 1.
    pub fn page(number: u32) -> Self {
        BlockKind::Page(number).into()
    }
}

/// What a reader must know about the text beside the text. Names no content of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "notice")]
pub enum Notice {
    /// The file ends too early; what it holds was read.
    Truncated,
    /// Pages without text that could be read, because they are pictures.
    PicturePages {
        /// Their numbers, the first 100.
        pages: Vec<u32>,
        /// How many there are.
        count: u32,
    },
    /// Pages that failed.
    FailedPages {
        /// Their numbers, the first 100.
        pages: Vec<u32>,
        /// How many there are.
        count: u32,
    },
    /// Pages whose pictures were read by OCR.
    OcrPages {
        /// What read them.
        engine: OcrEngine,
        /// Their numbers, the first 100.
        pages: Vec<u32>,
        /// How many there are.
        count: u32,
        /// How sure the engine is of their letters, 0 to 100.
        sure: u8,
    },
    /// Pictures, in a format without pages, that were read by OCR.
    OcrPictures {
        /// What read them.
        engine: OcrEngine,
        /// How many there are.
        count: u32,
        /// How sure the engine is of their letters, 0 to 100.
        sure: u8,
    },
    /// Pages that OCR could not read.
    OcrFailed {
        /// Their numbers, the first 100.
        pages: Vec<u32>,
        /// How many there are.
        count: u32,
    },
    /// Languages whose letters the engine that read pages does not know.
    OcrLanguages {
        /// Their names, as the settings have them.
        languages: String,
    },
    /// Something that a reader of the pages does not see was left out.
    LeftOut {
        /// What it is.
        what: LeftOut,
        /// How many there are.
        count: u32,
    },
}

/// What reads pictures of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OcrEngine {
    /// Tesseract, a program that is installed.
    Tesseract,
    /// The one built in.
    Builtin,
}

impl OcrEngine {
    /// Its name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tesseract => "tesseract",
            Self::Builtin => "builtin",
        }
    }
}

/// What reads pictures on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcrFound {
    /// Tesseract, or the folder of the built-in engine's models.
    pub at: std::path::PathBuf,
    /// Languages of the settings that it can't read.
    pub unknown: Vec<String>,
}

/// What was left out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Sheets that are hidden.
    HiddenSheets,
    /// Rows or columns that are hidden.
    HiddenCells,
    /// Slides that are hidden.
    HiddenSlides,
    /// Layers that are switched off.
    HiddenLayers,
    /// Text that is hidden or invisible.
    HiddenText,
    /// Running heads and page numbers that do not come back on other pages.
    RunningHeads,
    /// Attachments of which only the name is known: their kind is not read, or they are scans.
    Attachments,
    /// Pictures without a description.
    Pictures,
    /// Pages some of whose letters have no names, so that only OCR could read them.
    NamelessLetters,
    /// Parts that are nested too deeply to be read in their places; their text is there, without structure.
    DeepParts,
}

impl Notice {
    /// Pages that a notice lists by number.
    pub const LISTED_PAGES: usize = 100;

    /// The notice that `count` of `what` were left out; `None` if it is 0.
    pub fn left_out(what: LeftOut, count: usize) -> Option<Self> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (count > 0).then_some(Self::LeftOut { what, count })
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("The file ends too early: a part of it is missing. What it holds was read."),
            Self::PicturePages { pages, count } => {
                write!(f, "{count} {} no text, only a picture: {}.", have(*count, "page"), listed(pages, *count))
            }
            Self::FailedPages { pages, count } => {
                write!(f, "{count} {} couldn't be read: {}.", plural(*count, "page"), listed(pages, *count))
            }
            Self::OcrPages { engine, pages, count, sure } => {
                let (engine, what, pages) = (engine.as_str(), plural(*count, "page"), listed(pages, *count));
                write!(f, "Read by OCR ({engine}, {sure} % sure): {count} {what}: {pages}.")
            }
            Self::OcrPictures { engine, count, sure } => {
                write!(f, "Read by OCR ({}, {sure} % sure): {count} {}.", engine.as_str(), plural(*count, "picture"))
            }
            Self::OcrFailed { pages, count } => {
                let what = plural(*count, "page");
                write!(f, "{count} {what} couldn't be read by OCR: {}.", listed(pages, *count))
            }
            Self::OcrLanguages { languages } => write!(
                f,
                "The built-in OCR can't read these of OCR_LANGUAGES: {languages}. Install Tesseract with their data on the worker."
            ),
            Self::LeftOut { what, count } => write!(f, "Left out: {count} {}.", plural(*count, what.name())),
        }
    }
}

impl LeftOut {
    /// The name of one of them.
    fn name(self) -> &'static str {
        match self {
            Self::HiddenSheets => "hidden sheet",
            Self::HiddenCells => "hidden row or column",
            Self::HiddenSlides => "hidden slide",
            Self::HiddenLayers => "hidden layer",
            Self::HiddenText => "hidden text",
            Self::RunningHeads => "line at the edge of a page (running head or page number)",
            Self::Attachments => "attachment without its text",
            Self::Pictures => "picture without a description",
            Self::NamelessLetters => "page with lines whose font doesn't say its letters (OCR reads them)",
            Self::DeepParts => "part nested too deeply for a structure",
        }
    }
}

fn plural(count: u32, noun: &str) -> String {
    match noun.split_once(' ') {
        _ if count == 1 => noun.to_owned(),
        // “parts nested …”, “pictures without …”, but “hidden sheets”.
        Some((first, rest)) if matches!(first, "attachment" | "line" | "page" | "picture" | "part") => {
            format!("{first}s {rest}")
        }
        _ => format!("{noun}s"),
    }
}

fn have(count: u32, noun: &str) -> String {
    format!("{} {}", plural(count, noun), if count == 1 { "has" } else { "have" })
}

fn listed(pages: &[u32], count: u32) -> String {
    let shown: Vec<String> = pages.iter().map(u32::to_string).collect();
    let more = if (shown.len() as u64) < u64::from(count) { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_sentences() {
        let sentence = |what, count| Notice::left_out(what, count).unwrap().to_string();
        assert_eq!(sentence(LeftOut::HiddenSheets, 2), "Left out: 2 hidden sheets.");
        assert_eq!(sentence(LeftOut::Attachments, 1), "Left out: 1 attachment without its text.");
        assert_eq!(Notice::left_out(LeftOut::Pictures, 0), None);
        let pages = Notice::PicturePages { pages: vec![1, 2], count: 3 };
        assert_eq!(pages.to_string(), "3 pages have no text, only a picture: 1, 2, ….");
    }
}
