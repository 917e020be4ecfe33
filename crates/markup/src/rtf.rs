//! Reads rich text (RTF).
//!
//! `scan` takes the file apart, `reader` keeps the state of groups and says what is shown, `build` makes blocks of it.

mod build;
mod charset;
mod reader;
mod scan;

#[cfg(test)]
mod tests;

use encoding_rs::Encoding;

use domain::document::Document;

/// The encoding of a Windows code page.
pub fn encoding(page: i32) -> &'static Encoding {
    charset::of_code_page(page)
}

/// The file as blocks. What is damaged in it is skipped.
pub fn read(bytes: &[u8]) -> Document {
    reader::Reader::default().read(bytes)
}
