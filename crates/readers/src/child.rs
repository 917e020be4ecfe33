//! The child process: sets its limits, parses one file, writes the answer and ends.
//!
//! It reads no configuration and has no secret and no open file but its pipes. If it aborts, overflows its stack or runs
//! out of memory or time, only this document fails.

use std::{
    fs::File,
    io::{self, Read, Write},
    panic,
    path::Path,
    process::ExitCode,
    thread,
};

use rustix::process::{Resource, Rlimit, Signal, getpgrp, getpid, getrlimit, kill_current_process_group, setrlimit};

use super::{
    detect::{self, Content, Declared},
    mail, outcome, pictures,
    protocol::{self, Parsed, Request},
};
use domain::{
    document::Document,
    markdown::tidy,
    ports::{FileKind, ParseLimits},
};
use markup::{csv, epub, html, markdown, rtf};
use office::{open_document, slides, word};
use pages::{
    image,
    ocr::{Ocr, PageText},
    pdf,
};
use reading::{Reading, fault::Fault, package::Package};

/// Stack of the thread that parses, in bytes: parsers recurse into nested documents.
const PARSE_STACK_BYTES: usize = 64 << 20;
/// Open files: three pipes, the document, and some in reserve.
const MAX_OPEN_FILES: u64 = 16;

/// Runs the child process, `app parse-child`.
///
/// Stdin and stdout carry a private protocol. Exits with 0 after any answer, and with 1 if it cannot read the request
/// or write the answer.
pub fn run_child() -> ExitCode {
    prepare();
    let Ok((request, known)) = protocol::read_request(io::stdin().lock()) else {
        return ExitCode::FAILURE;
    };
    if exit_with_parent().is_err() {
        return ExitCode::FAILURE;
    }
    let limits = request.limits;
    let answer = with_limits(&limits, move || parse(&request, known));
    match protocol::write_answer(io::stdout().lock(), answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints no panics: a message can quote the document.
pub(super) fn prepare() {
    panic::set_hook(Box::new(|_| {}));
}

/// Exits as soon as stdin closes, so that no child outlives a killed parent; nor does its OCR, if they are a group of their own.
pub(super) fn exit_with_parent() -> io::Result<()> {
    let wait = || {
        let mut byte = [0];
        while matches!(io::stdin().read(&mut byte), Ok(1)) {}
        if getpgrp() == getpid() {
            let _ = kill_current_process_group(Signal::KILL);
        }
        std::process::exit(1);
    };
    thread::Builder::new().stack_size(64 << 10).spawn(wait).map(drop)
}

/// Lowers this process's limits for good, before it reads the document.
fn set_limits(limits: &ParseLimits) -> io::Result<()> {
    // If the machine's memory ends all the same, the kernel ends this process and not the worker. Only Linux has the file.
    _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // Rounded up to the seconds that the kernel counts.
    let cpu = limits.time.as_secs().saturating_add(1);
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES)?;
    // The soft limit sends SIGXCPU, which tells the parent the reason; the hard limit sends SIGKILL, which does not.
    limit(Resource::Cpu, cpu, cpu.saturating_add(1))?;
    let memory = limit(Resource::As, limits.memory_bytes, limits.memory_bytes);
    // macOS refuses to set this limit.
    if cfg!(target_vendor = "apple") { Ok(()) } else { memory }
}

/// Sets one limit, unless it is lower already.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let new = Rlimit { current: Some(soft.min(ceiling)), maximum: Some(hard.min(ceiling)) };
    setrlimit(resource, new).map_err(io::Error::from)
}

/// Sets the limits, then works on a stack of its own.
pub(super) fn with_limits<T: Send + 'static>(
    limits: &ParseLimits,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    set_limits(limits).map_err(|error| Fault::unavailable(&format!("limits: {}", error.kind())))?;
    let limit_bytes = limits.memory_bytes;
    match thread::Builder::new().stack_size(PARSE_STACK_BYTES).spawn(work).map(thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => Err(Fault::crashed("a panic")),
        Err(_) => Err(Fault::Memory { limit_bytes }),
    }
}

