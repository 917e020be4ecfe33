//! The process of the built-in OCR: `app ocr-child` reads one picture and ends.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::child;
use ocr_engine::Engine;
use pages::ocr::{Line, read_picture};
use reading::limits::limit_processor_time;

/// Runs the process, `app ocr-child`, which the parser's child starts: it has that one's limits, and sets its own on processor
/// time.
///
/// Stdin has the picture, stdout gets its lines as JSON. Exits with 1 if it can't read the picture.
pub fn run_ocr_child() -> ExitCode {
    child::prepare();
    match read().and_then(|lines| io::stdout().lock().write_all(&serde_json::to_vec(&lines)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn read() -> io::Result<Vec<Line>> {
    let picture = read_picture(io::stdin().lock())?;
    limit_processor_time(picture.page_cpu);
    let engine = Engine::open(&picture.models).map_err(io::Error::other)?;
    engine.read(&picture.bitmap).map_err(io::Error::other)
}
