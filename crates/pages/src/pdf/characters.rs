//! The characters of a page with their places, as PDFium gives them, each in the frame of its direction.

use std::collections::BTreeMap;

use pdfium_render::prelude::{
    PdfPageObject, PdfPageText, PdfPageTextChar, PdfPageTextObject, PdfPageTextRenderMode,
    PdfiumLibraryBindingsAccessor,
};

use super::{
    garbage::{self, Controls},
    geometry::{Rect, Sheet, Turn},
    twins::{self, TextObject},
};
use reading::symbols;

/// Characters of one page that are read; the longest real pages (directories in small print) have 30,000.
const MAX_CHARS: usize = 200_000;
/// The greatest angle between text and the nearest quarter turn that still counts as that turn, in degrees.
const STRAIGHT_DEGREES: f32 = 8.0;
/// How far the ink of a letter may stand out of its advance, in parts of the font's size.
const MAX_OVERHANG: f32 = 0.3;
/// Lengths that differ by less are the same, in points.
const SAME: f32 = 0.01;
/// The size of a font that does not say its own, in points.
const DEFAULT_SIZE: f32 = 10.0;

/// A character and its place in the frame of its direction.
#[derive(Debug, Clone)]
pub(super) struct Char {
    pub(super) c: char,
    /// From its origin to the next one's, or to the end of its ink where that stands out, from the font's descent to its ascent.
    pub(super) rect: Rect,
    /// The y of the line on which it stands.
    pub(super) base: f32,
    pub(super) turn: Turn,
    /// The number of the drawing operation that it belongs to, in the order of the page's content.
    pub(super) run: u32,
    /// A blank stands before it in the content.
    pub(super) spaced: bool,
    pub(super) look: Look,
}

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Height of the font on the page, in points.
    pub(super) size: f32,
    pub(super) bold: bool,
    /// A font in which all letters are equally wide.
    pub(super) fixed: bool,
    /// Neither filled nor stroked.
    pub(super) invisible: bool,
    /// Neither upright nor sideways: a watermark, or a label of a chart.
    pub(super) slanted: bool,
}

/// The characters of a page in the order of its content.
#[derive(Debug, Default)]
pub(super) struct Characters {
    pub(super) chars: Vec<Char>,
    /// Characters outside the visible part of the page.
    pub(super) outside: usize,
    /// Characters whose font does not say which letters they are.
    pub(super) unknown: usize,
    /// Of these, characters of fonts that number their glyphs.
    pub(super) numbers: usize,
}

/// Reads the characters of a page. `objects` are the text objects of its content.
pub(super) fn read(text: &PdfPageText<'_>, objects: &[TextObject], sheet: &Sheet) -> Characters {
    let mut reader = Reader {
        sheet,
        found: Characters::default(),
        run: Run::default(),
        spaced: false,
        guessed: false,
        guesses: Vec::new(),
        half: None,
        runs: BTreeMap::new(),
        names: Vec::new(),
        fonts: vec![0],
        controls: Controls::new(),
    };
    let mut last = None;
    for char in text.chars().iter().take(MAX_CHARS) {
        if char.is_generated().unwrap_or(false) {
            // PDFium's own blanks and line ends, from its idea of words and lines.
            reader.guessed |= char.unicode_value() == u32::from(' ');
            continue;
        }
        reader.add(&char, last.as_ref());
        last = Some(char);
    }
    reader.restore_twins(objects);
    let mut found = reader.found;
    // Without control characters, nothing is numbered.
    if !reader.controls.is_empty() {
        let before = found.chars.len();
        found.numbers = garbage::remove_numbers(&mut found.chars, &reader.fonts, &reader.controls);
        found.unknown += before - found.chars.len();
    }
    for run in found.chars.chunk_by_mut(|a, b| a.run == b.run) {
        correct_direction(run, sheet);
    }
    found
}

/// Turns the characters of one run if they follow each other in another direction than that in which they stand: vertical
/// writing, and text that is mirrored twice.
fn correct_direction(run: &mut [Char], sheet: &Sheet) {
    let Some(first) = run.first().filter(|first| !first.look.slanted) else { return };
    let steps = run.windows(2).map(|pair| {
        let ((x, y), (next_x, next_y)) = (pair[0].rect.middle(), pair[1].rect.middle());
        (next_x - x, next_y - y)
    });
    let (x, y) = steps.fold((0.0, 0.0), |(x, y), (dx, dy)| (x + dx, y + dy));
    let turns = if y > 2.0 * x.abs() && y > 0.5 * first.look.size && run.iter().all(|char| is_upright_script(char.c)) {
        1
    } else if x < -0.5 * first.look.size && -x > 2.0 * y.abs() && !run.iter().any(|char| is_right_to_left(char.c)) {
        2
    } else {
        return;
    };
    for char in run {
        let shown = sheet.rect_from_frame(char.turn, &char.rect);
        char.turn = (char.turn + turns) % 4;
        char.rect = sheet.rect_to_frame(char.turn, &shown);
        char.base = char.rect.bottom - 0.2 * char.look.size;
    }
}

