//! The child process: takes its limits, parses one file, answers, ends.
//!
//! It runs before any configuration is read, holds no secret and no open file but its pipes. Whatever it does to
//! itself (abort, overflow its stack, run out of memory or time) costs this one document.

use std::{
    fs::File,
    io::{self, Read},
    panic,
    path::Path,
    process::ExitCode,
    thread,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    detect,
    fault::Fault,
    html, office, pdf,
    protocol::{self, Limits, Parsed, Request},
};
use domain::markdown;
use domain::ports::FileKind;

/// Stack of the thread that parses, in bytes: documents nest deeper than programs do.
const PARSE_STACK_BYTES: usize = 64 << 20;
/// Open files: three pipes, the document, and a few to spare.
const MAX_OPEN_FILES: u64 = 16;

/// The whole life of the child process, as `app parse-child`.
///
/// It speaks a private protocol over stdin and stdout and is of no use to people. Exits 0 once it has answered,
/// whatever the answer; 1 when it could not understand or answer its parent.
pub fn run_child() -> ExitCode {
    // A panic's message can quote the document.
    panic::set_hook(Box::new(|_| {}));
    let Ok(request) = protocol::read_request(io::stdin().lock()) else {
        return ExitCode::FAILURE;
    };
    if end_with_parent().is_err() {
        return ExitCode::FAILURE;
    }
    let answer = take_limits(&request.limits)
        .map_err(|error| Fault::unavailable(&format!("limits: {}", error.kind())))
        .and_then(|()| parse_on_own_stack(request));
    match protocol::write_answer(io::stdout().lock(), answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ends this process as soon as stdin closes: a parent killed outright leaves no parser behind.
fn end_with_parent() -> io::Result<()> {
    let wait = || {
        let mut byte = [0];
        while matches!(io::stdin().read(&mut byte), Ok(1)) {}
        std::process::exit(1);
    };
    thread::Builder::new().stack_size(64 << 10).spawn(wait).map(drop)
}

/// Lowers this process's limits for good, before it looks at the document.
fn take_limits(limits: &Limits) -> io::Result<()> {
    let cpu = limits.cpu_seconds();
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES)?;
    // At the soft limit comes SIGXCPU, which names the reason; at the hard one SIGKILL, which does not.
    limit(Resource::Cpu, cpu, cpu.saturating_add(1))?;
    let memory = limit(Resource::As, limits.memory_bytes, limits.memory_bytes);
    // macOS knows the limit but refuses to set it.
    if cfg!(target_vendor = "apple") { Ok(()) } else { memory }
}

/// Sets one limit, or leaves it where it is lower already.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let new = Rlimit { current: Some(soft.min(ceiling)), maximum: Some(hard.min(ceiling)) };
    setrlimit(resource, new).map_err(io::Error::from)
}

fn parse_on_own_stack(request: Request) -> Result<Parsed, Fault> {
    let limit_bytes = request.limits.memory_bytes;
    let parser = thread::Builder::new().stack_size(PARSE_STACK_BYTES).spawn(move || parse(&request));
    match parser.map(thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => Err(Fault::crashed("a panic")),
        Err(_) => Err(Fault::Memory { limit_bytes }),
    }
}

fn parse(request: &Request) -> Result<Parsed, Fault> {
    let limits = &request.limits;
    let bytes = read(&request.path, limits)?;
    let declared = detect::Declared::new(&request.mime, &request.filename);
    let content = detect::content(bytes, &declared)?;
    let (kind, pages, markdown) = match content {
        detect::Content::Pdf(bytes) => {
            let (markdown, pages) = pdf::to_markdown(&bytes, limits)?;
            (FileKind::Pdf, pages, markdown)
        }
        detect::Content::Office(kind, bytes) => {
            let (markdown, pages) = office::to_markdown(bytes, kind, limits)?;
            (kind, pages, markdown)
        }
        detect::Content::Html(text) => (FileKind::Html, 0, html::to_markdown(&text)),
        detect::Content::Markdown(text) => (FileKind::Markdown, 0, markdown::tidy(&text)),
        detect::Content::PlainText(text) => (FileKind::PlainText, 0, markdown::tidy(&text)),
    };
    limits.check_output(markdown.len())?;
    Ok(Parsed { kind, pages, markdown })
}

/// The whole file. The worker made it, so one that can't be read is the machine's fault.
fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, Fault> {
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
