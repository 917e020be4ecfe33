//! PDF to markdown, page by page.

mod folio;
mod glued;
mod plain;
mod second_look;
mod words;

use std::ops::ControlFlow;

use unpdf::{
    Error, ErrorKind, FormField, Page, PageStreamOptions, ParseEvent, ParseOptions, PdfParser, RenderOptions,
    render::BlockRenderer,
};

use second_look::SecondLook;

use super::{fault::Fault, protocol::Limits};
use domain::markdown;
use domain::ports::page_marker;

/// Fewer letters than this on an average page, in a document made of pictures, are stamps and page numbers, not text.
///
/// Source: scanning programs' marks ("Scanned with CamScanner", a date, a file number) stay below 40 letters.
const MIN_LETTERS_PER_PICTURE_PAGE: u64 = 40;
/// Share of a page that pictures cover when it is a scan; margins are often cropped.
const PICTURE_PAGE_COVERAGE: f32 = 0.5;
/// How far into a file the header of a PDF is looked for, in bytes; programs put mail headers before it.
pub(super) const HEADER_WITHIN_BYTES: usize = 1024;
/// How near to the end of the file a whole PDF has its end mark, in bytes.
const END_MARK_WITHIN_BYTES: usize = 2048;

/// The document's markdown and how many pages it has.
pub(super) fn to_markdown(bytes: &[u8], limits: &Limits) -> Result<(String, u32), Fault> {
    // One thread: another document has the other core, and only this thread has the large stack.
    let options = ParseOptions::new().lenient().sequential();
    let parser = PdfParser::from_bytes_with_options(bytes, options).map_err(|error| fault_of(&error, bytes))?;
    let pages = limits.check_pages(parser.page_count() as usize)?;
    let mut collector = Collector::new(bytes, limits);
    let options = PageStreamOptions { parallel: false, ..PageStreamOptions::default() };
    let quality =
        parser.for_each_page(options, |event| collector.take(event)).map_err(|error| fault_of(&error, bytes))?;
    collector.fault.take().map_or(Ok(()), Err)?;
    // What is left of a damaged file could pass for the whole.
    if pages == 0 || quality.pages_incomplete || collector.failed_pages.saturating_mul(2) > pages {
        return Err(damaged(bytes));
    }
    collector.check_text(pages)?;
    Ok((collector.finish(), pages))
}

/// Puts pages together and watches the limits on the way.
struct Collector<'a> {
    limits: &'a Limits,
    look: SecondLook<'a>,
    renderer: BlockRenderer,
    fields: Vec<FormField>,
    markdown: String,
    letters: u64,
    picture_pages: u32,
    failed_pages: u32,
    fault: Option<Fault>,
}

impl<'a> Collector<'a> {
    fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            limits,
            look: SecondLook::new(bytes, limits),
            renderer: BlockRenderer::new(RenderOptions::new().without_cleanup()),
            fields: Vec::new(),
            markdown: String::new(),
            letters: 0,
            picture_pages: 0,
            failed_pages: 0,
            fault: None,
        }
    }

    fn take(&mut self, event: ParseEvent) -> ControlFlow<()> {
        match event {
            ParseEvent::DocumentStart { form_fields, .. } => self.fields = form_fields,
            ParseEvent::PageParsed(page) => self.add_page(page),
            ParseEvent::PageFailed { page, .. } => {
                self.failed_pages += 1;
                self.start_page(page);
            }
            ParseEvent::Progress { .. } | ParseEvent::DocumentEnd { .. } => {}
        }
        match self.limits.check_output(self.markdown.len()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => {
                self.fault = Some(fault);
                ControlFlow::Break(())
            }
        }
    }

    fn start_page(&mut self, number: u32) {
        markdown::push_paragraphs(&mut self.markdown, &page_marker(number));
    }

    fn add_page(&mut self, mut page: Page) {
        folio::read_columns(&mut page, &self.look);
        page.elements.iter_mut().for_each(plain::simplify);
        let mut text = String::new();
        let mut previous = None;
        for block in &page.elements {
            text.push_str(&self.renderer.render_block_after(previous, block));
            previous = Some(block);
        }
        let text = markdown::tidy(&glued::part(text, page.number, &self.look));
        self.letters += markdown::letters(&text);
        self.picture_pages += u32::from(page.image_coverage >= PICTURE_PAGE_COVERAGE);
        self.start_page(page.number);
        markdown::push_paragraphs(&mut self.markdown, &text);
    }

    /// Refuses pictures of text: the words in them would be missing without a word.
    fn check_text(&self, pages: u32) -> Result<(), Fault> {
        let mostly_pictures = self.picture_pages.saturating_mul(2) > pages;
        let enough = if mostly_pictures { MIN_LETTERS_PER_PICTURE_PAGE * u64::from(pages) } else { 1 };
        if self.letters < enough && self.fields.iter().all(|field| field.display_value().is_empty()) {
            return Err(Fault::NoTextLayer { letters: self.letters, pages });
        }
        Ok(())
    }

    /// The whole text, with what people filled in last: form fields have no place in the pages' own text.
    fn finish(mut self) -> String {
        let filled =
            self.fields.iter().map(|field| (field, field.display_value())).filter(|(_, value)| !value.is_empty());
        let list: String = filled.map(|(field, value)| format!("- {}: {value}\n", field.name)).collect();
        if !list.is_empty() {
            markdown::push_paragraphs(&mut self.markdown, &format!("## Form fields\n\n{}", markdown::tidy(&list)));
        }
        self.markdown
    }
}

fn fault_of(error: &Error, bytes: &[u8]) -> Fault {
    match error.kind() {
        ErrorKind::Encrypted | ErrorKind::InvalidPassword => Fault::Encrypted,
        _ => damaged(bytes),
    }
}

/// A PDF ends with an end mark; one without has lost its tail.
fn damaged(bytes: &[u8]) -> Fault {
    let tail = &bytes[bytes.len().saturating_sub(END_MARK_WITHIN_BYTES)..];
    if tail.windows(5).any(|window| window == b"%%EOF") { Fault::Corrupt } else { Fault::Truncated }
}
