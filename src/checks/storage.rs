//! The object store, by a small object of ours: put, looked at, read, put by a signed URL, deleted.

mod limits;

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::{
    Scene,
    catalogue::Group,
    finding::{Cause, Finding, Look},
    http,
};
use crate::{
    canary,
    config::StorageLocation,
    db::Db,
    domain::{Code, Failure},
    ports::ObjectStore,
};

const RW: &str = "store.rw";

static UNREACHABLE: Cause =
    Cause::error(RW, "unreachable", "The object store does not answer, or answers with an error of its own.")
        .waitable();
static CREDENTIALS_REFUSED: Cause =
    Cause::error(RW, "credentials_refused", "The store does not know the access key, or its secret is another.");
static BUCKET_MISSING: Cause = Cause::error(RW, "bucket_missing", "The bucket of STORAGE_URL does not exist.");
static REGION_WRONG: Cause =
    Cause::error(RW, "region_wrong", "Requests are signed for another region than the bucket's.");
static CLOCK_WRONG: Cause =
    Cause::error(RW, "clock_wrong", "This machine's clock is too far off for the store to take its signatures.");
static NOT_WRITABLE: Cause =
    Cause::error(RW, "not_writable", "The store lets this key read and not write: every upload would fail.");
static NOT_READABLE: Cause = Cause::error(
    RW,
    "not_readable",
    "What was stored cannot be read back as it was: every document would fail at its first step.",
);
static NOT_DELETABLE: Cause = Cause::error(
    RW,
    "not_deletable",
    "The store keeps what it is told to delete: deleted documents would leave their bytes behind.",
);
static SIGNED_PUT_REFUSED: Cause = Cause::error(
    RW,
    "signed_put_refused",
    "The store refuses a PUT to a URL that it should accept: uploads in two steps would fail.",
);
static FOLDER_UNUSABLE: Cause =
    Cause::error(RW, "folder_unusable", "The folder of STORAGE_URL cannot be made, or not be written to.");
static MISCONFIGURED: Cause = Cause::error(RW, "misconfigured", "STORAGE_URL or its companions cannot be used.");

pub(super) const GROUP: Group = Group {
    name: "storage",
    checks: &[
        (RW, "a small object can be stored, read back, stored by a signed URL and deleted."),
        (limits::LIMITS, "the bucket takes every size and type that uploads may have, and is not public (Supabase)."),
    ],
    causes: &[
        &UNREACHABLE,
        &CREDENTIALS_REFUSED,
        &BUCKET_MISSING,
        &REGION_WRONG,
        &CLOCK_WRONG,
        &NOT_WRITABLE,
        &NOT_READABLE,
        &NOT_DELETABLE,
        &SIGNED_PUT_REFUSED,
        &FOLDER_UNUSABLE,
        &MISCONFIGURED,
        &limits::KEY_REFUSED,
        &limits::UNREACHABLE,
        &limits::BUCKET_MISSING,
        &limits::BUCKET_PUBLIC,
        &limits::SIZE_LIMIT_BELOW_OURS,
        &limits::TYPE_NOT_ALLOWED,
    ],
};

/// For one call of the store; its client tries again by itself. Source: ours; a healthy store takes a tenth of a second.
const CALL_WITHIN: Duration = Duration::from_secs(8);
/// How long the signed URL holds.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// Put by ourselves, then by the signed URL.
const BODIES: [&[u8]; 2] = [b"app check was here\n", b"app check was here, by a signed URL\n"];

/// `db`: a database of this environment with the schema of this build, where there is one.
pub(super) async fn check(scene: &Scene<'_>, db: Option<&Db>) -> Vec<Finding> {
    let selection = &scene.options.selection;
    let mut findings = Vec::new();
    if selection.wants(RW) {
        findings.push(round_trip(scene, db).await);
    }
    if selection.wants(limits::LIMITS) {
        findings.push(limits::check(scene).await);
    }
    findings
}

