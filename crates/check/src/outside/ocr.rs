//! `ext.ocr`: the engine that reads pages that are pictures, and the data of its languages.

use super::super::check::{Context, Outcome, Problem, declare};

declare! {
    ENGINE = once("ext.ocr", "The OCR engine and its languages are there.", engine);
    LANGUAGES_UNKNOWN = warning("languages_unknown",
        "The built-in OCR, which reads pictures here, does not know the letters of some of OCR_LANGUAGES.",
        "Install Tesseract with their data (Debian: tesseract-ocr and tesseract-ocr-NAME for each); or take them out of OCR_LANGUAGES.");
    ENGINE_MISSING = warning("engine_missing",
        "Nothing here reads pictures: scans are refused, or wait for a worker that reads them.",
        "Install Tesseract (Debian: tesseract-ocr and tesseract-ocr-NAME for each language of OCR_LANGUAGES); or fetch the models of the built-in engine (`scripts/fetch ocr`); or set OCR_ENGINE=off.");
}

async fn engine(context: &Context<'_>) -> Outcome {
    if context.config.parser.ocr_engine == config::OcrChoice::Off {
        return Problem::skipped("OCR_ENGINE is off: scans are refused");
    }
    match (context.setup.ocr)() {
        Ok(Some(engine)) if !engine.unknown.is_empty() => {
            Err(LANGUAGES_UNKNOWN.seen(format!("not known: {}", engine.unknown.join(", "))))
        }
        Ok(Some(engine)) => Ok(format!("{}, {}", engine.at.display(), context.config.parser.ocr_languages)),
        Ok(None) => {
            Err(ENGINE_MISSING.seen("no program `tesseract` on the PATH, and no models of the built-in engine"))
        }
        Err(failure) => Err(ENGINE_MISSING.seen(failure.message)),
    }
}
