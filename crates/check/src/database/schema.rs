//! Whether the schema is the one that this build works with: applied, unaltered, and as the migrations made it.

use super::{
    super::check::{Cause, Check, Context, Outcome, Problem, causes},
    server::{EXTENSION, ROLE, VERSION, WRITABLE},
};
use store::{
    migrations::{MigrationStatus, list_migrations},
    shape::compare_shape,
    trial::{get_vector_facts, list_refused_pairs, writable_pairs},
};

pub(crate) static MIGRATIONS: Check =
    Check::once("db.schema", "every migration of this build is applied, and unaltered.", |context| {
        Box::pin(migrations(context))
    })
    .needs(&[&VERSION, &WRITABLE, &EXTENSION, &ROLE])
    .finds(MIGRATIONS_CAUSES);
pub(crate) static STATUSES: Check =
    Check::once("db.enum", "the constraints take every status and state that this build writes.", |context| {
        Box::pin(statuses(context))
    })
    .needs(&[&MIGRATIONS])
    .finds(STATUSES_CAUSES);
// What refuses a status is a constraint that was changed: said once.
pub(crate) static SHAPE: Check = Check::once(
    "db.shape",
    "tables, columns, constraints, indexes, triggers and functions are as the migrations made them.",
    |context| Box::pin(shape(context)),
)
.needs(&[&STATUSES])
.finds(SHAPE_CAUSES);
pub(crate) static VECTORS: Check =
    Check::once("db.vectors", "stored vectors fit the active model, and their indexes are whole.", |context| {
        Box::pin(vectors(context))
    })
    .needs(&[&MIGRATIONS])
    .finds(VECTORS_CAUSES);

const RESTORE: &str =
    "Restore it as migrations/ makes it; or restore a backup, if it is not known what else was changed.";
causes! { MIGRATIONS_CAUSES:
    MISSING = error("missing", "The database has no schema of this system.", "Run `app migrate`.").may_pass();
    BEHIND = error("behind",
        "Migrations of this build are not applied: api and worker wait.",
        "Run `app migrate`.").may_pass();
    ALTERED = error("altered",
        "A migration was applied with another text than this build's: it is not known which schema this is.",
        "A migration is never edited once it was applied: build from the commit that was deployed, or restore its file.");
    NEWER = warning("newer",
        "A newer build has migrated this database. Fine while its changes only add, as during a deploy or after rolling back.",
        "Deploy the newer build, unless this one was rolled back to on purpose.");
}

causes! { STATUSES_CAUSES:
    STATUS_REFUSED = error("status_refused",
        "A constraint refuses a status that this build writes: each document that reaches it fails.",
        "Restore the constraints on upload_jobs as the migrations made them (`app migrate --dry-run` and migrations/ have the text).");
}

causes! { SHAPE_CAUSES:
    SHAPE_MISSING = error("missing",
        "A table, column, constraint, index, trigger or function that the migrations made is gone.",
        RESTORE);
    SHAPE_CHANGED = error("changed",
        "A table, column, constraint, index, trigger or function is not as the migrations made it.",
        RESTORE);
}

causes! { VECTORS_CAUSES:
    DIMENSION = error("dimension_unlike_model",
        "Vectors stored under the active model's name have another dimension: search and embedding would fail or mix models.",
        "Set EMBED_MODEL or EMBED_VERSION to a name of its own for the new model, then retry the documents --from chunks_stored.");
    INVALID_INDEX = warning("invalid_index",
        "An index on vectors was left half built: searches do without it and are slow.",
        "Run `app migrate`, which drops it and builds it again without locking writers out.");
}

async fn migrations(context: &Context<'_>) -> Outcome {
    let all = list_migrations(context.db()?).await?;
    let names = |of: fn(&MigrationStatus) -> bool| {
        all.iter().filter(|m| of(m)).map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let altered = names(|m| m.altered);
    let pending = names(|m| m.applied_on.is_none());
    let newer = names(|m| m.sql.is_none());
    if !altered.is_empty() {
        Err(ALTERED.seen(format!("applied with another text than this build's: {altered}")))
    } else if all.iter().all(|m| m.applied_on.is_none()) {
        Err(MISSING.seen("no migration is applied"))
    } else if !pending.is_empty() {
        Err(BEHIND.seen(format!("not applied: {pending}")))
    } else if !newer.is_empty() {
        Err(NEWER.seen(format!("a newer build has applied: {newer}")))
    } else {
        Ok(format!("{} migrations applied, none pending", all.len()))
    }
}

async fn statuses(context: &Context<'_>) -> Outcome {
    let refused = list_refused_pairs(context.db()?).await?;
    let Some(((status, state), says)) = refused.first() else {
        return Ok("every status and state that this build writes is taken".to_owned());
    };
    if refused.len() == writable_pairs().len() {
        return Problem::skipped("every job is refused, whatever its status; see q.trip");
    }
    let observed = format!("{} refused, the first {status} with {state}: {says}", refused.len());
    Err(STATUS_REFUSED.seen(observed).expecting("every status and state of this build is taken"))
}

async fn shape(context: &Context<'_>) -> Outcome {
    let found = compare_shape(&context.conn().await?).await?;
    if !found.missing.is_empty() {
        Err(SHAPE_MISSING.seen(format!("not there: {}", some_of(&found.missing))))
    } else if !found.changed.is_empty() {
        Err(SHAPE_CHANGED.seen(some_of(&found.changed)))
    } else {
        Ok("as the migrations made it".to_owned())
    }
}

/// The first few; the rest counted.
fn some_of(lines: &[String]) -> String {
    const SHOWN: usize = 5;
    match lines.len().saturating_sub(SHOWN) {
        0 => lines.join("; "),
        more => format!("{}; and {more} more", lines[..SHOWN].join("; ")),
    }
}

async fn vectors(context: &Context<'_>) -> Outcome {
    let name = &context.config.embedder.model;
    let facts = get_vector_facts(&context.conn().await?, name).await?;
    if !facts.invalid_indexes.is_empty() {
        return Err(INVALID_INDEX.seen(format!("not valid: {}", facts.invalid_indexes.join(", "))));
    }
    if facts.dims.is_empty() {
        return Ok(format!("no vectors of {name} yet"));
    }
    let Ok(embedder) = context.setup.model.embedder().await else {
        return Problem::skipped("the model cannot be loaded; see ext.embed");
    };
    let dim = embedder.model().dim.to_string();
    let stored: Vec<String> = facts.dims.iter().map(ToString::to_string).collect();
    if stored.iter().all(|stored| *stored == dim) {
        return Ok(format!("stored vectors of {name} have its {dim} components"));
    }
    let observed = format!("vectors stored as {name} have {} components", stored.join(" and "));
    Err(DIMENSION.seen(observed).expecting(format!("{dim} components")))
}
