//! A document's markdown in the object store.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::{JobMemory, Pipeline, StepError};
use domain::{Code, Failure, Lease, Status, layout::Layout, record::ReadingRecord};
use store::work::{ParsedFacts, Target, get_work_document, get_work_layout, save_parsed_facts};

impl Pipeline {
    /// Stores the markdown of a parsed document. The row names the key before the first byte is written, so a deletion
    /// always finds the object.
    pub(super) async fn save_parsed(
        &self,
        lease: &Lease,
        target: Target,
        kind: &str,
        record: &ReadingRecord,
        markdown: &str,
        layout: &Layout,
    ) -> Result<(), StepError> {
        let key = parsed_key(lease, target);
        let page_count = i32::try_from(record.pages).unwrap_or(i32::MAX);
        let json = json!(record);
        let layout = (!layout.is_empty()).then(|| json!(layout).to_string());
        let layout = layout.as_deref();
        let facts = ParsedFacts { parsed_path: &key, kind, parser: &record.reader, page_count, record: &json, layout };
        self.db
            .run_tx("save_parsed_facts", |tx| {
                let facts = &facts;
                Box::pin(async move { save_parsed_facts(&tx, lease.fence, facts).await })
            })
            .await?;
        Ok(self.store_markdown(&key, markdown).await?)
    }

    /// Where the markdown's lines stand; a layout of another form, as another build may have written, says nothing.
    pub(super) async fn get_layout(&self, lease: &Lease) -> Result<Layout, StepError> {
        let stored = get_work_layout(&self.db, lease.fence).await?;
        Ok(stored.and_then(|json| serde_json::from_str::<Layout>(&json).ok()?.checked()).unwrap_or_default())
    }

    /// Writes the markdown to its key.
    pub(super) async fn store_markdown(&self, key: &str, markdown: &str) -> Result<(), Failure> {
        let body = stream::iter([io::Result::Ok(Bytes::copy_from_slice(markdown.as_bytes()))]);
        self.store.put(key, Box::pin(body), 0).await.map(drop)
    }

    /// The document's markdown: from memory if the previous step left it there, else from the object store.
    pub(super) async fn get_markdown(&self, lease: &Lease, memory: &mut JobMemory) -> Result<String, StepError> {
        if let Some(markdown) = memory.markdown.take() {
            return Ok(markdown);
        }
        let document = get_work_document(&self.db, lease.fence).await?;
        let file = self.scratch.new_file()?;
        let found = match &document.parsed_path {
            Some(key) => self.store.fetch(key, &file).await?,
            None => None,
        };
        let Some(found) = found else {
            return Err(Failure::new(
                Code::ParsedTextMissing,
                "The markdown of this document is not in the object store under its parsed_path. Retry the job from `uploaded`.",
            )
            .into());
        };
        // The step that validates it brings it into another form before it writes the hash.
        let validated = document.parsed_sha256.filter(|_| lease.status != Status::Parsed);
        if validated.is_some_and(|sha256| sha256 != found.sha256) {
            return Err(Failure::new(
                Code::ParsedTextChanged,
                "The markdown of this document in the object store is not what was written there. Retry the job from `uploaded`.",
            )
            .into());
        }
        let bytes = tokio::fs::read(&file).await.map_err(|error| super::scratch::failure(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The key of a document's markdown. Each job has its own key: repeating a step overwrites it, and a removal that a
/// deletion or another upload of the same content has queued never hits a later job's markdown. A new reading by the same job
/// has another, since the active version keeps its own.
pub(super) fn parsed_key(lease: &Lease, target: Target) -> String {
    format!("parsed/{}/{}.md", lease.user_id, target.reading.unwrap_or(lease.fence.job_id.0))
}

/// Whether the markdown contains more than page markers and punctuation.
pub(super) fn has_text(markdown: &str) -> bool {
    markdown.lines().filter(|line| !line.starts_with("<!-- page ")).any(|line| line.chars().any(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::has_text;

    #[test]
    fn page_markers_and_rules_are_no_text() {
        assert!(!has_text("<!-- page 1 -->\n\n---\n<!-- page 2 -->\n"));
        assert!(has_text("<!-- page 1 -->\n١\n"));
    }
}
