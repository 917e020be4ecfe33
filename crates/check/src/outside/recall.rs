//! `search.recall`: whether search finds what a file of questions says is right.

use super::super::check::{Context, Outcome, Problem, declare};

declare! {
    RECALL = once("search.recall", "search finds what the questions of `--recall` want, often enough.", recall);
    BELOW = error("below",
        "Search finds the answers to fewer of these questions than `--at-least` asks.",
        "See which with `app eval FILE --save`, and compare with a result from before (`--baseline`): a document that is missing, \
         another model, or another build; do not deploy this one until it is known.");
    NOT_MEASURED = error("not_measured",
        "The questions could not be asked: the file cannot be read, no API is known, or it does not answer.",
        "Do what the message says; APP_URL and APP_TOKEN name the API and a user who has the documents.").may_pass();
}

async fn recall(context: &Context<'_>) -> Outcome {
    let Some(file) = &context.options.recall else { return Problem::skipped("needs --recall FILE") };
    let measured = (context.setup.recall)(file.clone()).await.map_err(|why| NOT_MEASURED.seen(why))?;
    if measured.missed.is_empty() {
        return Ok(measured.measured);
    }
    Err(BELOW.seen(measured.missed.join("; ")))
}
