//! Reads pictures of pages by OCR, page by page, and tells the parent of each page as soon as it is read.
//!
//! The engine gives lines of words with their places; `pdf::scan` makes blocks of them, as of the lines of a PDF.

mod hocr;
mod tesseract;

use std::{collections::HashMap, io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::bitmap::Bitmap;
use domain::document::{Notice, OcrEngine};
use reading::{fault::Fault, progress::write_page};
use tesseract::Tesseract;

/// How the child reads pictures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// `None`: not at all.
    pub engine: Option<Engine>,
    /// Tesseract's names of the languages, joined by `+`.
    pub languages: String,
    /// Processor time that one page may take.
    pub page_cpu: Duration,
    /// Whether pages with text are read as pictures, too.
    pub every_page: bool,
}

/// What reads pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Tesseract, a program of its own.
    Tesseract {
        /// Its executable.
        program: PathBuf,
        /// Its folder of language data, if it is not the usual one.
        data: Option<PathBuf>,
    },
}

/// What an engine read on a page. Lengths are in pixels of the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageText {
    /// Its number in the file, from 1.
    pub page: u32,
    /// What read it.
    pub engine: OcrEngine,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels per inch.
    pub dpi: u32,
    /// From top to bottom, as the engine has them.
    pub lines: Vec<Line>,
}

/// A line of words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Quarter turns clockwise from upright.
    pub turn: u8,
    /// From the top of the highest letter to the foot of the lowest.
    pub size: f32,
    /// How far the line falls from left to right, per pixel.
    pub slope: f32,
    /// How far its base stands over the bottom of its box.
    pub base: f32,
    /// From left to right.
    pub words: Vec<Word>,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Its letters.
    pub text: String,
    /// Left, top, right and bottom.
    pub rect: [f32; 4],
    /// How sure the engine is, 0 to 100.
    pub sure: u8,
}

impl PageText {
    /// Letters and digits.
    pub fn letters(&self) -> usize {
        let words = self.lines.iter().flat_map(|line| &line.words);
        words.map(|word| word.text.chars().filter(|c| c.is_alphanumeric()).count()).sum()
    }
}

/// How sure the engine is of the letters, 0 to 100; `None` if there are none.
fn sureness(lines: &[Line]) -> Option<u8> {
    let words = || lines.iter().flat_map(|line| &line.words);
    let letters: usize = words().map(|word| word.text.len()).sum();
    let sum: usize = words().map(|word| word.text.len() * usize::from(word.sure)).sum();
    u8::try_from(sum.checked_div(letters)?).ok()
}

/// Refuses an engine that lacks languages or can't be used.
pub fn check(settings: &Settings) -> Result<(), Fault> {
    settings.tesseract().map_or(Ok(()), |tesseract| tesseract.check_languages())
}

impl Settings {
    fn tesseract(&self) -> Option<Tesseract<'_>> {
        let Engine::Tesseract { program, data } = self.engine.as_ref()?;
        Some(Tesseract { program, data: data.as_deref(), settings: self })
    }
}

/// Why a page was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The page is at fault: it took too much time or memory, or the engine broke on it.
    Page,
    /// The engine was killed, or cannot be started.
    Machine,
}

/// Reads pages of one document.
pub struct Ocr {
    settings: Settings,
    known: HashMap<u32, PageText>,
    /// Whether the engine has all languages, once it was asked.
    ready: bool,
    /// Pages with text, with how sure the engine is; and those that failed.
    read: Vec<(u32, u8)>,
    engine: OcrEngine,
    failed: Vec<u32>,
    tried: bool,
}

impl Ocr {
    /// An engine that knows the pages read before.
    pub fn new(settings: Settings, known: Vec<PageText>) -> Self {
        Self {
            settings,
            known: known.into_iter().map(|text| (text.page, text)).collect(),
            ready: false,
            read: Vec::new(),
            engine: OcrEngine::Tesseract,
            failed: Vec::new(),
            tried: false,
        }
    }

    /// Whether there is an engine.
    pub fn is_on(&self) -> bool {
        self.settings.engine.is_some()
    }

    /// Whether pages with text are read, too.
    pub fn is_for_every_page(&self) -> bool {
        self.is_on() && self.settings.every_page
    }

    /// Reads page `number` of `pages`, which `picture` makes; `None` if it could not be read. A page without text has no
    /// lines.
    pub fn read(
        &mut self,
        number: u32,
        pages: u32,
        picture: impl FnOnce() -> Option<Bitmap>,
    ) -> Result<Option<PageText>, Fault> {
        let text = match self.known.remove(&number) {
            Some(text) => Some(text),
            None => self.run(number, pages, picture)?,
        };
        self.tried = true;
        if let Some((text, sure)) = text.as_ref().and_then(|text| Some((text, sureness(&text.lines)?))) {
            self.engine = text.engine;
            self.read.push((number, sure));
        }
        Ok(text)
    }

    /// Notes that a page could not be read at all.
    pub fn fail(&mut self, number: u32) {
        self.failed.push(number);
    }

    /// Whether a page was looked at.
    pub fn has_read(&self) -> bool {
        self.tried
    }

    /// The fault of a document on whose `pages` pages no text was found.
    pub fn nothing(&self, pages: u32) -> Fault {
        if self.failed.is_empty() { Fault::NothingOnPages { pages } } else { Fault::OcrFailed { pages } }
    }

    fn run(
        &mut self,
        number: u32,
        pages: u32,
        picture: impl FnOnce() -> Option<Bitmap>,
    ) -> Result<Option<PageText>, Fault> {
        let Some(tesseract) = self.settings.tesseract() else { return Ok(None) };
        if !self.ready {
            tesseract.check_languages()?;
            self.ready = true;
        }
        let Some(picture) = picture() else { return Ok(None) };
        let lines = match tesseract.read(&picture) {
            Ok(lines) => lines,
            Err(Trouble::Page) => return Ok(None),
            Err(Trouble::Machine) => return Err(Fault::Killed),
        };
        let Bitmap { width, height, dpi, .. } = picture;
        let text = PageText { page: number, engine: OcrEngine::Tesseract, width, height, dpi, lines };
        let told = serde_json::to_vec(&text)
            .map_err(io::Error::from)
            .and_then(|json| write_page(io::stdout().lock(), number, pages, &json));
        told.map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        Ok(Some(text))
    }

    /// What the reader must know.
    pub fn notices(&self) -> impl Iterator<Item = Notice> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let sum: usize = self.read.iter().map(|(_, sure)| usize::from(*sure)).sum();
        let read = (!self.read.is_empty()).then(|| Notice::OcrPages {
            engine: self.engine,
            pages: self.read.iter().map(|(page, _)| *page).take(Notice::LISTED_PAGES).collect(),
            count: count(self.read.len()),
            sure: u8::try_from(sum / self.read.len()).unwrap_or(100),
        });
        let failed = (!self.failed.is_empty()).then(|| Notice::OcrFailed {
            pages: self.failed.iter().copied().take(Notice::LISTED_PAGES).collect(),
            count: count(self.failed.len()),
        });
        [read, failed].into_iter().flatten()
    }
}