/// Whether `c` is written from right to left.
pub(super) fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

/// Whether `c` belongs to the scripts of East Asia, which stand without blanks.
pub(super) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Whether `c` belongs to a script of South-East Asia that has blanks between phrases and not between words.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Whether vertical writing leaves `c` upright.
fn is_upright_script(c: char) -> bool {
    is_cjk(c) || c.is_ascii_digit() || ('\u{ac00}'..='\u{d7af}').contains(&c)
}

/// The drawing operation whose characters are being read.
#[derive(Default)]
struct Run {
    handle: usize,
    number: u32,
    look: Option<Look>,
    /// Origin of the last character.
    origin: Option<(f32, f32)>,
    /// The symbol font that it is of.
    symbols: Option<&'static str>,
}

impl Run {
    /// The sign that the symbol font has for `code`. Fonts without letters often use the codes of letters; of the others, only
    /// codes of the private area are signs.
    fn sign(&self, code: u32) -> Option<char> {
        let font = self.symbols?;
        let is_sign = (0xf020..=0xf0ff).contains(&code)
            || (0x21..=0xff).contains(&code) && font != "symbol" && font != symbols::NUMBERED;
        symbols::shown(font, code).filter(|_| is_sign)
    }
}

struct Reader<'a> {
    sheet: &'a Sheet,
    found: Characters,
    run: Run,
    spaced: bool,
    /// PDFium sees the end of a word before the next character.
    guessed: bool,
    /// The characters before which a blank is taken from PDFium.
    guesses: Vec<usize>,
    /// The first half of a character that comes as two.
    half: Option<u32>,
    /// The number of each drawing operation by PDFium's handle.
    runs: BTreeMap<usize, u32>,
    /// The names of the fonts.
    names: Vec<String>,
    /// The font of each drawing operation, by its place in `names`.
    fonts: Vec<usize>,
    controls: Controls,
}