async fn round_trip(scene: &Scene<'_>, db: Option<&Db>) -> Finding {
    let look = Look::at(RW);
    let store = match (&scene.store, &scene.config.storage.location) {
        (_, None) => return look.skipped("STORAGE_URL is missing or cannot be used"),
        (Ok(store), Some(_)) => store,
        (Err(why), Some(StorageLocation::Folder(_))) => {
            return look.found(&FOLDER_UNUSABLE, why, "Make the folder, owned by the user that runs app.");
        }
        (Err(why), Some(StorageLocation::S3(_))) => {
            return look.found(&MISCONFIGURED, why, "Correct STORAGE_URL as the sentence says.");
        }
    };
    let key = match note(db).await {
        Ok(key) => key,
        Err(failure) => return look.skipped(&format!("no row for it could be written: {failure}")),
    };
    let outcome = trip(&**store, &key).await;
    // Whatever went wrong: what could be removed is removed, and only then is its row.
    let removed = remove(&**store, &key).await;
    if removed.is_ok()
        && let Some(db) = db
    {
        // Where this fails, the row expires by itself.
        drop(canary::forget_object(db, &key).await);
    }
    match outcome.and_then(|signed| removed.map(|()| signed)) {
        Ok(signed) => {
            let signed = if signed { ", by a signed URL too" } else { "; this store signs no URLs" };
            look.passed(format!("{}: stored, read and deleted{signed}", shown(scene)))
        }
        Err(Fault { cause, observed, fix }) => look.found(cause, format!("{}: {observed}", shown(scene)), fix),
    }
}

/// The canary's key. With a database, a row precedes its first byte. Without one its place is always the same, so that
/// the next check finds what a killed one left.
async fn note(db: Option<&Db>) -> Result<String, Failure> {
    match db {
        Some(db) => canary::announce_object(db).await,
        None => Ok(canary::object_key("check")),
    }
}

struct Fault {
    cause: &'static Cause,
    observed: String,
    fix: String,
}

impl Fault {
    fn new(cause: &'static Cause, observed: impl Into<String>, fix: &str) -> Self {
        Self { cause, observed: observed.into(), fix: fix.to_owned() }
    }

    /// A failure of a call, where `denied` is what a plain refusal of it means.
    fn of(failure: &Failure, denied: &'static Cause) -> Self {
        let (cause, fix) = match failure.code {
            Code::StorageBucketMissing => {
                (&BUCKET_MISSING, "Create the bucket, or correct its name in STORAGE_URL; check whose account it is.")
            }
            Code::StorageCredentialsRefused => {
                (&CREDENTIALS_REFUSED, "Take AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY anew, both of one key.")
            }
            Code::StorageRegionWrong => (&REGION_WRONG, "Set the bucket's region: STORAGE_URL=s3://…?region=…."),
            Code::StorageClockWrong => (&CLOCK_WRONG, "Set this machine's clock."),
            Code::StorageDenied => {
                (denied, "Give the key this right on the bucket; for a folder, correct its owner and mode.")
            }
            _ => (&UNREACHABLE, "Check the endpoint in STORAGE_URL, and the store's own status."),
        };
        Self::new(cause, failure.message.clone(), fix)
    }
}

/// Puts, looks, reads, and where the store signs does it again by URL; whether it does.
async fn trip(store: &dyn ObjectStore, key: &str) -> Result<bool, Fault> {
    if let Err(failure) = within(put(store, key, BODIES[0])).await {
        return Err(refused_put(store, key, &failure).await);
    }
    read_back(store, key, BODIES[0], &NOT_READABLE).await?;
    let signed = within(store.signed_put_url(key, SIGNED_FOR)).await;
    let Some(url) = signed.map_err(|failure| Fault::of(&failure, &SIGNED_PUT_REFUSED))? else { return Ok(false) };
    let fix = "Give the key the right to write; behind a proxy, see that it passes host, path and query on unchanged.";
    let request = http::client().put(url).body(BODIES[1]);
    match http::send(request).await {
        Ok(answer) if answer.is_success() => {}
        Ok(answer) => {
            let said = s3_code(&answer.text()).map(|code| format!(" ({code})")).unwrap_or_default();
            let observed = format!("the PUT to a signed URL was answered with {}{said}", answer.status);
            return Err(Fault::new(&SIGNED_PUT_REFUSED, observed, fix));
        }
        Err(trouble) => {
            let observed = format!("the PUT to a signed URL failed: {trouble}");
            return Err(Fault::new(&SIGNED_PUT_REFUSED, observed, fix));
        }
    }
    read_back(store, key, BODIES[1], &SIGNED_PUT_REFUSED).await.map(|()| true)
}