fn parse(request: &Request, known: Vec<PageText>) -> Result<Parsed, Fault> {
    let limits = &request.limits;
    let bytes = read(&request.path, limits)?;
    let declared = Declared::new(&request.mime, &request.filename);
    let mut ocr = Ocr::new(request.ocr.clone(), known);
    let (kind, reading) = reading(bytes, &declared, request, 0, &mut ocr)?;
    let (markdown, layout, pages, notices) = reading.rendered();
    reading::limits::check_output(limits, markdown.len())?;
    if kind != FileKind::Pdf && is_blank(&markdown) {
        return Err(if declares_entities(&read(&request.path, limits)?) { Fault::Entities } else { Fault::Blank });
    }
    Ok(Parsed { kind, pages, markdown, layout, notices })
}

/// Reads the bytes of a file, or of an attachment that stands `depth` levels deep in one.
pub(super) fn reading(
    bytes: Vec<u8>,
    declared: &Declared,
    request: &Request,
    depth: usize,
    ocr: &mut Ocr,
) -> Result<(FileKind, Reading), Fault> {
    let limits = &request.limits;
    Ok(match detect::content(bytes, declared)? {
        Content::Pdf(bytes) => {
            let _ = io::stderr().write_all(outcome::PDF_MARK);
            let document = pdf::read(&bytes, request.pdf_library.as_deref(), (limits, &request.skipped), ocr)?;
            (FileKind::Pdf, document.into())
        }
        Content::Office(kind, bytes) => {
            let document = read_office(kind, &bytes, limits)?;
            let has_pictures = matches!(kind, FileKind::Docx | FileKind::Pptx | FileKind::Odt | FileKind::Odp);
            (kind, if has_pictures { pictures::read_within(document, &bytes, limits, ocr)? } else { document }.into())
        }
        Content::Bytes(kind, bytes) => {
            let document = match kind {
                FileKind::Rtf => rtf::read(&bytes),
                FileKind::Epub => epub::read(&bytes)?,
                FileKind::Png | FileKind::Jpeg | FileKind::Tiff => image::read(kind, &bytes, limits, ocr)?,
                FileKind::Msg => mail::read_outlook(&bytes, request, depth, ocr)?,
                _ => mail::read(&bytes, request, depth, ocr)?,
            };
            (kind, document.into())
        }
        Content::Text(FileKind::Html, text) => (FileKind::Html, html::document(&text).into()),
        Content::Text(FileKind::Csv, text) => (FileKind::Csv, csv::read(&text, limits)?),
        Content::Text(FileKind::Markdown, text) => {
            (FileKind::Markdown, Reading::Markdown { text: tidy(&markdown::shown(&text)), pages: 0 })
        }
        Content::Text(kind, text) => (kind, Reading::Markdown { text: tidy(&text), pages: 0 }),
    })
}

/// Whether the main part of an Office document declares entities of its own.
fn declares_entities(bytes: &[u8]) -> bool {
    let text = || {
        let mut package = Package::open(bytes).ok()?;
        let main = package.main_part().ok()??;
        package.xml(&main).ok()?
    };
    text().is_some_and(|text| text.contains("<!ENTITY"))
}

/// Whether there is nothing to see.
fn is_blank(markdown: &str) -> bool {
    let invisible = |c: char| c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}');
    markdown.chars().all(invisible)
}

fn read_office(kind: FileKind, bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    match kind {
        FileKind::Docx => word::read(bytes),
        FileKind::Pptx => slides::read(bytes, limits),
        FileKind::Xlsx => sheets::read_xlsx(bytes, limits),
        FileKind::Xls => sheets::read_xls(bytes, limits),
        FileKind::Ods => sheets::read_ods(bytes, limits),
        FileKind::Odt | FileKind::Odp => open_document::read(bytes, limits),
        other => Err(Fault::unsupported(other.description())),
    }
}

/// Reads the whole file. The worker wrote it, so if it can't be read, the machine is at fault.
pub(super) fn read(path: &Path, limits: &ParseLimits) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::OutOfMemory => Fault::Memory { limit_bytes: limits.memory_bytes },
        kind => Fault::unavailable(&format!("file: {kind}")),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(Fault::unavailable("file: not a regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() { Err(Fault::Empty) } else { Ok(bytes) }
}
