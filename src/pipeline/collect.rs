//! `parse_queued` → `parsed`: the remote parser that has the document is asked, and its markdown taken.
//!
//! Doing it twice is harmless: asking and fetching cost nothing, and the markdown has one key a job. A webhook only makes the
//! job due sooner; without one it is asked every 5 to 60 s. That it does not answer costs no try: what it has was paid for.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{JobMemory, Pipeline, Remote, parsed_key};
use crate::{
    db::{
        jobs::{advance_job, finish_duplicate},
        provider_calls::{CallEnd, OpenCall, end_call, get_open_call},
        work::{ParsedFacts, save_parsed_facts},
    },
    domain::{ErrorClass, Failure, Lease, Outcome, Status, Step, StepError},
    ports::{RemoteState, RemoteText},
};

/// Between two looks, at least and at most. Source: ours; LlamaParse's free tier takes 20 requests a minute.
const LOOKS: (u64, u64) = (5, 60);
/// Answers that the provider lost, after which it is not paid again. Source: ours; once may be an expiry, twice is a pattern.
const FORGOTTEN_AT_MOST: i64 = 1;
/// A document is left to workers that have its parser's key for this long. Source: ours; longer than a deploy.
const ORPHANED_AFTER_SECONDS: i64 = 3600;
/// Pages that a message names.
const NAMED_PAGES: usize = 10;

/// What a look came to.
enum Seen {
    Text(RemoteText),
    NotYet(Duration),
    Gone,
}

