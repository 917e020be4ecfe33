//! The routes that users call: documents, uploads, jobs, their events, search; and the webhook. A handler reads what
//! was asked, calls the database and the ports, and shapes the answer.

pub mod change_document;
pub mod document_files;
pub mod documents;
pub mod estimate;
pub mod events;
pub mod jobs;
pub mod judgements;
pub mod pages;
pub mod retry_jobs;
pub mod search;
pub mod send_documents;
pub mod uploads;
pub mod usage;
pub mod versions;
pub mod webhook;
