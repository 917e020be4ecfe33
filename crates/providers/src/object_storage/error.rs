//! Turns the backend's errors into failures. Each code has a remedy of its own. The text never says where the object is.

use std::{error::Error, io, iter};

use object_store::client::{HttpError, HttpErrorKind};

use domain::{Code, Failure};

/// S3's error codes (and object_store's words for a redirect to another region) that no retry cures, with the code and
/// the remedy. From the S3 API reference, “Error responses”.
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
    // A refused delete is part of a successful answer, with one code per key.
    ("(code: AccessDenied)", Code::StorageDenied, NO_RIGHT),
];

const NO_BUCKET: &str = "the bucket does not exist; check STORAGE_URL";
const NO_RIGHT: &str = "these credentials may not; check the bucket's policy and AWS_ACCESS_KEY_ID";
const REGION: &str = "the region is wrong; check `region` in STORAGE_URL, or AWS_REGION";
const UNNAMED: &str = "it answered with an error";

/// `Ok(None)` if the object does not exist.
pub(super) fn unless_missing<T>(result: object_store::Result<T>, doing: &str) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error @ object_store::Error::NotFound { .. }) if misconfiguration(&error).is_none() => Ok(None),
        Err(error) => Err(of_store(&error, doing)),
    }
}

/// The failure that the backend's error means. `doing` completes “The object storage couldn't … the file”.
pub(super) fn of_store(error: &object_store::Error, doing: &str) -> Failure {
    if let Some((code, why)) = misconfiguration(error) {
        return refused(code, doing, why);
    }
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            refused(Code::StorageDenied, doing, NO_RIGHT)
        }
        object_store::Error::NotFound { .. } => refused(Code::StorageBucketMissing, doing, NO_BUCKET),
        // A network error has an io error further down its chain, so it is looked for first.
        other => match (find::<HttpError>(other), find::<io::Error>(other)) {
            (Some(http), _) => unavailable(doing, reason(http)),
            (None, Some(io)) => of_file(io, doing),
            (None, None) => unavailable(doing, UNNAMED),
        },
    }
}

/// The failure that an error of the local file system means.
pub(super) fn of_file(error: &io::Error, doing: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            refused(Code::StorageDenied, doing, "this user may not write to the folder; check its owner and mode")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            refused(Code::StorageFull, doing, "the disk is full; free some space")
        }
        kind => unavailable(doing, &kind.to_string()),
    }
}

/// The failure that an error of the folder for temporary files means.
pub(super) fn of_spool(error: &io::Error, doing: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            refused(Code::StorageFull, doing, "the folder for temporary files (TMPDIR) is full; free some space")
        }
        kind => unavailable(doing, &format!("the folder for temporary files (TMPDIR) cannot be used ({kind})")),
    }
}

/// A failure that is retried, while the storage recovers or the operator repairs it.
pub(super) fn unavailable(doing: &str, why: &str) -> Failure {
    let message = format!("The object storage couldn't {doing} the file: {why}.");
    Failure::new(Code::StorageUnavailable, message)
}

fn refused(code: Code, doing: &str, why: &str) -> Failure {
    let message = format!("The object storage refused to {doing} the file: {why}.");
    Failure::new(code, message)
}

/// object_store gives S3's error code only within its text.
fn misconfiguration(error: &object_store::Error) -> Option<(Code, &'static str)> {
    let text = error.to_string();
    MISCONFIGURED.iter().find(|(s3_code, ..)| text.contains(s3_code)).map(|(_, code, why)| (*code, *why))
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
    let mut causes = iter::successors(Some(error), |&error| error.source());
    causes.find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ErrorClass;

    #[test]
    fn a_full_disk_pauses_the_worker_and_costs_no_try() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            for failure in [of_file(&kind.into(), "write"), of_spool(&kind.into(), "write")] {
                assert_eq!((failure.code, failure.class), (Code::StorageFull, ErrorClass::Configuration));
            }
        }
    }
}
