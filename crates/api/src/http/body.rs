//! Bodies: a small one is read whole; any other is streamed to the object store, checked on the way, and never held in
//! memory as a whole.
//!
//! *The budget*: what the bodies in hand hold in memory is bounded for each user and for the process. A body takes its
//! share before its first byte is read: a small one its length, or its bytes as they come where no length is declared; a
//! streamed one what the buffers on its way hold. The share goes back when the request ends.
//!
//! The check comes before the store learns that the body has ended. A body that is not what was declared fails the put,
//! so it never becomes the object at the key and cannot overwrite the object of an earlier, complete try.

use std::{
    io,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use actix_web::{HttpMessage, HttpRequest, error::PayloadError, http::header::CONTENT_LENGTH};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::http::{
    ApiError, ApiState, Caller,
    quota::{Full, Most, Share},
};
use domain::{
    Code, UserId, hex,
    ports::{ByteStream, ObjectStore, StoredObject},
};

/// What a streamed body holds in memory: the buffers of the connection, of the form, and of the object store.
/// Measured: scripts/bench_bodies.py.
const STREAMED_BYTES: u64 = 512 * 1024;
/// When a client may try again that the budget refused: a small body is read within seconds.
const BUDGET_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Pieces of one upload on their way to the store.
const PIECES: usize = 1;

/// What the body must be.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Its size in bytes, where declared.
    pub bytes_len: Option<u64>,
    /// Its SHA-256, where declared.
    pub sha256: Option<String>,
    /// The most it may be, in bytes; 0 = no limit.
    pub max_bytes: u64,
}

enum Piece {
    Data(Bytes),
    End,
    Refused,
}

/// The length that the request declares for its body.
pub fn declared_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Refuses a body that is declared larger than `limit` (0: no limit).
pub fn refuse_too_large(request: &HttpRequest, limit: u64) -> Result<(), ApiError> {
    match declared_length(request) {
        Some(length) if limit > 0 && length > limit => Err(too_large(limit)),
        Some(_) | None => Ok(()),
    }
}

/// The body is larger than `limit`.
pub fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        Code::BodyTooLarge,
        format!("The body is larger than the {limit} bytes that this route takes. Send less, or a text as a file."),
    )
}

/// Takes the share of a body that will be streamed for `user` (`None`: for a caller that is no user). The body may be
/// read as long as the share lives.
pub fn begin_stream(state: &ApiState, user: Option<UserId>) -> Result<Share, ApiError> {
    let mut share = empty_share(state, user);
    take(&mut share, STREAMED_BYTES)?;
    Ok(share)
}

fn empty_share(state: &ApiState, user: Option<UserId>) -> Share {
    let http = &state.settings.http;
    state.bodies.share(user, Most { per_user: http.body_budget_per_user, in_all: http.body_budget })
}

fn take(share: &mut Share, bytes: u64) -> Result<(), ApiError> {
    share.take(bytes).map_err(|full| {
        let code = if full == Full::User { Code::BodiesPerUser } else { Code::BodiesFull };
        ApiError::of(code).retry_after(BUDGET_RETRY_AFTER)
    })
}

/// A body that was read whole, for whoever reads it again; with its share until the request ends.
struct Whole {
    bytes: Bytes,
    _share: Share,
}

/// Reads a body of up to `API_BODY_LIMIT` bytes into memory. A second call has the same bytes.
pub async fn read_whole<S>(request: &HttpRequest, mut body: S) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    if let Some(Whole { bytes, .. }) = request.extensions().get() {
        return Ok(bytes.clone());
    }
    let state = ApiState::of(request)?;
    let limit = state.settings.http.body_limit_bytes;
    refuse_too_large(request, limit)?;
    let declared = declared_length(request);
    let mut share = empty_share(&state, request.extensions().get::<Caller>().map(|caller| caller.user));
    take(&mut share, declared.unwrap_or_default())?;
    let mut whole = BytesMut::new();
    while let Some(data) = body.next().await {
        let data = data?;
        if limit > 0 && (whole.len() + data.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        if declared.is_none() {
            take(&mut share, data.len() as u64)?;
        }
        whole.extend_from_slice(&data);
    }
    let whole = whole.freeze();
    request.extensions_mut().insert(Whole { bytes: whole.clone(), _share: share });
    Ok(whole)
}

/// Stores `body` at `key`. Nothing is at the key when this fails.
pub async fn store_body<S, E>(
    state: &ApiState,
    key: &str,
    body: &mut S,
    expected: Expected,
) -> Result<StoredObject, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<ApiError>,
{
    let (sender, receiver) = mpsc::channel(PIECES);
    let (store, owned_key): (Arc<dyn ObjectStore>, String) = (Arc::clone(&state.store), key.to_owned());
    // On the main runtime: were this request dropped, the put would still see its body break off, and clean up.
    let max_bytes = expected.bytes_len.unwrap_or(expected.max_bytes);
    let put = state.runtime.spawn(async move { store.put(&owned_key, stream_of(receiver), max_bytes).await });
    let refused = pump(body, &sender, &expected).await;
    let verdict = if refused.is_some() { Piece::Refused } else { Piece::End };
    // The receiver is gone only when the put has failed, which the join below tells.
    let _sent = sender.send(verdict).await;
    drop(sender);
    let stored = put.await.map_err(ApiError::internal)?;
    match (refused, stored) {
        (Some(refused), _) => Err(refused),
        (None, Ok(stored)) => Ok(stored),
        (None, Err(failure)) => Err(ApiError::storage(&failure)),
    }
}

