//! Reads pictures of pages by OCR, page by page, and tells the parent of each page as soon as it is read.
//!
//! The engine gives lines of words with their places; `pdf::scan` makes blocks of them, as of the lines of a PDF.

mod builtin;
mod hocr;
mod tesseract;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::bitmap::Bitmap;
use builtin::Builtin;
pub use builtin::{OCR_COMMAND, Picture, read_picture};
use domain::document::{Notice, OcrEngine};
use reading::{fault::Fault, progress::write_page};
use tesseract::Tesseract;

/// Below this confidence a line is noise: dust, a stamp, the pattern of a picture.
const NOISE: u8 = 30;
/// The same in pictures beside text, which are more often photos than pages.
const NOISE_OF_PICTURES: u8 = 65;

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
    /// The one built in, in a process of its own for each page.
    Builtin {
        /// The folder of its models.
        models: PathBuf,
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
pub fn sureness(lines: &[Line]) -> Option<u8> {
    let words = || lines.iter().flat_map(|line| &line.words);
    let letters: usize = words().map(|word| word.text.len()).sum();
    let sum: usize = words().map(|word| word.text.len() * usize::from(word.sure)).sum();
    u8::try_from(sum.checked_div(letters)?).ok()
}

/// Lines of which the engine is surer than of noise.
fn kept(mut lines: Vec<Line>, noise: u8) -> Vec<Line> {
    lines.retain(|line| sureness(std::slice::from_ref(line)).is_some_and(|sure| sure >= noise));
    lines
}

/// Refuses an engine that lacks languages or can't be used.
pub fn check(settings: &Settings) -> Result<(), Fault> {
    settings.engine.as_ref().map_or(Ok(()), |engine| engine.check(settings))
}

/// Those of the languages, joined by `+`, whose letters the built-in engine does not know.
pub fn unknown_languages(languages: &str) -> Vec<&str> {
    builtin::unknown_languages(languages)
}

impl Engine {
    fn check(&self, settings: &Settings) -> Result<(), Fault> {
        match self {
            Self::Tesseract { program, data } => {
                Tesseract { program, data: data.as_deref(), settings }.check_languages()
            }
            Self::Builtin { models } => Builtin { models, settings }.check(),
        }
    }

    fn read(&self, picture: &Bitmap, settings: &Settings) -> Result<Vec<Line>, Trouble> {
        match self {
            Self::Tesseract { program, data } => Tesseract { program, data: data.as_deref(), settings }.read(picture),
            Self::Builtin { models } => Builtin { models, settings }.read(picture),
        }
    }

    fn name(&self) -> OcrEngine {
        match self {
            Self::Tesseract { .. } => OcrEngine::Tesseract,
            Self::Builtin { .. } => OcrEngine::Builtin,
        }
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
#[derive(Default)]
pub struct Ocr {
    settings: Settings,
    known: HashMap<u32, PageText>,
    /// Whether the engine has all languages, once it was asked.
    ready: bool,
    /// Pages with text, with how sure the engine is, by the engine that read them: another worker may have another one.
    read: BTreeMap<OcrEngine, Vec<(u32, u8)>>,
    failed: Vec<u32>,
    tried: bool,
    /// How many more pages of files within the document may be read, once one was. These are not stored page by page, and the
    /// parent is not told of them.
    left: Option<u32>,
}

impl Ocr {
    /// An engine that knows the pages read before.
    pub fn new(settings: Settings, known: Vec<PageText>) -> Self {
        Self { settings, known: known.into_iter().map(|text| (text.page, text)).collect(), ..Self::default() }
    }

    /// What `read` makes of a file within the document. In all of these files at most `pages` pages are read.
    pub fn part<T>(&mut self, pages: u32, read: impl FnOnce(&mut Self) -> T) -> T {
        let left = Some(self.left.unwrap_or(pages));
        let mut part = Self { settings: self.settings.clone(), ready: self.ready, left, ..Self::default() };
        let document = read(&mut part);
        (self.left, self.ready) = (part.left, part.ready);
        document
    }

    /// Whether there is an engine, which may read more pages.
    pub fn is_on(&self) -> bool {
        self.settings.engine.is_some() && self.left != Some(0)
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
        self.read_all(number, pages, NOISE, picture)
    }

    /// The same for a page with text, of which `picture` has the pictures only.
    pub fn read_pictures(
        &mut self,
        number: u32,
        pages: u32,
        picture: impl FnOnce() -> Option<Bitmap>,
    ) -> Result<Option<PageText>, Fault> {
        self.read_all(number, pages, NOISE_OF_PICTURES, picture)
    }

    fn read_all(
        &mut self,
        number: u32,
        pages: u32,
        noise: u8,
        picture: impl FnOnce() -> Option<Bitmap>,
    ) -> Result<Option<PageText>, Fault> {
        let text = match self.known.remove(&number) {
            Some(text) => Some(text),
            None => self.run(number, pages, noise, picture)?,
        };
        self.tried = true;
        if let Some((text, sure)) = text.as_ref().and_then(|text| Some((text, sureness(&text.lines)?))) {
            self.read.entry(text.engine).or_default().push((number, sure));
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
        noise: u8,
        picture: impl FnOnce() -> Option<Bitmap>,
    ) -> Result<Option<PageText>, Fault> {
        let Some(engine) = self.settings.engine.as_ref().filter(|_| self.is_on()) else { return Ok(None) };
        if !self.ready {
            engine.check(&self.settings)?;
            self.ready = true;
        }
        let Some(picture) = picture() else { return Ok(None) };
        self.left = self.left.map(|left| left - 1);
        let lines = match engine.read(&picture, &self.settings) {
            Ok(lines) => kept(lines, noise),
            Err(Trouble::Page) => return Ok(None),
            Err(Trouble::Machine) => return Err(Fault::Killed),
        };
        let Bitmap { width, height, dpi, .. } = picture;
        let text = PageText { page: number, engine: engine.name(), width, height, dpi, lines };
        if self.left.is_some() {
            return Ok(Some(text));
        }
        let told = serde_json::to_vec(&text)
            .map_err(io::Error::from)
            .and_then(|json| write_page(io::stdout().lock(), number, pages, &json));
        told.map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        Ok(Some(text))
    }

    /// What the reader must know.
    pub fn notices(&self) -> impl Iterator<Item = Notice> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let read = self.read.iter().map(move |(engine, read)| Notice::OcrPages {
            engine: *engine,
            pages: read.iter().map(|(page, _)| *page).take(Notice::LISTED_PAGES).collect(),
            count: count(read.len()),
            sure: u8::try_from(read.iter().map(|(_, sure)| usize::from(*sure)).sum::<usize>() / read.len())
                .unwrap_or(100),
        });
        let unknown = match self.settings.engine {
            Some(Engine::Builtin { .. }) if self.tried => unknown_languages(&self.settings.languages),
            _ => Vec::new(),
        };
        let unknown = (!unknown.is_empty()).then(|| Notice::OcrLanguages { languages: unknown.join(", ") });
        let failed = (!self.failed.is_empty()).then(|| Notice::OcrFailed {
            pages: self.failed.iter().copied().take(Notice::LISTED_PAGES).collect(),
            count: count(self.failed.len()),
        });
        read.chain(failed).chain(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_left_out() {
        let line = |text: &str, sure| Line {
            turn: 0,
            size: 10.0,
            slope: 0.0,
            base: 0.0,
            words: vec![Word { text: text.into(), rect: [0.0; 4], sure }],
        };
        let lines = vec![line("heron", 95), line("~,", 12)];
        assert_eq!(kept(lines, NOISE).len(), 1);
    }
}
