//! Readers of Word's and PowerPoint's documents, and of OpenDocument's texts and slides.
//!
//! `ooxml` is what Word and PowerPoint share: charts, diagrams, equations.
//!
//! *Must not know:* sheets, pages of PDF, processes, the database, jobs, users, storage.

mod ooxml;
pub mod open_document;
pub mod slides;
#[cfg(test)]
mod testing;
pub mod word;
