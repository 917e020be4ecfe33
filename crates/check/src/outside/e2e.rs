//! `e2e.document`: a small document is uploaded over HTTP, and must become complete and be found.
//!
//! With a database, its owner is the canaries' user, by an API key that is created for the check and removed with
//! everything else; without a database, it is the user of APP_TOKEN. INT and TERM end the wait, and the document is still
//! removed.

mod document;

use self::document::{Ended, TestDocument};
use super::{
    super::{
        canary::{self, CanaryKey},
        check::{Context, Outcome, Problem, declare},
        database::environment::{DATABASE_READY, ready_db},
    },
    api,
};
use domain::{DocumentId, ports::ObjectStore};
use housekeeping::canaries::{CANARY_USER, Removed};
use pg::Db;

declare! {
    DOCUMENT = once("e2e.document",
        "a small document can be uploaded over HTTP, becomes complete and is found (`--e2e`).", document)
        .after(DATABASE_READY)
        .cleans_up();
    NOT_CONFIGURED = error("not_configured",
        "The address of the API or the credentials for it are unknown.",
        "Set DATABASE_URL and STORAGE_URL as for the API, so that the check can create a key; or set APP_TOKEN.");
    UNREACHABLE = error("unreachable",
        "The API does not answer, or the connection breaks.",
        "See the cause that api.reach finds, with --api-url.").may_pass();
    REFUSED = error("refused",
        "The API refuses the document.",
        "Follow its answer; docs/errors.md has the code.");
    FAILED = error("failed",
        "The document was accepted, and its job failed.",
        "Follow the message; docs/errors.md has the code, the worker's log the rest.");
    NOT_COMPLETE_IN_TIME = error("not_complete_in_time",
        "The document was accepted, and its job did not end: no worker is alive, or the workers are busy or stuck.",
        "Start a worker, or read the log of the running ones; `app jobs` shows their jobs.").may_pass();
    NOT_FOUND_BY_SEARCH = error("not_found_by_search",
        "The document is complete, and a search for it does not find it.",
        "Read the API's log; ext.embed and db.schema check what search needs.");
    NOT_REMOVED = warning("not_removed",
        "The check could not remove everything that it stored; a worker's housekeeping, or the next check, removes the rest.",
        "If a worker runs, nothing; otherwise run `app check` again in ten minutes with the API's own STORAGE_URL.");
}

async fn document(context: &Context<'_>) -> Outcome {
    let db = match ready_db(context) {
        Ok(db) => Some(db),
        Err(_) if context.config.database.url.is_none() => None,
        Err(problem) => return Err(problem),
    };
    let Some(url) = context.options.api_url.as_ref().or(context.config.client.url.as_ref()) else {
        let problem = NOT_CONFIGURED.seen("the API's address is unknown");
        return Err(problem.fix("Pass --api-url, or set APP_URL; in development, start `app dev`."));
    };
    let root = api::root_of(url);
    match (db, &context.setup.store, &context.config.client.token) {
        (Some(db), Ok(store), _) => as_canary(context, &root, db, &**store).await,
        (_, _, Some(token)) => as_caller(context, &root, token.expose()).await,
        (_, _, None) => Err(NOT_CONFIGURED.seen("there is no database in which to create a key, and no APP_TOKEN")),
    }
}

/// Acts as the canaries' user, with an API key for this run only.
async fn as_canary(context: &Context<'_>, root: &str, db: &Db, store: &dyn ObjectStore) -> Outcome {
    canary::sweep(context).await;
    let key = CanaryKey::create(db).await.map_err(|problem| {
        let why = format!("no key could be created: {}", problem.observed());
        NOT_CONFIGURED.seen(why).fix("Repair the database first; its own checks find the cause.")
    })?;
    let document = TestDocument::new(context, root, key.secret.expose());
    let ended = document.upload_and_find().await;
    let id = DocumentId::of(CANARY_USER, &document.sha256());
    let left = match key.remove_with(db, store, id).await {
        Ok(Removed::Completely) => None,
        Ok(Removed::LeftToHousekeeping) => Some("its objects are left to a worker's housekeeping".to_owned()),
        Err(failure) => Some(failure.to_string()),
    };
    outcome(root, ended, left)
}

/// Acts as the user of APP_TOKEN, and deletes the document as its owner does.
async fn as_caller(context: &Context<'_>, root: &str, token: &str) -> Outcome {
    let document = TestDocument::new(context, root, token);
    let ended = document.upload_and_find().await;
    outcome(root, ended, document.delete().await.err().map(Problem::observed))
}

/// `left`: why not everything was removed.
fn outcome(root: &str, ended: Result<Ended, Problem>, left: Option<String>) -> Outcome {
    match (ended?, left) {
        (Ended::Found { ms }, None) => Ok(format!("{root}: complete and found after {ms} ms")),
        (Ended::Found { ms }, Some(why)) => {
            Err(NOT_REMOVED.seen(format!("complete and found after {ms} ms, but {why}")))
        }
        (Ended::Stopped, None) => Problem::skipped("interrupted; everything that it stored was removed"),
        (Ended::Stopped, Some(why)) => Err(NOT_REMOVED.seen(format!("interrupted, and {why}"))),
    }
}
