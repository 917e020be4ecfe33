//! `store.limits`: what Supabase's Storage API says about the bucket, against what uploads may be.

use serde::Deserialize;

use super::super::{
    Scene,
    finding::{Cause, Finding, Look},
    http,
};
use config::{S3Location, StorageLocation};

pub(super) const LIMITS: &str = "store.limits";

pub(super) static KEY_REFUSED: Cause =
    Cause::error(LIMITS, "key_refused", "Supabase's Storage API refuses SUPABASE_SERVICE_ROLE_KEY.");
pub(super) static UNREACHABLE: Cause =
    Cause::error(LIMITS, "unreachable", "Supabase's Storage API does not answer.").waitable();
pub(super) static BUCKET_MISSING: Cause =
    Cause::error(LIMITS, "bucket_missing", "The project of SUPABASE_URL has no bucket of this name.");
pub(super) static BUCKET_PUBLIC: Cause =
    Cause::error(LIMITS, "bucket_public", "The bucket is public: whoever knows a document's key can read it.");
pub(super) static SIZE_LIMIT_BELOW_OURS: Cause = Cause::error(
    LIMITS,
    "size_limit_below_ours",
    "The bucket refuses files of a size that UPLOAD_MAX_BYTES admits: they are taken, and cannot be stored.",
);
pub(super) static TYPE_NOT_ALLOWED: Cause = Cause::error(
    LIMITS,
    "type_not_allowed",
    "The bucket refuses a type of file that is admitted here: it is taken, and cannot be stored.",
);

/// What is stored: the documents that can be parsed, and, without a type of its own, what the API and the worker put.
const TYPES: [&str; 8] = [
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "text/html",
    "text/markdown",
    "text/plain",
    "application/octet-stream",
];

/// Supabase's answer. Source: its Storage API, `GET /bucket/{id}`.
#[derive(Debug, Deserialize)]
struct Bucket {
    #[serde(default)]
    public: bool,
    /// Bytes; absent: the project's own limit holds, which this API does not tell.
    file_size_limit: Option<u64>,
    /// Types, `image/*` too; absent: all.
    allowed_mime_types: Option<Vec<String>>,
}

pub(super) async fn check(scene: &Scene<'_>) -> Finding {
    let look = Look::at(LIMITS);
    let auth = &scene.config.auth;
    let (Some(project), Some(key)) = (&auth.supabase_url, &auth.service_role_key) else {
        return look.skipped("needs SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY");
    };
    let Some(StorageLocation::S3(s3)) = &scene.config.storage.location else {
        return look.skipped("documents are not in a bucket");
    };
    if !is_supabase(s3) {
        return look.skipped("the bucket is not Supabase's");
    }
    let url = format!("{}/storage/v1/bucket/{}", project.as_str().trim_end_matches('/'), s3.bucket);
    let request = http::client().get(url).bearer_auth(key.expose()).header("apikey", key.expose());
    let answer = match http::send(request).await {
        Ok(answer) => answer,
        Err(trouble) => {
            let observed = format!("{}: {trouble}", http::shown(project));
            return look.found(&UNREACHABLE, observed, "Check SUPABASE_URL, and the project's status.");
        }
    };
    let place = format!("bucket {} of {}", s3.bucket, http::shown(project));
    // Supabase says 400 for what is 404 elsewhere, with the real status in the body.
    let says = answer.text().to_lowercase();
    match answer.status {
        200 => {}
        400 | 404 if says.contains("not found") || says.contains("notfound") => {
            let fix = "Create it in this project (private), or correct STORAGE_URL or SUPABASE_URL: they disagree.";
            return look.found(&BUCKET_MISSING, format!("{place}: there is none"), fix);
        }
        400 | 401 | 403 => {
            let fix = "Take the project's service role key (or a secret key) anew: Settings, API keys.";
            return look.found(&KEY_REFUSED, format!("{place}: answered with {}", answer.status), fix);
        }
        status => {
            let fix = "See the project's status, and try again.";
            return look.found(&UNREACHABLE, format!("{place}: answered with {status}"), fix);
        }
    }
    match answer.json::<Bucket>() {
        Some(bucket) => judge(look, &place, &bucket, scene.config.uploads.max_bytes),
        None => look.found(
            &UNREACHABLE,
            format!("{place}: the answer is none of Supabase's"),
            "Check SUPABASE_URL: something else answers there.",
        ),
    }
}

fn judge(look: Look, place: &str, bucket: &Bucket, max_bytes: u64) -> Finding {
    if bucket.public {
        return look.found(&BUCKET_PUBLIC, format!("{place} is public"), "Make it private in the dashboard, at once.");
    }
    if let Some(limit) = bucket.file_size_limit.filter(|limit| *limit > 0 && (max_bytes == 0 || *limit < max_bytes)) {
        let fix = format!("Raise the bucket's limit, or set UPLOAD_MAX_BYTES={limit}.");
        let ours = if max_bytes == 0 { "no limit".to_owned() } else { format!("{max_bytes} bytes") };
        return look
            .found(&SIZE_LIMIT_BELOW_OURS, format!("{place} takes {limit} bytes at most"), fix)
            .expecting(format!("UPLOAD_MAX_BYTES ({ours}) or more"));
    }
    let allowed = bucket.allowed_mime_types.as_deref().unwrap_or_default();
    let refused: Vec<&str> = TYPES.into_iter().filter(|mime| !allows(allowed, mime)).collect();
    if !refused.is_empty() {
        let fix = "Allow all types, or add these to the bucket's list.";
        return look.found(&TYPE_NOT_ALLOWED, format!("{place} refuses {}", refused.join(", ")), fix);
    }
    let limit = bucket.file_size_limit.map_or("the project's size limit".to_owned(), |limit| format!("{limit} bytes"));
    look.passed(format!("{place}: private, {limit}, all types of ours"))
}

/// An empty list allows all.
fn allows(allowed: &[String], mime: &str) -> bool {
    let kind = mime.split('/').next().unwrap_or_default();
    let fits = |pattern: &String| pattern == mime || pattern == "*/*" || *pattern == format!("{kind}/*");
    allowed.is_empty() || allowed.iter().any(fits)
}

/// Source: Supabase, "S3 authentication": `https://<ref>.storage.supabase.co/storage/v1/s3`.
fn is_supabase(s3: &S3Location) -> bool {
    s3.endpoint.as_ref().is_some_and(|url| url.path().trim_end_matches('/').ends_with("/storage/v1/s3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_types_may_have_wildcards_and_an_empty_one_allows_all() {
        let list = |types: &[&str]| types.iter().map(|mime| (*mime).to_owned()).collect::<Vec<_>>();
        assert!(allows(&[], "text/html") && allows(&list(&["text/*"]), "text/html"));
        assert!(allows(&list(&["image/png", "application/pdf"]), "application/pdf"));
        assert!(!allows(&list(&["image/png", "text/*"]), "application/pdf"));
    }
}
