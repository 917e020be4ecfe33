//! `uploaded` → `parsed`: verified bytes to markdown.
//!
//! Doing it twice is harmless: the markdown has one key a job, written down before its first byte.

use std::{io, time::Instant};

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::{JobMemory, Pipeline, parsed_key, verify::Found};
use crate::{
    db::{
        jobs::{advance_job, finish_duplicate},
        work::{ParsedFacts, get_work_document, save_parsed_facts},
    },
    domain::{Failure, Lease, Outcome, Status, Step, StepError},
    ports::{FileKind, ParsedDocument},
};

impl Pipeline {
    pub(super) async fn parse(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        self.parse_by(Step::Parse, lease, memory).await
    }

    /// The same from either of the statuses that a document can be parsed from. `done`: the step in hand.
    pub(super) async fn parse_by(
        &self,
        done: Step,
        lease: &Lease,
        memory: &mut JobMemory,
    ) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let conn = self.db.get().await?;
        if finish_duplicate(&conn, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let document = get_work_document(&conn, lease.fence).await?;
        drop(conn);
        let file = match self.find_bytes(&document, memory).await? {
            Found::Verified(file) => file,
            Found::NotYet(delay) => return Ok(Outcome::Snooze { code: "waiting_for_upload", delay }),
        };
        let parsed = self.parser.parse(file.path(), &document.mime, &document.filename, self.limits).await;
        if let Some(remote) = &self.remote
            && let Some(kind) = remote.wants(document.ocr, &parsed)
        {
            return self.hand_over(remote, lease, (file.path(), kind), (done, began), memory).await;
        }
        let ParsedDocument { markdown, pages, kind } = parsed.map_err(|failure| match failure.code {
            "type_mismatch" => memory.mismatch(&document, failure),
            _ => failure.into(),
        })?;
        let key = parsed_key(lease);
        let facts = ParsedFacts {
            parsed_path: &key,
            kind: kind_name(kind),
            parser: self.parser.name(),
            page_count: i32::try_from(pages).unwrap_or(i32::MAX),
        };
        self.db
            .run_tx("save_parsed_facts", |tx| {
                let facts = &facts;
                Box::pin(async move { save_parsed_facts(&tx, lease.fence, facts).await })
            })
            .await?;
        self.store_markdown(&key, &markdown).await?;
        memory.markdown = Some(markdown);
        let conn = self.db.get().await?;
        advance_job(&conn, lease, done, Status::Parsed, &json!({ "pages": pages }), began.elapsed()).await?;
        Ok(Outcome::Advanced(Status::Parsed))
    }

    pub(super) async fn store_markdown(&self, key: &str, markdown: &str) -> Result<(), Failure> {
        let body = stream::iter([io::Result::Ok(Bytes::copy_from_slice(markdown.as_bytes()))]);
        self.store.put(key, Box::pin(body), 0).await.map(drop)
    }
}

pub(super) fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pdf => "pdf",
        FileKind::Docx => "docx",
        FileKind::Pptx => "pptx",
        FileKind::Xlsx => "xlsx",
        FileKind::Html => "html",
        FileKind::Markdown => "markdown",
        FileKind::PlainText => "plain_text",
    }
}
