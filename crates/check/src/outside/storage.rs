//! `store.rw`: the object store, with a small object that is stored, read, stored by a signed URL, and deleted.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::{
    super::{
        canary::{self, CanaryObject},
        certificate::{ENOUGH_DAYS, days_left},
        check::{Cause, Context, Outcome, Problem, declare},
        database::environment::DATABASE_READY,
    },
    http,
};
use config::StorageLocation;
use domain::{Code, Failure, ports::ObjectStore};

const GIVE_RIGHT: &str = "Give the key this right on the bucket; for a folder, correct its owner and mode.";

declare! {
    READ_WRITE = once("store.rw",
        "a small object can be stored, read back, stored by a signed URL and deleted.", read_write)
        .after(DATABASE_READY)
        .cleans_up();
    UNREACHABLE = error("unreachable",
        "The object store does not answer, or answers with an error of its own.",
        "Check the endpoint in STORAGE_URL, and the status of the store.").may_pass();
    CREDENTIALS_REFUSED = error("credentials_refused",
        "The store does not know the access key, or the secret is not that of the key.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY again, both of one key that may read, write and delete in the bucket.");
    BUCKET_MISSING = error("bucket_missing",
        "The bucket of STORAGE_URL does not exist.",
        "Create the bucket, or correct its name in STORAGE_URL; check that it belongs to the key's account.");
    REGION_WRONG = error("region_wrong",
        "Requests are signed for another region than the bucket's.",
        "Set the bucket's region: STORAGE_URL=s3://…?region=….");
    CLOCK_WRONG = error("clock_wrong",
        "This machine's clock is so far off that the store refuses its signatures.",
        "Set this machine's clock.");
    NOT_WRITABLE = error("not_writable",
        "The key may read from the store, but not write to it: every upload would fail.",
        GIVE_RIGHT);
    NOT_READABLE = error("not_readable",
        "An object cannot be read back as it was stored: every document would fail at its first step.",
        GIVE_RIGHT);
    NOT_DELETABLE = error("not_deletable",
        "The store keeps objects that it is told to delete: the bytes of deleted documents would remain.",
        GIVE_RIGHT);
    SIGNED_PUT_REFUSED = error("signed_put_refused",
        "The store refuses a PUT to a signed URL: uploads in two steps would fail.",
        "Give the key the right to write; behind a proxy, check that it passes host, path and query on unchanged.");
    FULL = error("full",
        "The disk of the object store, or of TMPDIR, is full: uploads fail, and workers wait.",
        "Free some space, or give the volume more.");
    ENDS_SOON = warning("certificate_ends_soon",
        "The store's certificate ends within 30 days; then no file can be stored or read.",
        "Renew the certificate of the store, or see why its automatic renewal fails.");
    FOLDER_UNUSABLE = error("folder_unusable",
        "The folder of STORAGE_URL cannot be created, or cannot be written to.",
        "Create the folder, owned by the user that runs app.");
    MISCONFIGURED = error("misconfigured",
        "STORAGE_URL, or a setting that belongs to it, cannot be used.",
        "Correct STORAGE_URL as the message says.");
}

/// For one call, including the retries of the store's client; a healthy store takes a tenth of a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long the signed URL is valid.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// Stored directly, then by the signed URL.
const BODIES: [&[u8]; 2] = [b"app check was here\n", b"app check was here, by a signed URL\n"];

async fn read_write(context: &Context<'_>) -> Outcome {
    let (store, place) = open(context)?;
    canary::sweep(context).await;
    let object = CanaryObject::announce(context).await;
    let stored = store_and_read(context, &**store, &object.key).await;
    // Remove the object even after a failure, and its row only after the object.
    let removed = remove(&**store, &object.key).await;
    if removed.is_ok() {
        object.forget().await;
    }
    let signed = stored.and_then(|signed| removed.map(|()| signed)).map_err(|problem| problem.at(&place))?;
    match days_left(signed.as_ref().and_then(|answer| answer.certificate_ends_at)) {
        Some(days) if days < ENOUGH_DAYS => {
            return Err(ENDS_SOON.seen(format!("its certificate ends in {days} days")).at(&place));
        }
        _ => {}
    }
    let signed = if signed.is_some() { ", by a signed URL too" } else { "; this store signs no URLs" };
    Ok(format!("{place}: stored, read and deleted{signed}"))
}

/// The store, and its place without secrets.
pub(super) fn open<'c>(context: &'c Context<'_>) -> Result<(&'c Arc<dyn ObjectStore>, String), Problem> {
    let (cause, place) = match &context.config.storage.location {
        None => return Problem::skipped("STORAGE_URL is missing or cannot be used"),
        Some(StorageLocation::Folder(folder)) => (&FOLDER_UNUSABLE, format!("folder {}", folder.display())),
        Some(StorageLocation::S3(s3)) => {
            let at = s3
                .endpoint
                .as_ref()
                .map_or_else(|| format!("in {}", s3.region), |url| format!("at {}", http::without_secrets(url)));
            (&MISCONFIGURED, format!("bucket {} {at}", s3.bucket))
        }
    };
    match &context.setup.store {
        Ok(store) => Ok((store, place)),
        Err(why) => Err(cause.seen(why)),
    }
}

