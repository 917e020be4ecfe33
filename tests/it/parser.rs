//! The local parser through the real executable: what it reads, what it refuses, and how its child process can end.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod child_ends;
mod fuzz;
mod hostile;
mod ocr;
mod ocr_office;
mod reads;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use domain::{
    Failure,
    ports::{ParseJob, ParseLimits, ParsedDocument, Parser},
};
use readers::LocalParser;

/// Generous limits for a busy machine. A test about a limit sets its own.
const LIMITS: ParseLimits =
    ParseLimits { max_pages: 0, memory_bytes: 1 << 30, time: Duration::from_secs(60), output_bytes: 8 << 20 };

/// A file that is deleted when dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("parser-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The library that scripts/test names.
fn pdf_library() -> Option<PathBuf> {
    std::env::var_os("APP_PDFIUM_LIBRARY").map(PathBuf::from)
}

fn parser_running(executable: impl Into<PathBuf>) -> LocalParser {
    LocalParser::running(executable.into(), readers::pdf_library_places(pdf_library().as_deref(), &[]))
}

async fn parse_limited(content: &[u8], filename: &str, limits: ParseLimits) -> Result<ParsedDocument, Failure> {
    let file = TempFile::new(content);
    read(&parser_running(env!("CARGO_BIN_EXE_app")), &file.0, "", filename, limits).await
}

async fn read(
    parser: &LocalParser,
    path: &Path,
    mime: &str,
    filename: &str,
    limits: ParseLimits,
) -> Result<ParsedDocument, Failure> {
    Ok(parser.parse(ParseJob::new(path, mime, filename, limits)).await?.unwrap())
}

async fn parse(content: &[u8], filename: &str) -> Result<ParsedDocument, Failure> {
    parse_limited(content, filename, LIMITS).await
}

async fn refusal(content: &[u8], filename: &str) -> Failure {
    parse(content, filename).await.unwrap_err()
}
