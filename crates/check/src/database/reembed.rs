//! `db.reembed`: whether a change of the embedding model goes on.

use serde_json::Value;

use super::{
    super::check::{Context, Outcome, declare},
    schema::MIGRATIONS,
};
use store::model_switch::{ReembedJob, count_left_behind, count_reembedded, get_model_switch, list_reembed_jobs};

/// A job that has had nothing to do looks every quarter of a minute, and one that works writes each second.
const STILL_AFTER_SECONDS: f64 = 600.0;

declare! {
    REEMBED = once("db.reembed", "all vectors are of the active model, and a change to another goes on, if one was begun.", reembed).needs(&[&MIGRATIONS]);
    STANDS_STILL = warning("stands_still",
        "A change of the embedding model stands still. Searches and uploads go on by the model before.",
        "Mend what `app reembed status` names, then `app reembed start` with the same model; or give the change up: `app reembed finish --discard`.");
    LEFT_BEHIND = warning("left_behind",
        "Complete documents have vectors of a model that is not the active one: search by meaning does not find them, words do.",
        "Retry these documents with `app jobs retry ID --from chunks_stored`.");
}

async fn reembed(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    let Some(switch) = get_model_switch(&conn).await?.filter(|switch| !switch.is_finished()) else {
        return match count_left_behind(&conn).await? {
            0 => Ok("all vectors are of the active model".to_owned()),
            left => {
                Err(LEFT_BEHIND
                    .seen(format!("{left} passages of complete documents have vectors of another model only")))
            }
        };
    };
    let left = count_reembedded(&conn, &switch.new_model().embed_model()).await?.missing;
    let seen = format!("the change to {} is {}, {left} passages left", switch.new_model(), switch.state);
    if !switch.is_running() {
        return Ok(seen);
    }
    let jobs = list_reembed_jobs(&conn).await?;
    match jobs.iter().find_map(trouble) {
        Some(why) => Err(STANDS_STILL.seen(format!("{seen}; {why}"))),
        None if left > 0 && jobs.iter().all(|job| job.unchanged_for_seconds > STILL_AFTER_SECONDS) => {
            Err(STANDS_STILL.seen(format!("{seen}; none of its {} jobs has moved for ten minutes", jobs.len())))
        }
        None => Ok(seen),
    }
}

/// What a job was given up for, or waits for until a person mends it.
fn trouble(job: &ReembedJob) -> Option<String> {
    let code = |problem: &Value| problem.get("code").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let given_up = job.last_error.as_ref().filter(|_| job.state == "deadletter");
    given_up
        .map(|error| format!("a job was given up by {}", code(error)))
        .or_else(|| job.waits_for.as_ref().map(|waits| format!("a job waits for {}", code(waits))))
}
