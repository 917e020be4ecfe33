//! Copies a body, and counts and hashes its bytes.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use domain::{Code, Failure, hex, ports::StoredObject};

/// Copies all of `from` to `to`. More than `max_bytes` are refused; `0` is no limit. `of_write` makes the failure of a write.
pub(super) async fn pump(
    mut from: impl Stream<Item = Result<Bytes, Failure>> + Unpin,
    max_bytes: u64,
    to: &mut (impl AsyncWrite + Unpin),
    of_write: impl Fn(io::Error) -> Failure,
) -> Result<StoredObject, Failure> {
    let mut sums = Sums::new(max_bytes);
    while let Some(bytes) = from.try_next().await? {
        sums.add(&bytes)?;
        to.write_all(&bytes).await.map_err(&of_write)?;
    }
    to.flush().await.map_err(of_write)?;
    Ok(sums.finish())
}

/// The length and the hash of a body, while it passes.
pub(super) struct Sums {
    max_bytes: u64,
    bytes_len: u64,
    sha256: Sha256,
}

impl Sums {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, bytes_len: 0, sha256: Sha256::new() }
    }

    /// Adds the next bytes, unless they are too many; a limit of `0` is none.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes_len += bytes.len() as u64;
        if self.max_bytes > 0 && self.bytes_len > self.max_bytes {
            return Err(too_large(self.max_bytes));
        }
        self.sha256.update(bytes);
        Ok(())
    }

    pub(super) fn finish(self) -> StoredObject {
        StoredObject { bytes_len: self.bytes_len, sha256: hex(self.sha256.finalize()) }
    }
}

/// The failure of a body that breaks off.
pub(super) fn interrupted(error: &io::Error) -> Failure {
    let message = format!("The upload broke off before its end ({}); send the file again.", error.kind());
    Failure::new(Code::UploadInterrupted, message)
}

fn too_large(max_bytes: u64) -> Failure {
    let message = format!("The file is larger than the {max_bytes} bytes that may be stored for it.");
    Failure::new(Code::FileTooLarge, message)
}
