//! `parsed` → `parse_validated`: the markdown is normalised and hashed, and empty text refused.
//!
//! Doing it twice is harmless: normalising what is normalised changes nothing.

use std::time::Instant;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{JobMemory, Pipeline, parsed_key, scratch::ScratchFile};
use crate::{
    db::{
        chunks::hex,
        jobs::advance_job,
        work::{get_work_document, save_parsed_sha256},
    },
    domain::{ErrorClass, Failure, Lease, Outcome, Status, Step, StepError},
};

impl Pipeline {
    pub(super) async fn validate(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let markdown = self.markdown(lease, memory).await?;
        let normalised = normalise(&markdown);
        if !has_text(&normalised) {
            return Err(Failure::new(
                "text_empty",
                ErrorClass::Document,
                "The file was read, but there is no text in it. If it holds images of text, it needs OCR.",
            )
            .into());
        }
        let sha256 = hex(&Sha256::digest(normalised.as_bytes()));
        self.store_markdown(&parsed_key(lease), &normalised).await?;
        let progress = json!({ "characters": normalised.chars().count() });
        self.db
            .run_tx("validate", |tx| {
                let (sha256, progress) = (&sha256, &progress);
                Box::pin(async move {
                    save_parsed_sha256(&tx, lease.fence, sha256).await?;
                    advance_job(&tx, lease, Step::Validate, Status::ParseValidated, progress, began.elapsed()).await
                })
            })
            .await?;
        memory.markdown = Some(normalised);
        Ok(Outcome::Advanced(Status::ParseValidated))
    }

    /// The document's markdown: what the step before left in memory, else what is stored.
    pub(super) async fn markdown(&self, lease: &Lease, memory: &mut JobMemory) -> Result<String, StepError> {
        if let Some(markdown) = memory.markdown.take() {
            return Ok(markdown);
        }
        let conn = self.db.get().await?;
        let document = get_work_document(&conn, lease.fence).await?;
        drop(conn);
        let file = ScratchFile::new(self.scratch.path());
        let found = match &document.parsed_path {
            Some(key) => self.store.fetch(key, file.path()).await?,
            None => None,
        };
        if found.is_none() {
            return Err(Failure::new(
                "parsed_text_missing",
                ErrorClass::Document,
                "The markdown of this document is not in the object store under its parsed_path. Retry the job from `uploaded`.",
            )
            .into());
        }
        let bytes = tokio::fs::read(file.path()).await.map_err(|error| scratch_failure(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn scratch_failure(error: &std::io::Error) -> Failure {
    Failure::new(
        "scratch_unavailable",
        ErrorClass::Transient,
        format!("A file in hand could not be read back: {error}."),
    )
}

/// One form for the same text: line feeds, no control characters (Postgres holds no NUL), no trailing blanks, at most
/// one blank line in a row.
fn normalise(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut blank = 0;
    for line in markdown.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n").lines() {
        let line: String = line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        let line = line.trim_end();
        blank = if line.is_empty() { blank + 1 } else { 0 };
        if blank <= 1 && !(line.is_empty() && text.is_empty()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Whether anything but page markers and marks is there.
pub(super) fn has_text(markdown: &str) -> bool {
    markdown.lines().filter(|line| !line.starts_with("<!-- page ")).any(|line| line.chars().any(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_twice_changes_nothing() {
        let once = normalise("\u{feff}# A\r\n\r\n\r\n\r\ntext  \0with\tends \r\n\n");
        assert_eq!(once, "# A\n\ntext  with\tends\n");
        assert_eq!(normalise(&once), once);
    }

    #[test]
    fn page_markers_and_rules_are_no_text() {
        assert!(!has_text("<!-- page 1 -->\n\n---\n<!-- page 2 -->\n"));
        assert!(has_text("<!-- page 1 -->\n١\n"));
    }
}
