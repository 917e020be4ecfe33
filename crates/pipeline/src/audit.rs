//! Compares what is stored of a document with what its rows say: bytes, markdown, chunks and vectors.
//!
//! Doing it twice is harmless: it only reads.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::ScratchDir;
use domain::{
    Code, DocumentId, Failure,
    layout::Layout,
    ports::{Chunk, Chunker, EmbedPriority, Embedder, ObjectStore, StoredObject},
};
use pg::{Db, DbError};
use store::{
    audit::{
        AuditedDocument, ChunkFacts, count_misplaced_judgements, get_chunk_facts, list_audited_documents,
        list_audited_versions, list_chunk_hashes, list_chunk_sample,
    },
    chunks::chunk_sha,
    work::Target,
};

/// The least cosine of a stored vector and that of the same text embedded again: another precision or machine stays
/// above .999, another text far below.
const LEAST_COSINE: f32 = 0.99;
/// How often a document that changes while it is looked at is looked at again.
const LOOKS: usize = 3;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditFinding {
    /// The document.
    pub document_id: DocumentId,
    /// What does not fit; its remedy says what to do.
    pub code: Code,
    /// What was found.
    pub message: String,
}

/// The model that made the vectors, to make some again.
#[derive(Clone)]
pub struct AuditModel {
    /// Cuts the markdown again.
    pub chunker: Arc<dyn Chunker>,
    /// Embeds the sample.
    pub embedder: Arc<dyn Embedder>,
}

/// Looks at documents.
pub struct Audit {
    /// The database.
    pub db: Db,
    /// The store of the documents' bytes and markdown.
    pub store: Arc<dyn ObjectStore>,
    /// `None`: nothing is cut or embedded again.
    pub model: Option<AuditModel>,
    /// Chunks of a document that are embedded again.
    pub sample: i64,
    /// A private folder for copies.
    pub scratch: ScratchDir,
}

impl Audit {
    /// Up to `limit` documents behind `after`; with `ids`, only those.
    pub async fn documents(
        &self,
        ids: Option<&[Uuid]>,
        after: DocumentId,
        limit: i64,
    ) -> Result<Vec<AuditedDocument>, DbError> {
        list_audited_documents(&self.db, ids, after, limit).await
    }

    /// What does not fit of a document and its previous versions.
    pub async fn look_at(&self, document: AuditedDocument) -> Result<Vec<AuditFinding>, DbError> {
        let id = document.document_id;
        let mut findings = self.look_at_active(document).await?;
        let misplaced = count_misplaced_judgements(&self.db, id).await?;
        if misplaced > 0 {
            let message = format!("{misplaced} judgements of its passages are of another user");
            findings.push(AuditFinding { document_id: id, code: Code::JudgementMisplaced, message });
        }
        for version in list_audited_versions(&self.db, id).await? {
            let found = self.look_once(&version).await?;
            // One that was restored or removed meanwhile is no longer this one.
            if !found.is_empty() && list_audited_versions(&self.db, id).await?.contains(&version) {
                let of_it = |finding: AuditFinding| AuditFinding {
                    message: format!("version {}: {}", version.version_no, finding.message),
                    ..finding
                };
                findings.extend(found.into_iter().map(of_it));
            }
        }
        Ok(findings)
    }

    /// What does not fit of its active version. One that a worker changes meanwhile is looked at again.
    async fn look_at_active(&self, document: AuditedDocument) -> Result<Vec<AuditFinding>, DbError> {
        let mut document = document;
        let mut findings = Vec::new();
        for _ in 0..LOOKS {
            findings = self.look_once(&document).await?;
            if findings.is_empty() {
                break;
            }
            let now = self.documents(Some(&[document.document_id.0]), DocumentId(Uuid::nil()), 1).await?.pop();
            match now {
                Some(now) if now != document => document = now,
                Some(_) => break,
                // It was deleted.
                None => return Ok(Vec::new()),
            }
        }
        Ok(findings)
    }

    async fn look_once(&self, document: &AuditedDocument) -> Result<Vec<AuditFinding>, DbError> {
        let mut found = Found { document_id: document.document_id, findings: Vec::new() };
        self.file(document, &mut found).await;
        let markdown = self.markdown(document, &mut found).await;
        record(document, &mut found);
        if document.complete {
            let target = document.target();
            counts(&get_chunk_facts(&self.db, target).await?, &mut found);
            if let Some(model) = &self.model {
                self.cut_again(target, model, markdown, &mut found).await?;
                self.embed_again(target, model, &mut found).await?;
            }
        }
        Ok(found.findings)
    }

    /// The original. Bytes that were removed are no finding: the job says so.
    async fn file(&self, document: &AuditedDocument, found: &mut Found) {
        if !document.read || document.raw_path.is_empty() {
            return;
        }
        match self.fetch(&document.raw_path).await {
            Ok(None) => found.add(Code::FileLost, "the original is not in the object store"),
            Ok(Some((object, _))) => {
                if i64::try_from(object.bytes_len) != Ok(document.bytes_len) {
                    let (is, was) = (object.bytes_len, document.bytes_len);
                    found.add(Code::FileChanged, format!("the original has {is} bytes, and had {was}"));
                } else if !object.sha256.eq_ignore_ascii_case(&document.file_sha256) {
                    found.add(Code::FileChanged, "the original has another SHA-256 than when it came");
                }
            }
            Err(failure) => found.failed(&failure),
        }
    }

