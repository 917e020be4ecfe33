//! Retries or cancels many jobs, batch by batch, and counts the results.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    args::RetryArgs,
    http::{ApiClient, ClientError},
    render,
};
use domain::{Code, printable};
use messages::{RetryManyAnswer, RetryManyRequest, SkippedJob};

/// The most jobs that one request may name.
const MAX_IDS: usize = 100;
/// The most skipped jobs that are listed; the counts are of all.
const MAX_LISTED: usize = 20;

/// Retries the named jobs, or all failed ones, and prints the counts.
pub(super) async fn retry(api: &ApiClient, args: RetryArgs, job_ids: &[Uuid]) -> anyhow::Result<()> {
    let mut request = RetryManyRequest {
        job_ids: Vec::new(),
        all: args.all,
        code: args.code,
        status: args.status.map(|status| status.to_string()),
        reader_before: args.reader_before,
        from: args.from.map(|status| status.to_string()),
        dry_run: args.dry_run,
        cursor: None,
    };
    let mut total = RetryManyAnswer { dry_run: args.dry_run, ..RetryManyAnswer::default() };
    if args.all {
        loop {
            let answer: RetryManyAnswer = api.post("/jobs/retry", &request).await?;
            request.cursor.clone_from(&answer.next_cursor);
            add(&mut total, answer);
            if request.cursor.is_none() {
                break;
            }
        }
    } else {
        for ids in job_ids.chunks(MAX_IDS) {
            let request = RetryManyRequest { job_ids: ids.to_vec(), ..request.clone() };
            add(&mut total, api.post("/jobs/retry", &request).await?);
        }
    }
    if args.json { render::print_json(&total) } else { render::print(&as_text(&total)) }
}

fn add(total: &mut RetryManyAnswer, answer: RetryManyAnswer) {
    total.queued += answer.queued;
    total.skipped.extend(answer.skipped);
    for (code, jobs) in answer.reasons {
        *total.reasons.entry(code).or_default() += jobs;
    }
}

fn as_text(total: &RetryManyAnswer) -> String {
    let mut text = match (total.dry_run, total.queued) {
        (true, jobs) => format!("{jobs} jobs would be queued; nothing was changed.\n"),
        (false, jobs) => format!("{jobs} jobs queued.\n"),
    };
    for (code, jobs) in &total.reasons {
        // A server of another build may have more reasons.
        let why = Code::named(code).map_or("see docs/errors.md", Code::meaning).trim_end_matches('.');
        // Writing to a String cannot fail.
        _ = writeln!(text, "{jobs} left out: {} ({why})", printable(code));
    }
    for SkippedJob { job_id, code } in total.skipped.iter().take(MAX_LISTED) {
        _ = writeln!(text, "  {job_id}  {}", printable(code));
    }
    if let Some(more) = total.skipped.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
        _ = writeln!(text, "  and {more} more; --json lists them all");
    }
    text
}

/// Cancels each job. A job that has ended already does not stop the others; the exit code is then 1.
pub(super) async fn cancel(api: &ApiClient, job_ids: &[Uuid], as_json: bool) -> anyhow::Result<ExitCode> {
    let mut cancelled = 0_u64;
    let mut refused = BTreeMap::new();
    for job_id in job_ids {
        match api.post::<_, Value>(&format!("/jobs/{job_id}/cancel"), &json!({})).await {
            Ok(_job) => cancelled += 1,
            Err(ClientError::Refused { problem, .. }) if problem.status < 429 => {
                refused.insert(job_id.to_string(), problem.code);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if as_json {
        render::print_json(&json!({ "cancelled": cancelled, "refused": refused }))?;
    } else {
        let lines: String = refused.iter().map(|(id, code)| format!("  {id}  {}\n", printable(code))).collect();
        render::print(&format!("{cancelled} jobs cancelled.\n{lines}"))?;
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_batches_are_added_and_the_reasons_shown() {
        let batch = |queued, id: u128| RetryManyAnswer {
            queued,
            skipped: vec![SkippedJob { job_id: Uuid::from_u128(id), code: "document_busy".to_owned() }],
            reasons: BTreeMap::from([("document_busy".to_owned(), 1)]),
            ..RetryManyAnswer::default()
        };
        let mut total = RetryManyAnswer::default();
        add(&mut total, batch(100, 1));
        add(&mut total, batch(7, 2));
        let text = as_text(&total);
        assert!(text.starts_with("107 jobs queued.\n2 left out: document_busy (Another job"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