impl Reader<'_> {
    /// Adds `char`, which follows `last`.
    fn add(&mut self, char: &PdfPageTextChar<'_>, last: Option<&PdfPageTextChar<'_>>) {
        let code = char.unicode_value();
        // A character beyond the first plane comes as two halves: mathematical italics, rare ideographs.
        if (0xd800..0xdc00).contains(&code) {
            self.half = Some(code);
            return;
        }
        let code = match self.half.take() {
            Some(half) if (0xdc00..0xe000).contains(&code) => 0x1_0000 + ((half - 0xd800) << 10) + (code - 0xdc00),
            Some(_) | None => code,
        };
        let guessed = std::mem::take(&mut self.guessed);
        self.enter_run(char);
        let Some(c) = self.run.sign(code).or_else(|| readable(code)) else {
            if code != 0 {
                self.found.unknown += 1;
            }
            if (1..0x20).contains(&code) {
                let font = self.fonts.last().copied().unwrap_or_default();
                *self.controls.entry((font, code)).or_default() += 1;
            }
            return;
        };
        if c.is_whitespace() {
            self.spaced = true;
            return;
        }
        let (Some(look), Ok(bounds), Ok((x, y))) = (self.run.look, char.loose_bounds(), char.origin()) else {
            return;
        };
        let origin = (x.value, y.value);
        let corners = [bounds.left().value, bounds.bottom().value, bounds.right().value, bounds.top().value];
        if !corners.iter().chain([&origin.0, &origin.1]).all(|value| value.is_finite()) {
            return;
        }
        let rect = self.sheet.shown_rect(corners);
        let (width, height) = self.sheet.size();
        if !(Rect { left: 0.0, top: 0.0, right: width, bottom: height }).contains(rect.middle()) {
            self.found.outside += 1;
            return;
        }
        let (turn, slanted) = self.direction(char);
        let mut rect = self.sheet.rect_to_frame(turn, &rect);
        // The second letter of a ligature: PDFium gives its letters parts of its place, or each the whole. It then stands at the end.
        let is_whole = |before: &Char| before.rect.shared_width(&rect) > 0.5 * rect.width();
        if self.run.origin == Some(origin) && self.found.chars.last().is_some_and(is_whole) {
            match is_right_to_left(c) {
                true => rect.right = rect.left,
                false => rect.left = rect.right,
            }
        }
        self.run.origin = Some(origin);
        let (begin, base) = self.sheet.to_frame(turn, self.sheet.shown(origin));
        let stands_out = c.is_alphanumeric()
            && !is_upright_script(c)
            && !is_right_to_left(c)
            && (SAME..MAX_OVERHANG * look.size).contains(&(begin - rect.left));
        if stands_out {
            rect.left = begin.min(rect.right);
        }
        let spaced = std::mem::take(&mut self.spaced);
        // Where the ink of a slanted letter stands out, its advance is not known, and the gap behind it looks narrow.
        if guessed && !spaced && !is_right_to_left(c) && last.is_some_and(ink_stands_out) {
            self.guesses.push(self.found.chars.len());
        }
        let look = Look { slanted, ..look };
        self.found.chars.push(Char { c, rect, base, turn, run: self.run.number, spaced, look });
    }

    /// Adds the doubled letters that PDFium leaves out, and the blanks that it sees and no gap shows.
    fn restore_twins(&mut self, objects: &[TextObject]) {
        let chars = &mut self.found.chars;
        let twins = twins::missing(chars, objects, &self.runs, self.sheet);
        for guess in std::mem::take(&mut self.guesses) {
            // What looked like a blank is the place of a letter.
            if !twins.iter().any(|twin| twin.after + 1 == guess) {
                chars[guess].spaced = true;
            }
        }
        for twin in twins.into_iter().rev() {
            chars.splice(twin.after + 1..twin.after + 1, twin.chars);
        }
    }

    /// Notices the beginning of another drawing operation. Its font is looked up only once.
    fn enter_run(&mut self, char: &PdfPageTextChar<'_>) {
        let Ok(object) = char.text_object() else {
            self.run.look.get_or_insert(Look {
                size: DEFAULT_SIZE,
                bold: false,
                fixed: false,
                invisible: false,
                slanted: false,
            });
            return;
        };
        let mode = object.render_mode();
        let handle = handle_of(object);
        if handle == self.run.handle && self.run.look.is_some() {
            return;
        }
        let name = char.font_name().to_ascii_lowercase();
        let bold = ["bold", "black", "heavy", "semibold", "demi", "cmbx", "sfbx", "ecbx"]
            .iter()
            .any(|word| name.contains(word))
            || name.ends_with("medi")
            || mode == PdfPageTextRenderMode::FilledThenStroked;
        let size = char.matrix().map_or(1.0, |matrix| (matrix.c().powi(2) + matrix.d().powi(2)).sqrt())
            * char.unscaled_font_size().value;
        let look = Look {
            size: if size.is_finite() && size.abs() > 0.1 { size.abs() } else { DEFAULT_SIZE },
            bold,
            fixed: ["courier", "mono", "consol", "typewriter", "cmtt"].iter().any(|word| name.contains(word)),
            invisible: mode == PdfPageTextRenderMode::Invisible || mode == PdfPageTextRenderMode::InvisibleClipping,
            slanted: false,
        };
        let font = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        self.fonts.push(font);
        let symbols = symbols::family(&self.names[font]);
        self.run = Run { handle, number: self.run.number + 1, look: Some(look), origin: None, symbols };
        self.runs.insert(handle, self.run.number);
    }

    /// The turn nearest to the character's direction, and whether it is far from it.
    fn direction(&self, char: &PdfPageTextChar<'_>) -> (Turn, bool) {
        let mut degrees = char.angle_degrees().unwrap_or(0.0) + 90.0 * f32::from(self.sheet.rotation());
        // A font of negative size stands on its head.
        if char.unscaled_font_size().value < 0.0 {
            degrees += 180.0;
        }
        if !degrees.is_finite() {
            return (0, false);
        }
        let nearest = (degrees / 90.0).round();
        let turn = nearest.rem_euclid(4.0) as Turn;
        (turn, (degrees - nearest * 90.0).abs() > STRAIGHT_DEGREES)
    }
}

/// PDFium's number for an object, while its page is open.
fn handle_of(object: PdfPageTextObject<'_>) -> usize {
    let object = PdfPageObject::from(object);
    object.bindings().get_handle_from_object(&object) as usize
}

/// Whether the ink of a character reaches to the end of its box or beyond its advance.
fn ink_stands_out(char: &PdfPageTextChar<'_>) -> bool {
    let (Ok(loose), Ok(tight)) = (char.loose_bounds(), char.tight_bounds()) else { return false };
    let reaches = |a: f32, b: f32| (a - b).abs() < SAME;
    let degrees = char.angle_degrees().unwrap_or(0.0).rem_euclid(360.0);
    match (degrees / 90.0).round() as u32 % 4 {
        0 => reaches(loose.right().value, tight.right().value),
        1 => reaches(loose.bottom().value, tight.bottom().value),
        2 => reaches(loose.left().value, tight.left().value),
        _ => reaches(loose.top().value, tight.top().value),
    }
}

/// The character with this code; `None` if it stands for nothing that can be read.
fn readable(code: u32) -> Option<char> {
    // PDFium's mark for a hyphen at the end of a line.
    if code == 2 {
        return Some('-');
    }
    match char::from_u32(code)? {
        c if c.is_whitespace() => Some(' '),
        '\u{e000}'..='\u{f8ff}' | '\u{fffc}'..='\u{ffff}' | '\u{feff}' | '\u{f0000}'..='\u{10ffff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}
