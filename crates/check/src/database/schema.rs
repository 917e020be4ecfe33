//! Whether the schema is the one this build works with: every migration applied and unaltered, and the result unchanged.

use super::{
    super::check::{Context, Outcome, Problem, declare},
    server::{EXTENSION, ROLE, VERSION, WRITABLE},
    settings::SETTINGS,
};
use store::{
    active_model::get_active_model,
    migrations::{MigrationStatus, list_migrations},
    packed::count_unpacked,
    shape::compare_shape,
    trial::{get_vector_facts, list_refused_pairs, writable_pairs},
    words::count_unindexed,
};

const RESTORE: &str = "Restore it as migrations/ makes it; or restore a backup, if other changes are possible.";

declare! {
    MIGRATIONS = once("db.schema", "every migration of this build is applied, and unaltered.", migrations)
        .needs(&[&VERSION, &WRITABLE, &EXTENSION, &ROLE, &SETTINGS]);
    MISSING = error("missing", "The database does not have this system's schema.", "Run `app migrate`.").may_pass();
    BEHIND = error("behind",
        "Migrations of this build are not applied: api and worker wait.",
        "Run `app migrate`.").may_pass();
    ALTERED = error("altered",
        "A migration was applied with another text than this build's: the schema is unknown.",
        "A migration is never edited after it was applied: build from the commit that was deployed, or restore its file.");
    NEWER = warning("newer",
        "A newer build has migrated this database. That is right during a deploy or after rolling back, if its changes only add.",
        "Deploy the newer build, unless this one was rolled back to on purpose.");
}

declare! {
    STATUSES = once("db.enum", "the constraints accept every status and state that this build writes.", statuses)
        .needs(&[&MIGRATIONS]);
    STATUS_REFUSED = error("status_refused",
        "A constraint refuses a status that this build writes: each document that reaches it fails.",
        "Restore the constraints on upload_jobs as the migrations made them (`app migrate --dry-run` and migrations/ have the text).");
}

// It needs `db.enum`, so that a changed constraint that refuses a status is reported once.
declare! {
    SHAPE = once("db.shape",
        "tables, columns, constraints, indexes, triggers and functions are as the migrations made them.", shape)
        .needs(&[&STATUSES]);
    SHAPE_MISSING = error("missing",
        "A table, column, constraint, index, trigger or function that the migrations made is missing.",
        RESTORE);
    SHAPE_CHANGED = error("changed",
        "A table, column, constraint, index, trigger or function is not as the migrations made it.",
        RESTORE);
}

declare! {
    VECTORS = once("db.vectors", "stored vectors fit the active model.", vectors)
        .needs(&[&MIGRATIONS]);
    DIMENSION = error("dimension_unlike_model",
        "Vectors stored under the active model's name have another dimension: search and embedding would fail or mix models.",
        "Set EMBED_MODEL or EMBED_VERSION to a name of its own for the new model, then retry the documents --from chunks_stored.");
    MODEL_DIFFERS = warning("model_differs",
        "EMBED_MODEL, EMBED_VERSION or EMBED_PROVIDER names another model than the one of this database's vectors, which is used.",
        "Set EMBED_MODEL, EMBED_VERSION and EMBED_PROVIDER to the database's model. They name the model of an empty database only.");
}

declare! {
    WORDS = once("db.words", "every complete document is in the index on words, and its vectors are packed.", words_filled).needs(&[&MIGRATIONS]);
    WORDS_LEFT = warning("left",
        "Documents that were complete before an upgrade are not in the index on words yet: their owners' searches use the old one.",
        "Wait: housekeeping, which runs beside each worker, puts them in. Then run `app migrate`, which drops the old index.").may_pass();
    UNPACKED = warning("unpacked",
        "Vectors of complete documents are not packed yet: a search by meaning compares each of them, which is slow for their owners.",
        "Wait: housekeeping, which runs beside each worker, packs them.").may_pass();
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
    let Some(((status, state), error)) = refused.first() else {
        return Ok("every status and state that this build writes is accepted".to_owned());
    };
    if refused.len() == writable_pairs().len() {
        return Problem::skipped("every job is refused, whatever its status; see q.trip");
    }
    let observed = format!("{} refused, the first {status} with {state}: {error}", refused.len());
    Err(STATUS_REFUSED.seen(observed).expecting("every status and state of this build is accepted"))
}

async fn shape(context: &Context<'_>) -> Outcome {
    let found = compare_shape(&context.conn().await?).await?;
    if !found.missing.is_empty() {
        Err(SHAPE_MISSING.seen(format!("missing: {}", some_of(&found.missing))))
    } else if !found.changed.is_empty() {
        Err(SHAPE_CHANGED.seen(some_of(&found.changed)))
    } else {
        Ok("as the migrations made it".to_owned())
    }
}

/// The first few lines, and the number of the others.
fn some_of(lines: &[String]) -> String {
    const SHOWN: usize = 5;
    match lines.len().saturating_sub(SHOWN) {
        0 => lines.join("; "),
        more => format!("{}; and {more} more", lines[..SHOWN].join("; ")),
    }
}

async fn words_filled(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    match (count_unindexed(&conn).await?, count_unpacked(&conn).await?) {
        (0, 0) => Ok("every complete document is in the index on words, its vectors packed".to_owned()),
        (0, unpacked) => Err(UNPACKED.seen(format!("the vectors of {unpacked} complete documents are not packed"))),
        (left, _) => Err(WORDS_LEFT.seen(format!("{left} complete documents are not in the index on words"))),
    }
}

async fn vectors(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    let settings = &context.config.embedder;
    let active = get_active_model(&conn).await?;
    let name = active.as_ref().map_or(&settings.model, |active| &active.model);
    let facts = get_vector_facts(&conn, name).await?;
    drop(conn);
    let differs = || {
        let provider = settings.provider.as_str();
        let set = (&settings.model, &settings.version, provider);
        let active = active.as_ref().filter(|it| (&it.model, &it.version, it.provider.as_str()) != set)?;
        let by = if active.provider == provider {
            [String::new(), String::new()]
        } else {
            [provider, &active.provider].map(|provider| format!(" by the provider {provider}"))
        };
        let observed = format!("EMBED_MODEL is {} version {}{}", settings.model, settings.version, by[0]);
        Some(MODEL_DIFFERS.seen(observed).expecting(format!("{} version {}{}", active.model, active.version, by[1])))
    };
    if facts.dims.is_empty() {
        if let Some(differs) = differs() {
            return Err(differs);
        }
        return Ok(format!("no vectors of {name} yet"));
    }
    let Ok(embedder) = context.setup.model.embedder().await else {
        return Problem::skipped("the model cannot be used; see ext.embed and ext.embeddings");
    };
    let dim = embedder.model().dim.to_string();
    let stored: Vec<String> = facts.dims.iter().map(ToString::to_string).collect();
    if stored.iter().all(|stored| *stored == dim) {
        if let Some(differs) = differs() {
            return Err(differs);
        }
        return Ok(format!("stored vectors of {name} have its {dim} components"));
    }
    let observed = format!("vectors stored as {name} have {} components", stored.join(" and "));
    Err(DIMENSION.seen(observed).expecting(format!("{dim} components")))
}
