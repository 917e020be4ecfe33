//! `parse_queued` → `parsed`: polls the remote parser and fetches its markdown.
//!
//! Doing it twice is harmless: polling and fetching cost nothing, and each job has one key for its markdown. A webhook only
//! makes the job due sooner; without one the parser is polled every 5 to 60 s. A poll without an answer does not count as a
//! try, because the parse is paid for.

use std::{
    mem,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{JobMemory, Pipeline, Remote, poll};
use domain::{
    Code, Failure, Lease, Outcome, Status, Step, StepError,
    layout::Layout,
    ports::{RemoteState, RemoteText},
    record::ReadingRecord,
};
use store::{
    jobs::{advance_paid_job, finish_duplicate},
    provider_calls::{CallEnd, OpenCall, end_call, get_open_call},
};

/// How many lost answers of the provider are paid for again. One may have expired; two mean a wrong setting.
const MAX_LOST_ANSWERS: i64 = 1;
/// For so long only a worker with the key of the document's parser takes the document. Longer than a deploy.
const ORPHANED_AFTER_SECONDS: i64 = 3600;
/// The most pages that a message names.
const MAX_NAMED_PAGES: usize = 10;

/// The result of a poll.
enum Answer {
    Text(RemoteText),
    NotYet(Duration),
    Gone,
}

impl Pipeline {
    pub(super) async fn collect(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        if finish_duplicate(&self.db, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let call = get_open_call(&self.db, lease.fence).await?;
        // Another program wrote this row: treat it as just uploaded.
        let Some(call) = call else { return self.parse(Step::Collect, lease, memory).await };
        let Some(remote) = self.remote.as_ref().filter(|remote| call.provider == remote.parser.name()) else {
            // During a deploy another worker may have the key; later the key was removed from all.
            if call.waited_seconds < ORPHANED_AFTER_SECONDS {
                return Ok(snooze(poll::MAX_DELAY));
            }
            return self.parse(Step::Collect, lease, memory).await;
        };
        if mem::take(&mut memory.started_remote_parse) {
            return Ok(snooze(poll::MIN_DELAY));
        }
        match self.poll(remote, &call, lease).await? {
            Answer::NotYet(delay) => Ok(snooze(delay)),
            Answer::Text(text) => self.save_answer(remote, &call, lease, text, began, memory).await,
            Answer::Gone => {
                self.end_call(lease, call.call_id, CallEnd::Gone).await?;
                if call.forgotten >= MAX_LOST_ANSWERS {
                    return Err(lost_again().into());
                }
                self.parse(Step::Collect, lease, memory).await
            }
        }
    }

    async fn poll(&self, remote: &Remote, call: &OpenCall, lease: &Lease) -> Result<Answer, StepError> {
        let state = match remote.parser.get_state(&call.provider_job).await {
            Ok(RemoteState::Ready) => match remote.parser.fetch(&call.provider_job, self.limits.output_bytes).await {
                Ok(Some(text)) => return Ok(Answer::Text(text)),
                Ok(None) => Ok(RemoteState::Gone),
                Err(failure) => Err(failure),
            },
            other => other,
        };
        let missed = match state {
            Ok(RemoteState::Gone) => return Ok(Answer::Gone),
            Ok(RemoteState::Failed(why)) => {
                self.end_call(lease, call.call_id, CallEnd::Failed).await?;
                return Err(failed(&why).into());
            }
            Ok(RemoteState::Waiting | RemoteState::Ready) => None,
            Err(failure) if failure.class.is_retryable() => Some(failure),
            Err(failure) => return Err(failure.into()),
        };
        let Some(delay) = next_poll(call.waited_seconds, remote.timeout) else { return Err(timed_out(remote).into()) };
        let retry_after = missed.as_ref().and_then(|failure| failure.retry_after).unwrap_or_default();
        if let Some(failure) = missed {
            tracing::warn!(error.code = failure.code.as_str(), "job {} keeps waiting: {failure}", lease.fence.job_id);
        }
        Ok(Answer::NotYet(delay.max(retry_after)))
    }

    /// Stores the answer. The call ends with the checkpoint, so the answer is never fetched again.
    async fn save_answer(
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
        let record = ReadingRecord::of_ocr(remote.parser.name(), text.pages, &text.markdown);
        let target = self.target(lease, memory).await?;
        self.save_parsed(lease, target, &call.kind, &record, &text.markdown, &Layout::default()).await?;
        let progress = json!({ "pages": text.pages });
        let end = CallEnd::Collected { pages: text.pages, price: self.money.page };
        self.db
            .run_tx("collect", |tx| {
                let progress = &progress;
                Box::pin(async move {
                    end_call(&tx, lease.fence, call.call_id, end).await?;
                    advance_paid_job(&tx, lease, Step::Collect, Status::Parsed, progress, began.elapsed()).await
                })
            })
            .await?;
        memory.markdown = Some(text.markdown);
        Ok(Outcome::Advanced(Status::Parsed))
    }
}

fn snooze(delay: Duration) -> Outcome {
    Outcome::Snooze { code: Code::WaitingForParser, delay }
}

/// The delay before the next poll. The last poll comes when the time is up; after that `None`.
fn next_poll(waited_seconds: i64, timeout: Duration) -> Option<Duration> {
    let waited = Duration::from_secs(u64::try_from(waited_seconds).unwrap_or(0));
    let left = timeout.checked_sub(waited).filter(|left| !left.is_zero())?;
    Some(poll::delay(waited).min(left))
}

fn timed_out(remote: &Remote) -> Failure {
    let seconds = remote.timeout.as_secs();
    Failure::new(
        Code::ParserTimeout,
        format!(
            "The remote parser was not done within {seconds} s (PARSE_REMOTE_TIMEOUT). Retry the job to ask it once more, or from \
             `uploaded` to have it read again."
        ),
    )
}

fn failed(why: &str) -> Failure {
    Failure::new(
        Code::RemoteParserFailed,
        format!(
            "The remote parser could not read the document ({why}). Save it again, or retry the job from `uploaded`."
        ),
    )
}

fn lost_again() -> Failure {
    Failure::new(
        Code::RemoteParserLostJob,
        "The remote parser has lost this document twice. Check that LLAMAPARSE_API_KEY belongs to one project, then retry the job.",
    )
}

/// The failure of an answer without some of the pages. A search would miss them without notice.
fn incomplete(text: &RemoteText) -> Option<Failure> {
    if text.unread.is_empty() {
        return None;
    }
    let named: Vec<String> = text.unread.iter().take(MAX_NAMED_PAGES).map(u32::to_string).collect();
    let more = if text.unread.len() > MAX_NAMED_PAGES { " and more" } else { "" };
    Some(Failure::new(
        Code::RemoteParserIncomplete,
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
    fn the_last_poll_is_when_the_time_is_up() {
        let timeout = Duration::from_secs(1800);
        for (waited, wanted) in
            [(0, Some(5)), (100, Some(25)), (900, Some(60)), (1798, Some(2)), (1800, None), (9999, None)]
        {
            assert_eq!(next_poll(waited, timeout), wanted.map(Duration::from_secs), "{waited}");
        }
        assert_eq!(next_poll(0, Duration::from_secs(2)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_unread_page_is_a_failure_that_names_it() {
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
