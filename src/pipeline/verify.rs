//! Finds a document's bytes and holds them against what was declared.
//!
//! Doing it twice is harmless: it only reads.

use std::time::Duration;

use super::{JobMemory, Pipeline, scratch::ScratchFile};
use crate::{
    db::work::WorkDocument,
    domain::{ErrorClass, Failure, StepError},
    ports::StoredObject,
};

/// Between two looks for bytes that have not come, at least and at most. Source: DESIGN §3.
const SNOOZE: (f64, f64) = (5.0, 60.0);

/// What looking for the bytes found.
pub(super) enum Found {
    /// They are here, and are what was declared.
    Verified(ScratchFile),
    /// They may still come; look again after this long.
    NotYet(Duration),
}

impl Pipeline {
    /// Fetches the bytes to a scratch file and verifies size and SHA-256. The type and the page limit are the
    /// parser's to verify, since that takes reading the content.
    pub(super) async fn find_bytes(&self, document: &WorkDocument, memory: &mut JobMemory) -> Result<Found, StepError> {
        // Before the download: an object of another size may be any size.
        if let Some(bytes_len) = self.store.head(&document.raw_path).await?
            && let Some(failure) = size_mismatch(document, bytes_len)
        {
            return Err(memory.mismatch(document, failure));
        }
        let file = ScratchFile::new(self.scratch.path());
        match self.store.fetch(&document.raw_path, file.path()).await? {
            Some(stored) => match mismatch(document, &stored) {
                None => Ok(Found::Verified(file)),
                Some(failure) => Err(memory.mismatch(document, failure)),
            },
            None => match document.upload_expires_in_seconds {
                Some(left) if left > 0.0 => Ok(Found::NotYet(next_look(document.waited_seconds, left))),
                Some(_) => Err(Failure::new(
                    "upload_expired",
                    ErrorClass::Document,
                    "The upload was announced but its bytes never came before it expired. Upload the file again.",
                )
                .into()),
                None => Err(Failure::new(
                    "object_missing",
                    ErrorClass::Document,
                    "The document's bytes are not in the object store under its raw_path. Upload the file again, or put the \
                     object there and retry the job.",
                )
                .into()),
            },
        }
    }
}

impl JobMemory {
    /// The failure of a document whose stored bytes are not what was declared; they are removed once it is written.
    pub(super) fn mismatch(&mut self, document: &WorkDocument, failure: Failure) -> StepError {
        self.mismatched = Some(document.raw_path.clone());
        failure.into()
    }
}

/// Seldom for one that has waited long, and never much after the upload expires.
fn next_look(waited_seconds: f64, left_seconds: f64) -> Duration {
    let (least, most) = SNOOZE;
    Duration::from_secs_f64((waited_seconds / 4.0).clamp(least, most).min(left_seconds.max(1.0) + 0.5))
}

fn size_mismatch(document: &WorkDocument, bytes_len: u64) -> Option<Failure> {
    if i64::try_from(bytes_len) == Ok(document.bytes_len) {
        return None;
    }
    Some(Failure::new(
        "size_mismatch",
        ErrorClass::Document,
        format!(
            "The upload announced {} bytes and {bytes_len} came. The stored bytes were removed; upload the file again.",
            document.bytes_len
        ),
    ))
}

fn mismatch(document: &WorkDocument, stored: &StoredObject) -> Option<Failure> {
    if let Some(failure) = size_mismatch(document, stored.bytes_len) {
        return Some(failure);
    }
    if stored.sha256 != document.file_sha256.to_ascii_lowercase() {
        return Some(Failure::new(
            "hash_mismatch",
            ErrorClass::Document,
            "The bytes that came do not have the SHA-256 that was announced. The stored bytes were removed; upload the file again.",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_five_to_sixty_seconds_apart_and_end_with_the_upload() {
        assert_eq!(next_look(0.0, 600.0), Duration::from_secs(5));
        assert_eq!(next_look(100.0, 600.0), Duration::from_secs(25));
        assert_eq!(next_look(3600.0, 600.0), Duration::from_secs(60));
        assert_eq!(next_look(3600.0, 2.0), Duration::from_secs_f64(2.5));
    }
}
