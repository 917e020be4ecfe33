//! Readers of documents that are pages: PDF by PDFium, pictures, and the OCR of both.
//!
//! *Must not know:* other formats, the database, jobs, users, storage. It starts no process but those of OCR.

pub mod bitmap;
pub mod image;
pub mod ocr;
pub mod pdf;
