//! The indexes of our schema: whether they are complete, each there once, read without their tables, and kept sound by this pgvector.

use super::{
    super::check::{Context, Outcome, declare},
    schema::MIGRATIONS,
};
use pg::server::{IndexFacts, PageFacts, get_index_facts, get_page_facts};
use store::SCHEMA;

/// The table whose index answers searches by words.
const WORDS: &str = "search_words";
/// Pages from which it matters.
const PAGES: i64 = 1000;
/// The first version of pgvector whose vacuum cannot corrupt an HNSW index (pgvector, CHANGELOG).
const SOUND_VERSION: [u32; 3] = [0, 8, 3];

declare! {
    VACUUM = once("db.vacuum", "searches by words read the index alone, as vacuum lets them.", vacuum)
        .needs(&[&MIGRATIONS]);
    STALE = warning("stale",
        "Vacuum has not seen a great part of the index on words: searches read its table as well, at about twice the time.",
        "Run `VACUUM (ANALYZE)` on the table search_words, and see that autovacuum is on and not held up by long transactions.")
        .may_pass();
}

declare! {
    PGVECTOR = once("db.pgvector", "vacuum keeps indexes on vectors sound.", pgvector).needs(&[&MIGRATIONS]);
    MAY_CORRUPT = warning("vacuum_may_corrupt",
        "There is an HNSW index, which `app` does not use, and pgvector is older than 0.8.3, whose vacuum may corrupt it: who reads it would miss passages.",
        "Update pgvector on the server, run `ALTER EXTENSION vector UPDATE`, then REINDEX the index; or drop it.");
}

declare! {
    INDEXES = once("db.indexes", "the indexes of the schema are complete, and each is there once.", indexes)
        .needs(&[&MIGRATIONS]);
    INVALID = warning("invalid",
        "An index was left incomplete: each write costs time for it, and no query uses it.");
    DUPLICATE = warning("duplicate",
        "Two indexes are the same but for their names: each write pays for both.");
}

async fn vacuum(context: &Context<'_>) -> Outcome {
    let PageFacts { pages, visible } = get_page_facts(&context.conn().await?, SCHEMA, WORDS).await?;
    let observed = format!("vacuum has seen {visible} of {pages} pages of {WORDS}");
    match pages >= PAGES && visible < pages / 10 * 7 {
        true => Err(STALE.seen(observed).expecting("seven in ten or more")),
        false => Ok(observed),
    }
}

async fn pgvector(context: &Context<'_>) -> Outcome {
    let version = context.facts().await?.vector_version.clone().unwrap_or_default();
    let IndexFacts { hnsw, .. } = get_index_facts(&context.conn().await?, SCHEMA).await?;
    if hnsw.is_empty() {
        return Ok(format!("pgvector {version}, and no HNSW index"));
    }
    let observed = format!("pgvector {version}, with {}", hnsw.join(", "));
    match parse_version(&version) {
        Some(found) if found < SOUND_VERSION => Err(MAY_CORRUPT.seen(observed).expecting("0.8.3 or newer")),
        Some(_) | None => Ok(observed),
    }
}

/// The numbers of `0.8.3`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

async fn indexes(context: &Context<'_>) -> Outcome {
    let IndexFacts { invalid, duplicate, .. } = get_index_facts(&context.conn().await?, SCHEMA).await?;
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
