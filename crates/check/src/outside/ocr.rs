//! `ext.ocr`: the engine that reads pages that are pictures, and the data of its languages.

use super::super::check::{Context, Outcome, Problem, declare};

declare! {
    ENGINE = once("ext.ocr", "The OCR engine and its languages are there.", engine);
    ENGINE_MISSING = warning("engine_missing",
        "Nothing here reads pictures: scans are refused, or wait for a worker that reads them.",
        "Install Tesseract (Debian: tesseract-ocr and tesseract-ocr-NAME for each language of OCR_LANGUAGES); or set OCR_ENGINE=off.");
}

async fn engine(context: &Context<'_>) -> Outcome {
    if context.config.parser.ocr_engine == config::OcrChoice::Off {
        return Problem::skipped("OCR_ENGINE is off: scans are refused");
    }
    match (context.setup.ocr)() {
        Ok(Some(program)) => Ok(format!("{}, {}", program.display(), context.config.parser.ocr_languages)),
        Ok(None) => Err(ENGINE_MISSING.seen("no program `tesseract` on the PATH")),
        Err(failure) => Err(ENGINE_MISSING.seen(failure.message)),
    }
}
