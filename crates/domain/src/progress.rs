//! The progress of a job in percent, from the counts of the pipeline.

use super::{State, Status};

/// The counts of the pipeline so far; `None` if a count is not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pages of the document, once the parser has counted them.
    pub pages: Option<i64>,
    /// Pages read.
    pub pages_read: Option<i64>,
    /// Chunks stored.
    pub chunks: Option<i64>,
    /// Chunks with a vector.
    pub embedded: Option<i64>,
    /// Chunks whose vector was taken from an equal text of the same user.
    pub reused: Option<i64>,
}

/// Shares in percent, each from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent {
    /// Of the current stage.
    pub stage: f64,
    /// Of the whole job; 100 only when it is done.
    pub total: f64,
}

/// The percentage at which each stage begins. With the local parser and model, embedding takes most of the time of all but
/// the smallest documents, and it is the only stage that counts its work while it runs.
const PARSE: f64 = 0.0;
const VALIDATE: f64 = 15.0;
const CHUNK: f64 = 20.0;
const EMBED: f64 = 25.0;
const FINISH: f64 = 99.0;

/// The progress of a job. `checkpoint` is the status that a `failed_*` replaced (`last_error.checkpoint`).
///
/// It never decreases within one run of a job; a retry from an earlier status begins at that status.
pub fn percent(status: Status, state: State, checkpoint: Option<Status>, counts: Counts) -> Percent {
    if state == State::Done {
        return Percent { stage: 100.0, total: 100.0 };
    }
    let reached = match status {
        Status::FailedParse => checkpoint.unwrap_or(Status::Uploaded),
        Status::FailedChunking => checkpoint.unwrap_or(Status::ParseValidated),
        Status::FailedEmbedding => checkpoint.unwrap_or(Status::ChunksStored),
        other => other,
    };
    match reached {
        Status::Uploaded | Status::ParseQueued => {
            let share = share(counts.pages_read, counts.pages);
            Percent { stage: share * 100.0, total: PARSE + share * (VALIDATE - PARSE) }
        }
        Status::Parsed => Percent { stage: 0.0, total: VALIDATE },
        Status::ParseValidated | Status::Chunking => Percent { stage: 0.0, total: CHUNK },
        Status::ChunksStored | Status::EmbeddingQueued | Status::EmbeddingInProgress => {
            let share = share(counts.embedded, counts.chunks);
            Percent { stage: share * 100.0, total: EMBED + share * (FINISH - EMBED) }
        }
        // The last two are statuses of a finished document; the state decides whether the job is done.
        Status::EmbeddingsStored | Status::Complete | Status::Duplicate => Percent { stage: 0.0, total: FINISH },
        Status::FailedParse | Status::FailedChunking | Status::FailedEmbedding => Percent { stage: 0.0, total: PARSE },
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of chunks and pages are far below 2^53")]
fn share(done: Option<i64>, all: Option<i64>) -> f64 {
    match (done, all) {
        (Some(done), Some(all)) if all > 0 => (done as f64 / all as f64).clamp(0.0, 1.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(status: Status, state: State, embedded: i64) -> f64 {
        let counts =
            Counts { pages: Some(3), pages_read: None, chunks: Some(40), embedded: Some(embedded), reused: None };
        percent(status, state, None, counts).total
    }

    #[test]
    fn a_jobs_total_never_goes_down_and_reaches_100_only_when_done() {
        let life = [
            (Status::Uploaded, 0),
            (Status::ParseQueued, 0),
            (Status::Parsed, 0),
            (Status::ParseValidated, 0),
            (Status::Chunking, 0),
            (Status::ChunksStored, 0),
            (Status::EmbeddingQueued, 0),
            (Status::EmbeddingInProgress, 8),
            (Status::EmbeddingInProgress, 39),
            (Status::EmbeddingInProgress, 40),
            (Status::EmbeddingsStored, 40),
        ];
        let mut last = 0.0;
        for (status, embedded) in life {
            for state in [State::Queued, State::Working, State::Retryable, State::Cancelled] {
                let now = total(status, state, embedded);
                assert!(now >= last && now < 100.0, "{status} {state}: {now} after {last}");
                last = now;
            }
        }
        assert!((total(Status::Complete, State::Done, 40) - 100.0).abs() < f64::EPSILON);
        assert!((total(Status::Duplicate, State::Done, 0) - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_failed_job_stays_where_it_had_come_to() {
        let counts = Counts { pages: Some(3), pages_read: Some(3), chunks: Some(40), embedded: Some(20), reused: None };
        let before = percent(Status::EmbeddingInProgress, State::Working, None, counts);
        let after = percent(Status::FailedEmbedding, State::Deadletter, Some(Status::EmbeddingInProgress), counts);
        assert_eq!(before, after);
        let parse = percent(Status::FailedParse, State::Deadletter, None, Counts::default());
        assert!(parse.total < f64::EPSILON);
    }

    #[test]
    fn pages_that_are_read_count_while_a_document_is_parsed() {
        let counts = Counts { pages: Some(4), pages_read: Some(1), ..Counts::default() };
        let now = percent(Status::Uploaded, State::Working, None, counts);
        assert!((now.stage - 25.0).abs() < 0.01 && now.total > 0.0 && now.total < VALIDATE, "{now:?}");
    }

    #[test]
    fn odd_counts_do_no_harm() {
        for (chunks, embedded) in [(0, 0), (0, 5), (5, 9), (-1, -1), (3, -2)] {
            let counts =
                Counts { pages: None, pages_read: None, chunks: Some(chunks), embedded: Some(embedded), reused: None };
            let now = percent(Status::EmbeddingInProgress, State::Working, None, counts);
            assert!((0.0..100.0).contains(&now.total) && (0.0..=100.0).contains(&now.stage), "{now:?}");
        }
    }
}