/// A key that may not write may perhaps read; one that may do neither is the wrong one.
async fn refused_put(store: &dyn ObjectStore, key: &str, failure: &Failure) -> Fault {
    if failure.code != Code::StorageDenied {
        return Fault::of(failure, &NOT_WRITABLE);
    }
    match within(store.head(key)).await {
        Err(again) if again.code == Code::StorageDenied => Fault::new(
            &CREDENTIALS_REFUSED,
            format!("{} It may not even look", failure.message),
            "Take another key, or give this one rights on the bucket: read, write, delete.",
        ),
        Ok(_) | Err(_) => Fault::of(failure, &NOT_WRITABLE),
    }
}

async fn put(store: &dyn ObjectStore, key: &str, body: &'static [u8]) -> Result<(), Failure> {
    let body = stream::iter([io::Result::Ok(Bytes::from_static(body))]);
    store.put(key, Box::pin(body), 0).await.map(drop)
}

async fn read_back(
    store: &dyn ObjectStore,
    key: &str,
    body: &'static [u8],
    otherwise: &'static Cause,
) -> Result<(), Fault> {
    let failed = |failure: Failure| Fault::of(&failure, otherwise);
    let to = std::env::temp_dir().join(format!("app-check-{}", uuid::Uuid::new_v4()));
    let size = within(store.head(key)).await.map_err(failed)?;
    let fetched = within(store.fetch(key, &to)).await;
    let read = tokio::fs::read(&to).await;
    // Not being there is fine.
    drop(tokio::fs::remove_file(&to).await);
    let fetched = fetched.map_err(failed)?;
    if fetched.is_some() && size == Some(body.len() as u64) && read.is_ok_and(|read| read == body) {
        return Ok(());
    }
    let observed = match fetched {
        None => "what was just stored is not there".to_owned(),
        Some(stored) => {
            format!("{} bytes were stored, and {} others came back", body.len(), stored.bytes_len)
        }
    };
    let fix =
        "See whether something between here and the store caches or changes objects, and that nothing deletes them.";
    Err(Fault::new(otherwise, observed, fix))
}

async fn remove(store: &dyn ObjectStore, key: &str) -> Result<(), Fault> {
    let failed = |failure: Failure| Fault::of(&failure, &NOT_DELETABLE);
    within(store.delete(key)).await.map_err(failed)?;
    match within(store.head(key)).await.map_err(failed)? {
        None => Ok(()),
        Some(_) => Err(Fault::new(
            &NOT_DELETABLE,
            "what was just deleted is still there",
            "Give the key the right to delete; a bucket with object lock keeps what it has.",
        )),
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(CALL_WITHIN, call).await.unwrap_or_else(|_elapsed| {
        Err(Failure::new(
            Code::StorageUnavailable,
            format!("The object storage gave no answer within {} s.", CALL_WITHIN.as_secs()),
        ))
    })
}

/// S3's own code in an XML answer.
fn s3_code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    code.chars().all(|c| c.is_ascii_alphanumeric()).then_some(code)
}

/// Where documents are kept, without secrets.
fn shown(scene: &Scene<'_>) -> String {
    match &scene.config.storage.location {
        Some(StorageLocation::Folder(folder)) => format!("folder {}", folder.display()),
        Some(StorageLocation::S3(s3)) => match &s3.endpoint {
            Some(endpoint) => format!("bucket {} at {}", s3.bucket, http::shown(endpoint)),
            None => format!("bucket {} in {}", s3.bucket, s3.region),
        },
        None => "no store".to_owned(),
    }
}
