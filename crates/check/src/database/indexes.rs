//! The indexes of our schema: whether they are complete, each there once, and read without their tables.

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

declare! {
    VACUUM = once("db.vacuum", "searches by words read the index alone, as vacuum lets them.", vacuum)
        .needs(&[&MIGRATIONS]);
    STALE = warning("stale",
        "Vacuum has not seen a great part of the index on words: searches read its table as well, at about twice the time.",
        "Run `VACUUM (ANALYZE)` on the table search_words, and see that autovacuum is on and not held up by long transactions.")
        .may_pass();
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

async fn indexes(context: &Context<'_>) -> Outcome {
    let IndexFacts { invalid, duplicate } = get_index_facts(&context.conn().await?, SCHEMA).await?;
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
