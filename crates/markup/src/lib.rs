//! Readers of text and markup: HTML, EPUB, RTF, CSV and TSV, Markdown, and plain text in any encoding.
//!
//! *Must not know:* other formats, processes, the database, jobs, users, storage.

pub mod csv;
pub mod epub;
pub mod html;
pub mod markdown;
pub mod rtf;
pub mod text;
