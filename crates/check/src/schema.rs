//! Whether the schema is the one that this build works with: applied, unaltered, and as the migrations made it.

use super::{
    Scene,
    catalogue::Group,
    database::or_no_answer,
    finding::{Cause, Finding, Look, skip_behind},
};
use pg::{Db, DbError};
use store::{
    migrations::{MigrationStatus, list_migrations},
    shape::compare_shape,
    trial::{get_vector_facts, list_refused_pairs, writable_pairs},
};

pub(super) static MISSING: Cause =
    Cause::error("db.schema", "missing", "The database has no schema of this system.").waitable();
static BEHIND: Cause =
    Cause::error("db.schema", "behind", "Migrations of this build are not applied: api and worker wait.").waitable();
static ALTERED: Cause = Cause::error(
    "db.schema",
    "altered",
    "A migration was applied with another text than this build's: nobody knows which schema this is.",
);
static NEWER: Cause = Cause::warning(
    "db.schema",
    "newer",
    "A newer build has migrated this database. Fine while its changes only add, as during a deploy or after rolling back.",
);
static STATUS_REFUSED: Cause = Cause::error(
    "db.enum",
    "status_refused",
    "A constraint refuses a status that this build writes: each document that reaches it fails.",
);
static SHAPE_MISSING: Cause = Cause::error(
    "db.shape",
    "missing",
    "A table, column, constraint, index, trigger or function that the migrations made is gone.",
);
static SHAPE_CHANGED: Cause = Cause::error(
    "db.shape",
    "changed",
    "A table, column, constraint, index, trigger or function is not as the migrations made it.",
);
static DIMENSION: Cause = Cause::error(
    "db.vectors",
    "dimension_unlike_model",
    "Vectors stored under the active model's name have another dimension: search and embedding would fail or mix models.",
);
static INVALID_INDEX: Cause = Cause::warning(
    "db.vectors",
    "invalid_index",
    "An index on vectors was left half built: searches do without it and are slow.",
);

pub(super) const GROUP: Group = Group {
    name: "schema",
    checks: &[
        ("db.schema", "every migration of this build is applied, and unaltered."),
        ("db.enum", "the constraints take every status and state that this build writes."),
        ("db.shape", "tables, columns, constraints, indexes, triggers and functions are as the migrations made them."),
        ("db.vectors", "stored vectors fit the active model, and their indexes are whole."),
    ],
    causes: &[
        &MISSING,
        &BEHIND,
        &ALTERED,
        &NEWER,
        &STATUS_REFUSED,
        &SHAPE_MISSING,
        &SHAPE_CHANGED,
        &DIMENSION,
        &INVALID_INDEX,
    ],
};

pub(super) async fn check(scene: &Scene<'_>, db: &Db) -> Vec<Finding> {
    let schema = or_no_answer("db.schema", migrations(db).await);
    if schema.is_failure() {
        let mut findings = vec![schema];
        findings.extend(skip_behind(&["db.enum", "db.shape", "db.vectors"], "db.schema"));
        return findings;
    }
    let refused = statuses(db).await;
    // What refuses a status is a constraint that was changed: told once.
    let told = refused.as_ref().is_ok_and(Finding::is_failure);
    let shape = or_no_answer("db.shape", shape(db, told).await);
    vec![schema, or_no_answer("db.enum", refused), shape, or_no_answer("db.vectors", vectors(scene, db).await)]
}

async fn migrations(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("db.schema");
    let all = list_migrations(db).await?;
    let names = |of: &dyn Fn(&MigrationStatus) -> bool| {
        all.iter().filter(|m| of(m)).map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let altered = names(&|m| m.altered);
    if !altered.is_empty() {
        return Ok(look.found(
            &ALTERED,
            format!("applied with another text than this build's: {altered}"),
            "A migration is never edited once it was applied: build from the commit that was deployed, or restore its file.",
        ));
    }
    let pending = names(&|m| m.applied_on.is_none());
    if all.iter().all(|m| m.applied_on.is_none()) {
        return Ok(look.found(&MISSING, "no migration is applied", "Run `app migrate`."));
    }
    if !pending.is_empty() {
        return Ok(look.found(&BEHIND, format!("not applied: {pending}"), "Run `app migrate`."));
    }
    let newer = names(&|m| m.sql.is_none());
    if !newer.is_empty() {
        return Ok(look.found(
            &NEWER,
            format!("a newer build has applied: {newer}"),
            "Deploy the newer build, unless this one was rolled back to on purpose.",
        ));
    }
    Ok(look.passed(format!("{} migrations applied, none pending", all.len())))
}

async fn statuses(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("db.enum");
    let refused = list_refused_pairs(db).await?;
    let Some(((status, state), says)) = refused.first() else {
        return Ok(look.passed("every status and state that this build writes is taken"));
    };
    if refused.len() == writable_pairs().len() {
        return Ok(look.skipped("every job is refused, whatever its status; see q.trip"));
    }
    Ok(look
        .found(
            &STATUS_REFUSED,
            format!("{} refused, the first {status} with {state}: {says}", refused.len()),
            "Restore the constraints on upload_jobs as the migrations made them (`app migrate --dry-run` and migrations/ have the text).",
        )
        .expecting("every status and state of this build is taken"))
}

async fn shape(db: &Db, constraints_are_told: bool) -> Result<Finding, DbError> {
    let look = Look::at("db.shape");
    let mut found = compare_shape(&db.get().await?).await?;
    if constraints_are_told {
        let other = |line: &String| !line.starts_with("constraint upload_jobs.");
        found.missing.retain(other);
        found.changed.retain(other);
    }
    let fix = "Restore it as migrations/ makes it; or restore a backup, if nobody knows what else was changed.";
    Ok(if !found.missing.is_empty() {
        look.found(&SHAPE_MISSING, format!("not there: {}", some_of(&found.missing)), fix)
    } else if !found.changed.is_empty() {
        look.found(&SHAPE_CHANGED, some_of(&found.changed), fix)
    } else {
        look.passed("as the migrations made it")
    })
}

/// The first few; the rest counted.
fn some_of(lines: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = lines.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    match lines.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

async fn vectors(scene: &Scene<'_>, db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("db.vectors");
    let name = &scene.config.embedder.model;
    let facts = get_vector_facts(&db.get().await?, name).await?;
    if !facts.invalid_indexes.is_empty() {
        return Ok(look.found(
            &INVALID_INDEX,
            format!("not valid: {}", facts.invalid_indexes.join(", ")),
            "Run `app migrate`, which drops it and builds it anew without locking writers out.",
        ));
    }
    let dims: Vec<String> = facts.dims.iter().map(ToString::to_string).collect();
    if dims.is_empty() {
        return Ok(look.passed(format!("no vectors of {name} yet")));
    }
    let Ok(embedder) = scene.model.embedder().await else {
        return Ok(look.skipped("the model cannot be loaded; see ext.embed"));
    };
    let dim = embedder.model().dim;
    Ok(if dims.iter().all(|stored| *stored == dim.to_string()) {
        look.passed(format!("stored vectors of {name} have its {dim} components"))
    } else {
        look.found(
            &DIMENSION,
            format!("vectors stored as {name} have {} components", dims.join(" and ")),
            "Set EMBED_MODEL or EMBED_VERSION to a name of its own for the new model, then retry the documents --from chunks_stored.",
        )
        .expecting(format!("{dim} components"))
    })
}
