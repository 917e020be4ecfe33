//! `ext.pdf`: the library that reads PDFs.

use super::super::check::{Context, Outcome, declare};

declare! {
    LIBRARY = once("ext.pdf", "PDFium's library is there.", library);
    LIBRARY_MISSING = warning("library_missing",
        "PDFium's library is in none of the places where it is looked for: PDFs wait for a worker that has it.",
        "Run `scripts/fetch pdfium`, or set PDFIUM_LIBRARY to the library.");
}

async fn library(context: &Context<'_>) -> Outcome {
    match (context.setup.pdf_library)() {
        Some(file) => Ok(file.display().to_string()),
        None => Err(LIBRARY_MISSING.seen("no library found")),
    }
}
