//! `parsed` → `parse_validated`: normalises and hashes the markdown, and refuses a document without text.
//!
//! Doing it twice is harmless: normalising again changes nothing.

use std::time::Instant;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    JobMemory, Pipeline,
    parsed::{has_text, parsed_key},
};
use domain::{Code, Failure, Lease, Outcome, Status, Step, StepError, hex};
use store::{jobs::advance_job, work::save_parsed_sha256};

impl Pipeline {
    pub(super) async fn validate(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let markdown = self.get_markdown(lease, memory).await?;
        let normalised = normalise(&markdown);
        if !has_text(&normalised) {
            return Err(text_empty().into());
        }
        let sha256 = hex(Sha256::digest(&normalised));
        let key = parsed_key(lease, self.target(lease, memory).await?);
        self.store_markdown(&key, &normalised).await?;
        let progress = json!({ "characters": normalised.chars().count() });
        self.db
            .run_tx("validate", |tx| {
                let (sha256, key) = (&sha256, &key);
                let progress = &progress;
                Box::pin(async move {
                    save_parsed_sha256(&tx, lease.fence, sha256, key).await?;
                    advance_job(&tx, lease, Step::Validate, Status::ParseValidated, progress, began.elapsed()).await
                })
            })
            .await?;
        memory.markdown = Some(normalised);
        Ok(Outcome::Advanced(Status::ParseValidated))
    }
}

pub(super) fn text_empty() -> Failure {
    let message = "The file was read, but there is no text in it. If it holds images of text, it needs OCR.";
    Failure::new(Code::TextEmpty, message)
}

/// Brings the text into one form: line feeds, no control characters (Postgres stores no NUL), no trailing blanks, at most
/// one blank line in a row.
pub(super) fn normalise(markdown: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_twice_changes_nothing() {
        let once = normalise("\u{feff}# A\r\n\r\n\r\n\r\ntext  \0with\tends \r\n\n");
        assert_eq!(once, "# A\n\ntext  with\tends\n");
        assert_eq!(normalise(&once), once);
    }
}
