//! What a colleague needs besides the findings: versions, and the last problems of jobs. Neither contains a secret, a file
//! name or a text.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{
    cause::Problem,
    context::{Context, Setup},
};
use store::{events::list_problem_events, migrations::list_migrations, workers::list_live_workers};

/// Problems of jobs in a bundle.
const EVENTS: i64 = 200;

/// What is around the findings of a run.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Of this build, the database and the workers.
    pub versions: Value,
    /// The last problems of jobs, newest first.
    pub events: Value,
}

/// Asks the database, if it answers.
pub async fn get_surroundings(setup: &Setup<'_>) -> Surroundings {
    let context = Context::new(setup);
    let build = setup.build;
    let (database, events) = match ask(&context).await {
        Ok(found) => found,
        Err(problem) => (json!({ "unknown": problem.observed() }), json!([])),
    };
    context.close();
    let app = json!({
        "version": build.version, "commit": build.commit, "branch": build.branch, "schema": build.schema_version,
        "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
    });
    Surroundings { versions: json!({ "app": app, "database": database }), events }
}

async fn ask(context: &Context<'_>) -> Result<(Value, Value), Problem> {
    let facts = context.facts().await?;
    let conn = context.conn().await?;
    let applied: Vec<String> = list_migrations(context.db()?)
        .await?
        .into_iter()
        .filter(|migration| migration.applied_on.is_some())
        .map(|migration| migration.name)
        .collect();
    let workers: Vec<Value> = list_live_workers(&conn)
        .await?
        .iter()
        .map(|worker| json!({ "host": worker.host, "commit": worker.commit, "branch": worker.branch }))
        .collect();
    let events: Vec<Value> = list_problem_events(&conn, EVENTS)
        .await?
        .iter()
        .map(|event| {
            json!({
                "ts": event.ts.format(&Rfc3339).unwrap_or_default(), "type": word(&event.kind), "severity": word(&event.severity),
                "code": word(&event.code), "class": word(&event.class), "job_id": event.job_id.to_string(),
            })
        })
        .collect();
    let database = json!({
        "postgres": facts.version, "pgvector": facts.vector_version, "migrations": applied, "workers": workers,
    });
    Ok((database, json!(events)))
}

/// Another program's events may have any text where ours have a word.
fn word(text: &str) -> &str {
    let is_word = text.len() <= 64 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_word { text } else { "(not a word)" }
}
