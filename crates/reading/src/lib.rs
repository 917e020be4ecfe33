//! What every reader of documents is made of.
//!
//! A reader makes a [`Document`](domain::document::Document) of blocks from a file's bytes, or a [`Fault`](fault::Fault). `package` and `xml` open the
//! archives of parts that most formats are, `building` puts blocks together, `render` makes the one kind of markdown of them, `symbols`
//! knows the signs of symbol fonts, `limits`
//! holds what a document may take, and `progress` tells the parent process how far the reader is.
//!
//! *Must not know:* any format, processes, the database, jobs, users, storage.

pub mod building;
pub mod fault;
pub mod limits;
pub mod package;
pub mod progress;
pub mod render;
mod result;
pub mod symbols;
pub mod xml;

pub use result::Reading;
