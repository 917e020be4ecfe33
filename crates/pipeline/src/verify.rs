//! Fetches a document's bytes and compares them with what was declared.
//!
//! Doing it twice is harmless: it only reads.

use std::time::Duration;

use tempfile::TempPath;

use super::{Pipeline, poll};
use domain::{Code, Failure, Lease, StepError, ports::StoredObject};
use store::work::{WorkDocument, expire_mismatched};

/// The result of a search for the bytes.
pub(super) enum Found {
    /// A copy of the bytes, which are what was declared.
    Verified(TempPath),
    /// The upload may still happen; check again after this delay.
    NotYet(Duration),
}

impl Pipeline {
    /// Fetches the bytes to a temporary file and checks size and SHA-256. The parser checks the type and the page limit,
    /// which takes reading the content.
    pub(super) async fn find_bytes(&self, lease: &Lease, document: &WorkDocument) -> Result<Found, StepError> {
        // Check the size before the download, because a wrong object may be huge.
        if let Some(bytes_len) = self.store.head(&document.raw_path).await?
            && let Some(failure) = size_mismatch(document, bytes_len)
        {
            return Err(self.mismatch(lease, failure).await);
        }
        let file = self.scratch.new_file()?;
        match self.store.fetch(&document.raw_path, &file).await? {
            Some(stored) => match mismatch(document, &stored) {
                None => Ok(Found::Verified(file)),
                Some(failure) => Err(self.mismatch(lease, failure).await),
            },
            None => match document.upload_expires_in_seconds {
                Some(left) if left > 0.0 => Ok(Found::NotYet(next_check(document.waited_seconds, left))),
                Some(_) => Err(Failure::new(
                    Code::UploadExpired,
                    "The upload was announced but its bytes never came before it expired. Upload the file again.",
                )
                .into()),
                None => Err(Failure::new(Code::ObjectMissing,
                    "The document's bytes are not in the object store under its raw_path. Upload the file again, or put the \
                     object there and retry the job.",
                )
                .into()),
            },
        }
    }

    /// The failure of a document whose stored bytes are not what was declared. They expire from now on.
    pub(super) async fn mismatch(&self, lease: &Lease, failure: Failure) -> StepError {
        let expired = async { expire_mismatched(&self.db.get().await?, lease.fence, self.mismatched_days).await };
        expired.await.map_or_else(StepError::from, |()| failure.into())
    }
}

/// The delay before the next check. The last check comes half a second after the upload expires.
fn next_check(waited_seconds: f64, left_seconds: f64) -> Duration {
    let waited = Duration::try_from_secs_f64(waited_seconds).unwrap_or_default();
    poll::delay(waited).min(Duration::from_secs_f64(left_seconds.max(1.0) + 0.5))
}

fn size_mismatch(document: &WorkDocument, bytes_len: u64) -> Option<Failure> {
    if i64::try_from(bytes_len) == Ok(document.bytes_len) {
        return None;
    }
    Some(Failure::new(
        Code::SizeMismatch,
        format!("The upload announced {} bytes and {bytes_len} came. Upload the file again.", document.bytes_len),
    ))
}

fn mismatch(document: &WorkDocument, stored: &StoredObject) -> Option<Failure> {
    if let Some(failure) = size_mismatch(document, stored.bytes_len) {
        return Some(failure);
    }
    if stored.sha256 != document.file_sha256.to_ascii_lowercase() {
        return Some(Failure::new(
            Code::HashMismatch,
            "The bytes that came do not have the SHA-256 that was announced. Upload the file again.",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_check_comes_when_the_upload_expires() {
        assert_eq!(next_check(0.0, 600.0), Duration::from_secs(5));
        assert_eq!(next_check(100.0, 600.0), Duration::from_secs(25));
        assert_eq!(next_check(3600.0, 600.0), Duration::from_secs(60));
        assert_eq!(next_check(3600.0, 2.0), Duration::from_secs_f64(2.5));
    }
}
