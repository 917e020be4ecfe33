//! Converts a PDF to markdown, page by page.

mod columns;
mod glued;
mod plain;
mod reopened;
mod words;

use std::ops::ControlFlow;

use unpdf::{
    Error, ErrorKind, FormField, Page, PageStreamOptions, ParseEvent, ParseOptions, PdfParser, RenderOptions,
    render::BlockRenderer,
};

use reopened::Reopened;

use super::{
    fault::Fault,
    protocol::{check_output, check_pages},
};
use domain::{
    markdown,
    ports::{ParseLimits, page_marker},
};

/// A document of scanned pages with fewer letters per page than this has no text: the marks of scanning programs
/// ("Scanned with CamScanner", a date, a file number) stay below 40 letters.
const MIN_LETTERS_PER_PICTURE_PAGE: u64 = 40;
/// A page is a scan if pictures cover at least this share of it; margins are often cropped.
const PICTURE_PAGE_COVERAGE: f32 = 0.5;
/// How far into a file the header of a PDF may stand, in bytes: some programs put mail headers before it.
pub(super) const HEADER_WITHIN_BYTES: usize = 1024;
/// How far from the end of the file the end mark of a complete PDF may stand, in bytes.
const END_MARK_WITHIN_BYTES: usize = 2048;

/// The document's markdown and its number of pages.
pub(super) fn to_markdown(bytes: &[u8], limits: &ParseLimits) -> Result<(String, u32), Fault> {
    // On one thread: only this one has the large stack, and other documents use the other cores.
    let options = ParseOptions::new().lenient().sequential();
    let parser = PdfParser::from_bytes_with_options(bytes, options).map_err(|error| fault_of(&error, bytes))?;
    let pages = check_pages(limits, parser.page_count() as usize)?;
    let mut collector = Collector::new(bytes, limits);
    let options = PageStreamOptions { parallel: false, ..PageStreamOptions::default() };
    let quality =
        parser.for_each_page(options, |event| collector.add(event)).map_err(|error| fault_of(&error, bytes))?;
    collector.fault.take().map_or(Ok(()), Err)?;
    // The rest of a damaged file must not pass for the whole.
    if pages == 0 || quality.pages_incomplete || collector.failed_pages.saturating_mul(2) > pages {
        return Err(damaged(bytes));
    }
    collector.check_text(pages)?;
    Ok((collector.finish(), pages))
}

/// Collects the pages' text and checks the limits after each page.
struct Collector<'a> {
    limits: &'a ParseLimits,
    reopened: Reopened<'a>,
    renderer: BlockRenderer,
    fields: Vec<FormField>,
    markdown: String,
    letters: u64,
    picture_pages: u32,
    failed_pages: u32,
    fault: Option<Fault>,
}

impl<'a> Collector<'a> {
    fn new(bytes: &'a [u8], limits: &'a ParseLimits) -> Self {
        Self {
            limits,
            reopened: Reopened::new(bytes, limits),
            renderer: BlockRenderer::new(RenderOptions::new().without_cleanup()),
            fields: Vec::new(),
            markdown: String::new(),
            letters: 0,
            picture_pages: 0,
            failed_pages: 0,
            fault: None,
        }
    }

    fn add(&mut self, event: ParseEvent) -> ControlFlow<()> {
        match event {
            ParseEvent::DocumentStart { form_fields, .. } => self.fields = form_fields,
            ParseEvent::PageParsed(page) => self.add_page(page),
            ParseEvent::PageFailed { page, .. } => {
                self.failed_pages += 1;
                self.start_page(page);
            }
            ParseEvent::Progress { .. } | ParseEvent::DocumentEnd { .. } => {}
        }
        match check_output(self.limits, self.markdown.len()) {
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
        columns::restore(&mut page, &self.reopened);
        page.elements.iter_mut().for_each(plain::simplify);
        let mut text = String::new();
        let mut previous = None;
        for block in &page.elements {
            text.push_str(&self.renderer.render_block_after(previous, block));
            previous = Some(block);
        }
        let text = markdown::tidy(&glued::separate(text, page.number, &self.reopened));
        self.letters += markdown::letters(&text);
        self.picture_pages += u32::from(page.image_coverage >= PICTURE_PAGE_COVERAGE);
        self.start_page(page.number);
        markdown::push_paragraphs(&mut self.markdown, &text);
    }

    /// Refuses scanned pages: their words would be missing from the text without notice.
    fn check_text(&self, pages: u32) -> Result<(), Fault> {
        let mostly_pictures = self.picture_pages.saturating_mul(2) > pages;
        let least = if mostly_pictures { MIN_LETTERS_PER_PICTURE_PAGE * u64::from(pages) } else { 1 };
        if self.letters < least && self.fields.iter().all(|field| field.display_value().is_empty()) {
            return Err(Fault::NoTextLayer { letters: self.letters, pages });
        }
        Ok(())
    }

    /// The whole text, followed by the form fields that are filled in: their values are not part of the pages' text.
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

/// A PDF without an end mark is truncated.
fn damaged(bytes: &[u8]) -> Fault {
    let tail = &bytes[bytes.len().saturating_sub(END_MARK_WITHIN_BYTES)..];
    if tail.windows(5).any(|window| window == b"%%EOF") { Fault::Corrupt } else { Fault::Truncated }
}
