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
    let (mut bytes_len, mut sha256) = (0, Sha256::new());
    while let Some(bytes) = from.try_next().await? {
        bytes_len += bytes.len() as u64;
        if max_bytes > 0 && bytes_len > max_bytes {
            return Err(too_large(max_bytes));
        }
        sha256.update(&bytes);
        to.write_all(&bytes).await.map_err(&of_write)?;
    }
    to.flush().await.map_err(of_write)?;
    Ok(StoredObject { bytes_len, sha256: hex(sha256.finalize()) })
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
