//! `e2e.document`: a small document goes in over HTTP, and must come out complete and be found.
//!
//! With a database its owner is the user of all canaries, by an API key that is made for it and removed with everything
//! else; without one it is the user of APP_TOKEN. INT and TERM end the wait, not the cleaning up.

mod trip;

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Scene, api,
    catalogue::Group,
    finding::{Cause, Finding, Look, skip_behind},
};
use ::api::ApiKeySecret;
use canary::{self, ABANDONED_AFTER, CANARY_NAME, CANARY_USER, Removed, Store};
use domain::{DocumentId, Failure, ports::ObjectStore};
use pg::Db;
use store::{
    api_keys::{NewApiKey, Scope, insert_api_key},
    canary::delete_canary_keys,
    workers::list_live_workers,
};
use trip::{Ended, Trip, Wrong};

const DOCUMENT: &str = "e2e.document";

static NOT_CONFIGURED: Cause =
    Cause::error(DOCUMENT, "not_configured", "It is not known where the API is, or as whom to log in.");
static UNREACHABLE: Cause =
    Cause::error(DOCUMENT, "unreachable", "The API does not answer, or the connection breaks.").waitable();
static REFUSED: Cause = Cause::error(DOCUMENT, "refused", "The API does not take a document.");
static FAILED: Cause = Cause::error(DOCUMENT, "failed", "The document was taken, and its job ended badly.");
static NOT_COMPLETE_IN_TIME: Cause = Cause::error(
    DOCUMENT,
    "not_complete_in_time",
    "The document was taken, and its job did not end: no worker is alive, or they are busy or stuck.",
)
.waitable();
static NOT_FOUND_BY_SEARCH: Cause =
    Cause::error(DOCUMENT, "not_found_by_search", "The document is complete, and a search for it does not find it.");
static NOT_REMOVED: Cause = Cause::warning(
    DOCUMENT,
    "not_removed",
    "What the check has put in could not be removed whole; a worker's housekeeping, or the next check, does it.",
);

pub(super) const GROUP: Group = Group {
    name: "e2e",
    checks: &[(DOCUMENT, "a small document goes in over HTTP, becomes complete and is found (`--e2e`).")],
    causes: &[
        &NOT_CONFIGURED,
        &UNREACHABLE,
        &REFUSED,
        &FAILED,
        &NOT_COMPLETE_IN_TIME,
        &NOT_FOUND_BY_SEARCH,
        &NOT_REMOVED,
    ],
};

/// How long a worker that has the job in hand at the end may take to end it; then it is taken away.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

/// `ground`: a database of this environment with the schema of this build, or the check that says why there is none.
pub(super) async fn check(scene: &Scene<'_>, ground: Result<&Db, &'static str>) -> Vec<Finding> {
    if !scene.options.selection.wants(DOCUMENT) {
        return Vec::new();
    }
    match ground {
        Err(blocker) if scene.config.database.url.is_some() => skip_behind(&[DOCUMENT], blocker),
        _ => vec![document(scene, ground.ok()).await],
    }
}

async fn document(scene: &Scene<'_>, db: Option<&Db>) -> Finding {
    let look = Look::at(DOCUMENT);
    let Some(url) = scene.options.api_url.as_ref().or(scene.config.client.url.as_ref()) else {
        let fix = "Give --api-url, or set APP_URL; in development, start `app dev`.";
        return look.found(&NOT_CONFIGURED, "no address of the API is known", fix);
    };
    let root = api::root_of(url);
    let store = scene.store.as_ref().ok().map(|store| &**store);
    match (db.zip(store), &scene.config.client.token) {
        (Some((db, store)), _) => as_canary(look, scene, &root, db, store).await,
        (None, Some(token)) => as_caller(look, scene, &root, token.expose()).await,
        (None, None) => {
            let fix = "Let DATABASE_URL and STORAGE_URL be the API's, for a key of its own; or set APP_TOKEN.";
            look.found(&NOT_CONFIGURED, "nobody to log in as: no database to make a key in, and no APP_TOKEN", fix)
        }
    }
}

/// As the user of all canaries, with a key that is there for this run alone.
async fn as_canary(look: Look, scene: &Scene<'_>, root: &str, db: &Db, store: &dyn ObjectStore) -> Finding {
    let (key_id, key) = match make_key(db).await {
        Ok(made) => made,
        Err(why) => {
            let fix = "Mend the database first; its own checks name the cause.";
            return look.found(&NOT_CONFIGURED, format!("no key could be made: {why}"), fix);
        }
    };
    let trip = Trip::new(root, key.expose(), scene.config.client.e2e_timeout);
    let ended = trip.run(scene.stop).await;
    let document = DocumentId::of(CANARY_USER, &trip.sha256());
    let removed = clean_up(db, store, document, key_id).await;
    judge(look, root, ended, removed.map_err(|failure| failure.to_string()), Some(db)).await
}

