//! `e2e.document`: a small document goes in over HTTP, and must come out complete and be found.
//!
//! With a database its owner is the user of all canaries, by an API key that is made for it and removed with everything
//! else; without one it is the user of APP_TOKEN. INT and TERM end the wait; the document is removed all the same.

mod document;

use self::document::{DOCUMENT_CAUSES, Ended, NOT_CONFIGURED, NOT_REMOVED, TestDocument};
use super::{
    super::{
        canary::{self, CanaryKey},
        check::{Check, Context, Outcome, Problem},
        database::environment::{DATABASE_READY, ready_db},
    },
    api,
};
use domain::{DocumentId, ports::ObjectStore};
use housekeeping::canaries::{CANARY_USER, Removed};
use pg::Db;

pub(crate) static DOCUMENT: Check = Check::once(
    "e2e.document",
    "a small document goes in over HTTP, becomes complete and is found (`--e2e`).",
    |context| Box::pin(document(context)),
)
.after(DATABASE_READY)
.cleans_up()
.finds(DOCUMENT_CAUSES);

async fn document(context: &Context<'_>) -> Outcome {
    let db = match ready_db(context) {
        Ok(db) => Some(db),
        Err(_) if context.config.database.url.is_none() => None,
        Err(problem) => return Err(problem),
    };
    let Some(url) = context.options.api_url.as_ref().or(context.config.client.url.as_ref()) else {
        let problem = NOT_CONFIGURED.seen("no address of the API is known");
        return Err(problem.fix("Give --api-url, or set APP_URL; in development, start `app dev`."));
    };
    let root = api::root_of(url);
    match (db, &context.setup.store, &context.config.client.token) {
        (Some(db), Ok(store), _) => as_canary(context, &root, db, &**store).await,
        (_, _, Some(token)) => as_caller(context, &root, token.expose()).await,
        (_, _, None) => Err(NOT_CONFIGURED.seen("no database to make a key in, and no APP_TOKEN")),
    }
}

/// As the user of all canaries, with a key that is there for this run alone.
async fn as_canary(context: &Context<'_>, root: &str, db: &Db, store: &dyn ObjectStore) -> Outcome {
    canary::sweep(context).await;
    let key = CanaryKey::make(db).await.map_err(|problem| {
        let why = format!("no key could be made: {}", problem.observed());
        NOT_CONFIGURED.seen(why).fix("Mend the database first; its own checks name the cause.")
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

/// As the user that APP_TOKEN stands for; the document is deleted as its owner would.
async fn as_caller(context: &Context<'_>, root: &str, token: &str) -> Outcome {
    let document = TestDocument::new(context, root, token);
    let ended = document.upload_and_find().await;
    outcome(root, ended, document.delete().await.err().map(Problem::observed))
}

/// `left`: why something is left, if it is.
fn outcome(root: &str, ended: Result<Ended, Problem>, left: Option<String>) -> Outcome {
    match (ended?, left) {
        (Ended::Found { ms }, None) => Ok(format!("{root}: complete and found after {ms} ms")),
        (Ended::Found { ms }, Some(why)) => {
            Err(NOT_REMOVED.seen(format!("complete and found after {ms} ms, but {why}")))
        }
        (Ended::Stopped, None) => Problem::skipped("interrupted; what it had put in was removed"),
        (Ended::Stopped, Some(why)) => Err(NOT_REMOVED.seen(format!("interrupted, and {why}"))),
    }
}