    async fn markdown(&self, document: &AuditedDocument, found: &mut Found) -> Option<String> {
        let sha256 = document.parsed_sha256.as_ref()?;
        let stored = match &document.parsed_path {
            Some(key) => self.fetch(key).await,
            None => Ok(None),
        };
        match stored {
            Ok(None) => found.add(Code::MarkdownLost, "the markdown is not in the object store"),
            Ok(Some((object, _))) if !object.sha256.eq_ignore_ascii_case(sha256) => {
                found.add(Code::MarkdownChanged, "the markdown has another SHA-256 than when it was made");
            }
            Ok(Some((_, text))) => return Some(text),
            Err(failure) => found.failed(&failure),
        }
        None
    }

    /// The object and its text.
    async fn fetch(&self, key: &str) -> Result<Option<(StoredObject, String)>, Failure> {
        let file = self.scratch.new_file()?;
        let Some(object) = self.store.fetch(key, &file).await? else { return Ok(None) };
        let bytes = tokio::fs::read(&file).await.map_err(|error| super::scratch::failure(&error))?;
        Ok(Some((object, String::from_utf8_lossy(&bytes).into_owned())))
    }

    /// Whether the chunks are those that the markdown gives.
    async fn cut_again(
        &self,
        target: Target,
        model: &AuditModel,
        markdown: Option<String>,
        found: &mut Found,
    ) -> Result<(), DbError> {
        let Some(markdown) = markdown else { return Ok(()) };
        let by = (model.chunker.name(), model.chunker.version());
        let stored = list_chunk_hashes(&self.db, target, by, model.embedder.model()).await?;
        if stored.is_empty() {
            return Ok(());
        }
        let chunker = Arc::clone(&model.chunker);
        match tokio::task::spawn_blocking(move || chunker.chunk(&markdown, &Layout::default())).await {
            Ok(Ok(chunks)) => {
                let made: Vec<String> = chunks.iter().map(chunk_sha).collect();
                if made.len() != stored.len() {
                    let (is, was) = (stored.len(), made.len());
                    found.add(Code::PassagesDiffer, format!("the markdown gives {was} passages, and {is} are stored"));
                } else if let Some(ord) = (0..made.len()).find(|&at| made[at] != stored[at].to_ascii_lowercase()) {
                    found.add(Code::PassagesDiffer, format!("passage {ord} is not what the markdown gives"));
                }
            }
            Ok(Err(failure)) => found.failed(&failure),
            Err(error) => found.add(Code::ChunkerCrashed, format!("the chunker stopped: {error}")),
        }
        Ok(())
    }

    /// Whether some vectors are those of their passages.
    async fn embed_again(&self, target: Target, model: &AuditModel, found: &mut Found) -> Result<(), DbError> {
        if self.sample == 0 {
            return Ok(());
        }
        let sample = list_chunk_sample(&self.db, target, model.embedder.model(), self.sample).await?;
        let texts = sample.iter().map(|chunk| Chunk::embed_text(&chunk.heading, &chunk.text)).collect();
        match model.embedder.embed(texts, EmbedPriority::Document).await {
            Ok(vectors) => {
                let differs =
                    sample.iter().zip(&vectors).filter(|(chunk, vector)| cosine(&chunk.vector, vector) < LEAST_COSINE);
                let ords: Vec<i32> = differs.map(|(chunk, _)| chunk.ord).collect();
                if !ords.is_empty() {
                    found.add(Code::VectorsDiffer, format!("embedded again, {} have other vectors", passages(&ords)));
                }
            }
            Err(failure) => found.failed(&failure),
        }
        Ok(())
    }
}

/// The findings about one document.
struct Found {
    document_id: DocumentId,
    findings: Vec<AuditFinding>,
}

impl Found {
    fn add(&mut self, code: Code, message: impl Into<String>) {
        self.findings.push(AuditFinding { document_id: self.document_id, code, message: message.into() });
    }

    /// It could not be looked at.
    fn failed(&mut self, failure: &Failure) {
        self.add(failure.code, failure.message.clone());
    }
}

/// The pages of the record add up.
fn record(document: &AuditedDocument, found: &mut Found) {
    let Some(record) = &document.record else { return };
    let count = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or_default();
    let sum = count("read") + count("ocr") + count("empty") + count("failed");
    let pages = count("pages");
    if sum != pages {
        found.add(Code::RecordMismatch, format!("the record has {pages} pages, and says what became of {sum}"));
    }
}

/// A complete document has each passage once, and a good vector for each.
fn counts(facts: &ChunkFacts, found: &mut Found) {
    if facts.chunks == 0 {
        return found.add(Code::PassagesDiffer, "the document is complete and has no passages");
    }
    if facts.sets > 1 {
        found.add(Code::PassagesDiffer, format!("there are {} sets of passages, and one is wanted", facts.sets));
    } else if i64::from(facts.last_ord) + 1 != facts.chunks {
        let (chunks, last) = (facts.chunks, facts.last_ord);
        found.add(Code::PassagesDiffer, format!("there are {chunks} passages, and the last has the number {last}"));
    }
    if !facts.changed.is_empty() {
        found.add(Code::PassagesDiffer, format!("the text of {} is not what its hash says", passages(&facts.changed)));
    }
    if !facts.without_vector.is_empty() {
        found.add(Code::VectorsMissing, format!("{} have no vector", passages(&facts.without_vector)));
    }
    if !facts.wrong_vector.is_empty() {
        let message =
            format!("{} have a vector of another dimension, or not of length 1", passages(&facts.wrong_vector));
        found.add(Code::VectorsDiffer, message);
    }
    if facts.models > 1 {
        found.add(Code::VectorsMissing, format!("the vectors are of {} models", facts.models));
    }
}

/// `passages 0, 3`; five stand for all there may be.
fn passages(ords: &[i32]) -> String {
    let shown: Vec<String> = ords.iter().map(i32::to_string).collect();
    format!("passages {}{}", shown.join(", "), if ords.len() < 5 { "" } else { ", …" })
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    if a.len() == b.len() { dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() } else { 0.0 }
}
