//! The backend's errors as failures, with a code for each thing that an operator would mend differently: what to do, never
//! where the object lies.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};

use crate::domain::{Code, Failure};

/// An S3 code (or object_store's words for a redirect to another region) that no retry cures: our code, and what to do.
///
/// Source: the S3 API reference, "Error responses".
const MISCONFIGURED: &[(&str, Code, &str)] = &[
    ("NoSuchBucket", Code::StorageBucketMissing, NO_BUCKET),
    ("InvalidAccessKeyId", Code::StorageCredentialsRefused, "the access key is unknown; check AWS_ACCESS_KEY_ID"),
    (
        "SignatureDoesNotMatch",
        Code::StorageCredentialsRefused,
        "the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY",
    ),
    ("AuthorizationHeaderMalformed", Code::StorageRegionWrong, REGION),
    ("incorrectly configured region", Code::StorageRegionWrong, REGION),
    ("RequestTimeTooSkewed", Code::StorageClockWrong, "this machine's clock is wrong"),
    // A refused delete comes within a good answer, one code a key.
    ("(code: AccessDenied)", Code::StorageDenied, NO_RIGHT),
];

const NO_BUCKET: &str = "the bucket does not exist; check STORAGE_URL";
const NO_RIGHT: &str = "these credentials may not; check the bucket's policy and AWS_ACCESS_KEY_ID";
const REGION: &str = "the region is wrong; check `region` in STORAGE_URL, or AWS_REGION";
const UNNAMED: &str = "it answered with an error";

/// `Ok(None)` where there is no such object.
pub(super) fn unless_missing<T>(result: object_store::Result<T>, doing: &str) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error @ object_store::Error::NotFound { .. }) if misconfiguration(&error).is_none() => Ok(None),
        Err(error) => Err(of_store(&error, doing)),
    }
}

/// What the backend's error deserves; `doing` completes “The object storage couldn't … the file”.
pub(super) fn of_store(error: &object_store::Error, doing: &str) -> Failure {
    if let Some((code, why)) = misconfiguration(error) {
        return refused(code, doing, why);
    }
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            refused(Code::StorageDenied, doing, NO_RIGHT)
        }
        object_store::Error::NotFound { .. } => refused(Code::StorageBucketMissing, doing, NO_BUCKET),
        // The network's errors are io errors too, further down the chain.
        other => match (find::<HttpError>(other), find::<io::Error>(other)) {
            (Some(http), _) => unavailable(doing, reason(http)),
            (None, Some(io)) => of_file(io, doing),
            (None, None) => unavailable(doing, UNNAMED),
        },
    }
}

/// What an error of the local file system deserves.
pub(super) fn of_file(error: &io::Error, doing: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            refused(Code::StorageDenied, doing, "this user may not write to the folder; check its owner and mode")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => unavailable(doing, "the disk is full"),
        kind => unavailable(doing, &kind.to_string()),
    }
}

/// What an error of the folder for temporary files deserves, in which a body waits until it is whole.
pub(super) fn of_spool(error: &io::Error, doing: &str) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "is full".to_owned(),
        kind => format!("cannot be used ({kind})"),
    };
    unavailable(doing, &format!("the folder for temporary files (TMPDIR) {why}"))
}

/// Passes by itself, or with a hand of the operator; documents keep waiting.
pub(super) fn unavailable(doing: &str, why: &str) -> Failure {
    let message = format!("The object storage couldn't {doing} the file: {why}. It is tried again by itself.");
    Failure::new(Code::StorageUnavailable, message)
}

fn refused(code: Code, doing: &str, why: &str) -> Failure {
    let message = format!("The object storage refused to {doing} the file: {why}.");
    Failure::new(code, message)
}

/// object_store keeps S3's error code only inside its text.
fn misconfiguration(error: &object_store::Error) -> Option<(Code, &'static str)> {
    let text = error.to_string();
    MISCONFIGURED.iter().find(|(theirs, ..)| text.contains(theirs)).map(|(_, code, why)| (*code, *why))
}

fn reason(error: &HttpError) -> &'static str {
    match error.kind() {
        HttpErrorKind::Connect => "nothing answers there",
        HttpErrorKind::Timeout => "no answer in time",
        HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection was cut",
        _ => UNNAMED,
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        link = error.source();
    }
    None
}