/// Reads the body to its end; why it was refused. `None`: it is as expected, or the store has failed.
async fn pump<S, E>(body: &mut S, sender: &mpsc::Sender<Piece>, expected: &Expected) -> Option<ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<ApiError>,
{
    // Where no hash was announced, the store's own is enough.
    let mut hasher = expected.sha256.is_some().then(Sha256::new);
    let mut bytes_len = 0_u64;
    loop {
        match body.next().await {
            Some(Err(error)) => return Some(error.into()),
            None => return expected.check(bytes_len, hasher.map(|hasher| hex(hasher.finalize()))).err(),
            Some(Ok(data)) => {
                bytes_len = bytes_len.saturating_add(data.len() as u64);
                if let Err(too_large) = expected.check_so_far(bytes_len) {
                    return Some(too_large);
                }
                if let Some(hasher) = &mut hasher {
                    hasher.update(&data);
                }
                if sender.send(Piece::Data(data)).await.is_err() {
                    return None;
                }
            }
        }
    }
}

impl Expected {
    fn check_so_far(&self, bytes_len: u64) -> Result<(), ApiError> {
        match self.bytes_len {
            Some(declared) if bytes_len > declared => Err(ApiError::with_status(
                actix_web::http::StatusCode::PAYLOAD_TOO_LARGE,
                Code::SizeMismatch,
                format!(
                    "The body is larger than the {declared} bytes that were announced. Send the file that was announced."
                ),
            )),
            _ if self.max_bytes > 0 && bytes_len > self.max_bytes => Err(ApiError::new(
                Code::FileTooLarge,
                format!("The file is larger than {} bytes. Split it or make it smaller.", self.max_bytes),
            )),
            _ => Ok(()),
        }
    }

    fn check(&self, bytes_len: u64, sha256: Option<String>) -> Result<(), ApiError> {
        match self.bytes_len {
            Some(declared) if bytes_len != declared => {
                return Err(ApiError::new(
                    Code::SizeMismatch,
                    format!(
                        "{bytes_len} bytes came where {declared} were announced. Send the file that was announced."
                    ),
                ));
            }
            _ => {}
        }
        if self.sha256 != sha256 {
            return Err(ApiError::of(Code::HashMismatch));
        }
        Ok(())
    }
}

/// The pieces as the store takes them. A sender that is gone without a word is a request that was dropped: an error.
fn stream_of(mut receiver: mpsc::Receiver<Piece>) -> ByteStream {
    let mut ended = false;
    Box::pin(stream::poll_fn(move |cx| {
        if ended {
            return Poll::Ready(None);
        }
        let piece = ready!(receiver.poll_recv(cx));
        ended = !matches!(piece, Some(Piece::Data(_)));
        Poll::Ready(match piece {
            Some(Piece::Data(data)) => Some(Ok(data)),
            Some(Piece::End) => None,
            Some(Piece::Refused) => Some(Err(io::Error::new(io::ErrorKind::InvalidData, "the body was refused"))),
            None => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the request was dropped"))),
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pumped(pieces: Vec<Result<Bytes, PayloadError>>, expected: Expected) -> Option<Code> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let taken = tokio::spawn(stream_of(receiver).count());
        let refused = pump(&mut stream::iter(pieces), &sender, &expected).await.map(|error| error.code());
        drop(sender);
        taken.await.unwrap();
        refused
    }

    fn abc() -> Vec<Result<Bytes, PayloadError>> {
        vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))]
    }

    fn declared(bytes_len: u64) -> Expected {
        Expected { bytes_len: Some(bytes_len), ..Expected::default() }
    }

    #[tokio::test]
    async fn a_body_must_be_what_was_announced() {
        let sha256 = hex(Sha256::digest(b"abc"));
        assert_eq!(pumped(abc(), Expected { sha256: Some(sha256), ..declared(3) }).await, None);
        assert_eq!(
            pumped(abc(), Expected { sha256: Some("00".to_owned()), ..declared(3) }).await,
            Some(Code::HashMismatch)
        );
        assert_eq!(pumped(abc(), declared(4)).await, Some(Code::SizeMismatch));
        assert_eq!(pumped(abc(), declared(2)).await, Some(Code::SizeMismatch));
        assert_eq!(pumped(abc(), Expected { max_bytes: 2, ..Expected::default() }).await, Some(Code::FileTooLarge));
        assert_eq!(
            pumped(vec![Err(PayloadError::Incomplete(None))], Expected::default()).await,
            Some(Code::BodyIncomplete)
        );
    }

    #[tokio::test]
    async fn a_dropped_request_is_no_end_of_a_body() {
        let (sender, receiver) = mpsc::channel(PIECES);
        sender.send(Piece::Data(Bytes::from_static(b"a"))).await.unwrap();
        drop(sender);
        let seen: Vec<bool> = stream_of(receiver).map(|item| item.is_ok()).collect().await;
        assert_eq!(seen, [true, false]);
    }
}