async fn make_key(db: &Db) -> Result<(Uuid, ApiKeySecret), String> {
    let secret = ApiKeySecret::generate().ok_or("the system gave no randomness")?;
    let key = NewApiKey {
        name: CANARY_NAME,
        key_sha256: &secret.sha256(),
        user_id: Some(CANARY_USER),
        scope: Scope::Write,
        expires_at: Some(OffsetDateTime::now_utc() + ABANDONED_AFTER),
    };
    let conn = db.get().await.map_err(|error| error.to_string())?;
    let key_id = insert_api_key(&conn, &key).await.map_err(|error| error.to_string())?;
    Ok((key_id, secret))
}

/// Takes out the document and the key, each even where the other fails.
async fn clean_up(db: &Db, store: &dyn ObjectStore, document: DocumentId, key_id: Uuid) -> Result<Removed, Failure> {
    let removed = canary::remove_document(db, store, Store::Perhaps, document, LET_GO_WITHIN).await;
    delete_canary_keys(&db.get().await?, CANARY_USER, Some(key_id), Duration::ZERO).await?;
    removed
}

/// As whoever APP_TOKEN stands for; the document is deleted as its owner would.
async fn as_caller(look: Look, scene: &Scene<'_>, root: &str, token: &str) -> Finding {
    let trip = Trip::new(root, token, scene.config.client.e2e_timeout);
    let ended = trip.run(scene.stop).await;
    let removed = trip.delete().await.map(|()| Removed::Wholly);
    judge(look, root, ended, removed, None).await
}

async fn judge(
    look: Look,
    root: &str,
    ended: Result<Ended, Wrong>,
    removed: Result<Removed, String>,
    db: Option<&Db>,
) -> Finding {
    let left = match removed {
        Ok(Removed::Wholly) => None,
        Ok(Removed::LeftToHousekeeping) => Some("its objects are left to a worker's housekeeping".to_owned()),
        Err(why) => Some(why),
    };
    let fix_left =
        "Nothing, where a worker runs; else run `app check` again with the API's own STORAGE_URL in ten minutes.";
    match (ended, left) {
        (Ok(Ended::Found { ms }), None) => look.passed(format!("{root}: complete and found after {ms} ms")),
        (Ok(Ended::Found { ms }), Some(why)) => {
            look.found(&NOT_REMOVED, format!("complete and found after {ms} ms, but {why}"), fix_left)
        }
        (Ok(Ended::Stopped), None) => look.skipped("interrupted; what it had put in was removed"),
        (Ok(Ended::Stopped), Some(why)) => look.found(&NOT_REMOVED, format!("interrupted, and {why}"), fix_left),
        (Err(wrong), _) => blame(look, root, wrong, db).await,
    }
}

async fn blame(look: Look, root: &str, wrong: Wrong, db: Option<&Db>) -> Finding {
    match wrong {
        Wrong::Unreachable(why) => {
            look.found(&UNREACHABLE, format!("{root}: {why}"), "See the cause that api.reach names, with --api-url.")
        }
        Wrong::Refused { said, is_about_the_key: true } => look.found(
            &REFUSED,
            format!("{root}: {said}"),
            "The API does not know a key that was just made: it uses another database than DATABASE_URL. Give both the same, or \
             unset DATABASE_URL and set APP_TOKEN.",
        ),
        Wrong::Refused { said, .. } => {
            look.found(&REFUSED, format!("{root}: {said}"), "Do what the answer says; docs/errors.md has its code.")
        }
        Wrong::Failed(said) => {
            look.found(&FAILED, said, "Do what the message says; docs/errors.md has its code, the worker's log the rest.")
        }
        Wrong::Late(stands) => {
            let workers = match alive(db).await {
                Some(0) => "no worker is alive".to_owned(),
                Some(n) => format!("{n} workers are alive"),
                None => "whether a worker is alive is not known here".to_owned(),
            };
            let fix = "Start a worker, or look at the log of the ones there are; `app jobs` shows what they are busy with.";
            look.found(&NOT_COMPLETE_IN_TIME, format!("{stands}; {workers}"), fix)
        }
        Wrong::NotFound(why) => {
            look.found(&NOT_FOUND_BY_SEARCH, why, "See the API's log; ext.embed and db.schema name what search needs.")
        }
    }
}

async fn alive(db: Option<&Db>) -> Option<usize> {
    Some(list_live_workers(&db?.get().await.ok()?).await.ok()?.len())
}