/// The cause of a failed call; `denied` if the store refuses this one.
fn problem(failure: Failure, denied: &'static Cause) -> Problem {
    let cause = match failure.code {
        Code::StorageBucketMissing => &BUCKET_MISSING,
        Code::StorageCredentialsRefused => &CREDENTIALS_REFUSED,
        Code::StorageRegionWrong => &REGION_WRONG,
        Code::StorageClockWrong => &CLOCK_WRONG,
        Code::StorageDenied => denied,
        Code::StorageFull => &FULL,
        _ => &UNREACHABLE,
    };
    cause.seen(failure.message)
}

/// Stores and reads an object, then again by a signed URL. Returns the answer to that; `None`: the store signs no URLs.
async fn store_and_read(
    context: &Context<'_>,
    store: &dyn ObjectStore,
    key: &str,
) -> Result<Option<http::Answer>, Problem> {
    let body = stream::iter([io::Result::Ok(Bytes::from_static(BODIES[0]))]);
    if let Err(failure) = within(store.put(key, Box::pin(body), 0)).await {
        return Err(cause_of_failed_put(store, key, failure).await);
    }
    read_back(store, key, BODIES[0], &NOT_READABLE).await?;
    let version = within(store.version(key)).await.map_err(|failure| problem(failure, &NOT_READABLE))?;
    _ = context.keeps_versions.set(version.is_some());
    let signed = within(store.signed_put_url(key, SIGNED_FOR)).await;
    let Some(url) = signed.map_err(|failure| problem(failure, &SIGNED_PUT_REFUSED))? else { return Ok(None) };
    let refused = |result: String| SIGNED_PUT_REFUSED.seen(format!("the PUT to a signed URL {result}"));
    let answer = http::send(http::client().put(url).body(BODIES[1]))
        .await
        .map_err(|error| refused(format!("failed: {error}")))?;
    if !answer.is_success() {
        let code = s3_code(&answer.text()).map(|code| format!(" ({code})")).unwrap_or_default();
        return Err(refused(format!("was answered with {}{code}", answer.status)));
    }
    read_back(store, key, BODIES[1], &SIGNED_PUT_REFUSED).await.map(|()| Some(answer))
}

/// The cause of a failed PUT. A key that may not even read is the wrong key.
async fn cause_of_failed_put(store: &dyn ObjectStore, key: &str, failure: Failure) -> Problem {
    if failure.code == Code::StorageDenied
        && within(store.head(key)).await.is_err_and(|again| again.code == Code::StorageDenied)
    {
        return CREDENTIALS_REFUSED.seen(format!("{} The key may not read either", failure.message));
    }
    problem(failure, &NOT_WRITABLE)
}

async fn read_back(store: &dyn ObjectStore, key: &str, body: &[u8], denied: &'static Cause) -> Result<(), Problem> {
    let failed = |failure| problem(failure, denied);
    let to = std::env::temp_dir().join(format!("app-check-{}", uuid::Uuid::new_v4()));
    let size = within(store.head(key)).await.map_err(failed)?;
    let fetched = within(store.fetch(key, &to)).await;
    let read = tokio::fs::read(&to).await;
    // The file is missing if the fetch failed.
    drop(tokio::fs::remove_file(&to).await);
    let observed = match fetched.map_err(failed)? {
        None => "the object that was just stored is missing".to_owned(),
        Some(_) if size == Some(body.len() as u64) && read.is_ok_and(|read| read == body) => return Ok(()),
        Some(stored) => format!("{} bytes were stored, and {} different ones were read", body.len(), stored.bytes_len),
    };
    Err(denied
        .seen(observed)
        .fix("Check whether a proxy before the store caches or changes objects, and that no rule deletes them."))
}

async fn remove(store: &dyn ObjectStore, key: &str) -> Result<(), Problem> {
    let failed = |failure| problem(failure, &NOT_DELETABLE);
    within(store.delete(key)).await.map_err(failed)?;
    match within(store.head(key)).await.map_err(failed)? {
        None => Ok(()),
        Some(_) => Err(NOT_DELETABLE
            .seen("the object that was just deleted is still there")
            .fix("Give the key the right to delete; a bucket with object lock keeps its objects.")),
    }
}

pub(super) async fn within<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_elapsed| {
        let message = format!("The object storage gave no answer within {} s.", CALL_TIMEOUT.as_secs());
        Err(Failure::new(Code::StorageUnavailable, message))
    })
}

/// The S3 error code in an XML answer.
fn s3_code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    code.chars().all(|c| c.is_ascii_alphanumeric()).then_some(code)
}
