//! The indexes of our schema: whether this pgvector keeps them sound, whether they are complete, and each there once.

use super::{
    super::check::{Context, Outcome, Problem, declare},
    schema::MIGRATIONS,
};
use pg::server::{IndexFacts, get_index_facts};
use store::{SCHEMA, trial::VECTOR_INDEX_PREFIX};

/// The first version whose vacuum repairs an HNSW index without corrupting it (pgvector, CHANGELOG).
const SOUND_VERSION: [u32; 3] = [0, 8, 3];

declare! {
    PGVECTOR = once("db.pgvector", "vacuum keeps the indexes on vectors sound.", pgvector).needs(&[&MIGRATIONS]);
    MAY_CORRUPT = warning("vacuum_may_corrupt",
        "There is an HNSW index, and pgvector is older than 0.8.3, whose vacuum may corrupt it: searches would miss passages.",
        "Update pgvector on the server, run `ALTER EXTENSION vector UPDATE`, then REINDEX the index.");
}

declare! {
    INDEXES = once("db.indexes", "the indexes of the schema are complete, and each is there once.", indexes)
        .needs(&[&MIGRATIONS]);
    INVALID = warning("invalid",
        "An index was left incomplete: each write costs time for it, and no query uses it.");
    DUPLICATE = warning("duplicate",
        "Two indexes are the same but for their names: each write pays for both.");
}

async fn facts(context: &Context<'_>) -> Result<IndexFacts, Problem> {
    Ok(get_index_facts(&context.conn().await?, SCHEMA).await?)
}

async fn pgvector(context: &Context<'_>) -> Outcome {
    let version = context.facts().await?.vector_version.clone().unwrap_or_default();
    let hnsw = facts(context).await?.hnsw;
    if hnsw.is_empty() {
        return Ok(format!("pgvector {version}, and no HNSW index"));
    }
    match parse_version(&version) {
        Some(found) if found < SOUND_VERSION => {
            Err(MAY_CORRUPT.seen(format!("pgvector {version}, with {}", hnsw.join(", "))).expecting("0.8.3 or newer"))
        }
        Some(_) | None => Ok(format!("pgvector {version}, with {}", hnsw.join(", "))),
    }
}

/// The numbers of `0.8.3`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

async fn indexes(context: &Context<'_>) -> Outcome {
    let IndexFacts { mut invalid, duplicate, .. } = facts(context).await?;
    // Those that `app migrate` builds again are reported by `db.vectors`.
    invalid.retain(|name| !name.starts_with(VECTOR_INDEX_PREFIX));
    if let Some(first) = invalid.first() {
        let fix = format!("Run `REINDEX INDEX CONCURRENTLY {SCHEMA}.{first}`, or drop the index if it is not ours.");
        return Err(INVALID.seen(format!("not valid: {}", invalid.join(", "))).fix(fix));
    }
    if let Some(first) = duplicate.first() {
        let fix = "Drop the one that migrations/ does not make: `DROP INDEX CONCURRENTLY …`.";
        return Err(DUPLICATE.seen(format!("the same: {first}")).fix(fix));
    }
    Ok("complete, and each once".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("0.8.2").unwrap() < SOUND_VERSION && parse_version("0.10.0").unwrap() > SOUND_VERSION);
        assert_eq!(parse_version("0.9.0-dev"), None);
    }
}