impl Pipeline {
    pub(super) async fn collect(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let conn = self.db.get().await?;
        if finish_duplicate(&conn, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let call = get_open_call(&conn, lease.fence).await?;
        drop(conn);
        // Another program's row: as if it had just been uploaded.
        let Some(call) = call else { return self.parse_by(Step::Collect, lease, memory).await };
        let Some(remote) = self.remote.as_ref().filter(|remote| call.provider == remote.parser.name()) else {
            // Another worker may have the key, in a deploy that brings it; not for ever, where it was taken away.
            if call.waited_seconds < ORPHANED_AFTER_SECONDS {
                return Ok(waiting(Duration::from_secs(LOOKS.1)));
            }
            return self.parse_by(Step::Collect, lease, memory).await;
        };
        if std::mem::take(&mut memory.handed_over) {
            return Ok(waiting(Duration::from_secs(LOOKS.0)));
        }
        match self.look(remote, &call, lease).await? {
            Seen::NotYet(delay) => Ok(waiting(delay)),
            Seen::Text(text) => self.keep(remote, &call, lease, text, began, memory).await,
            Seen::Gone => {
                self.end_call(lease, call.call_id, CallEnd::Gone).await?;
                if call.forgotten >= FORGOTTEN_AT_MOST {
                    return Err(lost_again().into());
                }
                self.parse_by(Step::Collect, lease, memory).await
            }
        }
    }

    async fn look(&self, remote: &Remote, call: &OpenCall, lease: &Lease) -> Result<Seen, StepError> {
        let state = match remote.parser.look(&call.provider_job).await {
            Ok(RemoteState::Ready) => match remote.parser.fetch(&call.provider_job, self.limits.output_bytes).await {
                Ok(Some(text)) => return Ok(Seen::Text(text)),
                Ok(None) => Ok(RemoteState::Gone),
                Err(failure) => Err(failure),
            },
            other => other,
        };
        let unheard = match state {
            Ok(RemoteState::Gone) => return Ok(Seen::Gone),
            Ok(RemoteState::Failed(why)) => {
                self.end_call(lease, call.call_id, CallEnd::Failed).await?;
                return Err(failed(&why).into());
            }
            Ok(RemoteState::Waiting | RemoteState::Ready) => None,
            Err(failure) if failure.class.is_retryable() => Some(failure),
            Err(failure) => return Err(failure.into()),
        };
        let Some(delay) = next_look(call.waited_seconds, remote.patience) else { return Err(timed_out(remote).into()) };
        let asked_for = unheard.as_ref().and_then(|failure| failure.retry_after).unwrap_or_default();
        if let Some(failure) = unheard {
            tracing::warn!(error.code = failure.code, "job {} waits on: {failure}", lease.fence.job_id);
        }
        Ok(Seen::NotYet(delay.max(asked_for)))
    }

    /// Stores the answer; with the checkpoint it counts as collected, and is never asked for again.
    async fn keep(
        &self,
        remote: &Remote,
        call: &OpenCall,
        lease: &Lease,
        text: RemoteText,
        began: Instant,
        memory: &mut JobMemory,
    ) -> Result<Outcome, StepError> {
        if let Some(failure) = incomplete(&text) {
            self.end_call(lease, call.call_id, CallEnd::Failed).await?;
            return Err(failure.into());
        }
        let key = parsed_key(lease);
        let facts = ParsedFacts {
            parsed_path: &key,
            kind: &call.kind,
            parser: remote.parser.name(),
            page_count: i32::try_from(text.pages).unwrap_or(i32::MAX),
        };
        self.db
            .run_tx("save_parsed_facts", |tx| {
                let facts = &facts;
                Box::pin(async move { save_parsed_facts(&tx, lease.fence, facts).await })
            })
            .await?;
        self.store_markdown(&key, &text.markdown).await?;
        let progress = json!({ "pages": text.pages });
        self.db
            .run_tx("collect", |tx| {
                let progress = &progress;
                Box::pin(async move {
                    end_call(&tx, lease.fence, call.call_id, CallEnd::Collected).await?;
                    advance_job(&tx, lease, Step::Collect, Status::Parsed, progress, began.elapsed()).await
                })
            })
            .await?;
        memory.markdown = Some(text.markdown);
        Ok(Outcome::Advanced(Status::Parsed))
    }
}

fn waiting(delay: Duration) -> Outcome {
    Outcome::Snooze { code: "waiting_for_parser", delay }
}

/// Seldom for one that has waited long, and once more when the time is up; `None`: it was.
fn next_look(waited_seconds: i64, patience: Duration) -> Option<Duration> {
    let waited = Duration::from_secs(u64::try_from(waited_seconds).unwrap_or(0));
    let left = patience.checked_sub(waited).filter(|left| !left.is_zero())?;
    let (least, most) = LOOKS;
    Some(Duration::from_secs((waited.as_secs() / 4).clamp(least, most)).min(left))
}

fn timed_out(remote: &Remote) -> Failure {
    let seconds = remote.patience.as_secs();
    Failure::new(
        "parser_timeout",
        ErrorClass::Document,
        format!(
            "The remote parser was not done within {seconds} s (PARSE_REMOTE_TIMEOUT). Retry the job to ask it once more, or from \
             `uploaded` to have it read anew."
        ),
    )
}

fn failed(why: &str) -> Failure {
    Failure::new(
        "remote_parser_failed",
        ErrorClass::Document,
        format!(
            "The remote parser could not read the document ({why}). Save it anew, or retry the job from `uploaded`."
        ),
    )
}

fn lost_again() -> Failure {
    Failure::new(
        "remote_parser_lost_job",
        ErrorClass::Document,
        "The remote parser has lost this document twice. Check that LLAMAPARSE_API_KEY belongs to one project, then retry the job.",
    )
}

/// A document is read whole or not at all: what is missing would be missed by nobody who searches.
fn incomplete(text: &RemoteText) -> Option<Failure> {
    if text.unread.is_empty() {
        return None;
    }
    let named: Vec<String> = text.unread.iter().take(NAMED_PAGES).map(u32::to_string).collect();
    let more = if text.unread.len() > NAMED_PAGES { " and more" } else { "" };
    Some(Failure::new(
        "remote_parser_incomplete",
        ErrorClass::Document,
        format!(
            "The remote parser could not read {} of {} pages ({}{more}), so nothing of the document is searchable. Retry the job \
             from `uploaded`, or leave these pages out.",
            text.unread.len(),
            text.pages,
            named.join(", "),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_five_to_sixty_seconds_apart_and_the_last_is_when_the_time_is_up() {
        let patience = Duration::from_secs(1800);
        for (waited, wanted) in
            [(0, Some(5)), (100, Some(25)), (900, Some(60)), (1798, Some(2)), (1800, None), (9999, None)]
        {
            assert_eq!(next_look(waited, patience), wanted.map(Duration::from_secs), "{waited}");
        }
        assert_eq!(next_look(0, Duration::from_secs(2)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_page_that_was_not_read_is_named_and_not_passed_over() {
        let mut text = RemoteText { markdown: "# x".to_owned(), pages: 30, unread: Vec::new() };
        assert_eq!(incomplete(&text), None);
        text.unread = (3..=14).collect();
        let failure = incomplete(&text).unwrap();
        assert!(
            failure.message.contains("12 of 30 pages (3, 4,") && failure.message.contains("12 and more)"),
            "{failure}"
        );
    }
}
