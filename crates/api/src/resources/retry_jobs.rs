//! Many jobs at once: those that are named, or all that failed. A call takes a bounded batch; the client asks again
//! until there is no more.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use uuid::Uuid;

use crate::{
    http::{ApiError, ApiState, Call, HttpResult, Json, codes},
    resources::jobs::{is_without_bytes, parse_from},
};
use domain::{Code, State, Status, UserId, retry_needs};
use messages::{RetryManyAnswer, RetryManyRequest, SkippedJob};
use store::jobs::{
    Candidate, FailedFilter, Redriven, list_candidates, list_failed_jobs, list_jobs_read_before, read_owned_job_again,
    redrive_owned_job,
};

/// Jobs that one call redrives: each is a transaction of its own, and the call should answer within seconds.
const BATCH: usize = 100;
/// Jobs that one call looks at where it changes none.
const DRY_BATCH: usize = 1000;

/// Which jobs, once the request makes sense.
enum Selection {
    Named(Vec<Uuid>),
    Failed { code: Option<String>, status: Option<Status>, behind: Option<Uuid> },
    ReadBefore { version: u32, behind: Option<Uuid> },
}

/// Leaves a job out, with the code that asking for it alone would have given.
fn skip(answer: &mut RetryManyAnswer, job_id: Uuid, code: Code) {
    answer.skipped.push(SkippedJob { job_id, code: code.as_str().to_owned() });
    *answer.reasons.entry(code.as_str().to_owned()).or_default() += 1;
}

/// Try many jobs again.
///
/// Those that are named, or with `all` every one that failed, a batch a call: send `next_cursor` as `cursor` until
/// there is none. Those that another try cannot help are left out and counted. `dry_run` changes nothing and says what
/// would be queued. With `reader_before`, complete documents that an older reader has read are read again.
#[utoipa::path(
    post,
    path = "/jobs/retry",
    tag = "Jobs",
    request_body(content = RetryManyRequest, description = "Which jobs."),
    responses((status = 200, description = "What became of this batch.", body = RetryManyAnswer)),
    extensions(("x-codes" = json!(codes(&[
        Code::RetrySelectionInvalid,
        Code::RetryFromInvalid,
        Code::StorageUnavailable
    ]))))
)]
pub async fn retry_jobs(Call { state, caller, .. }: Call, Json(request): Json<RetryManyRequest>) -> HttpResult {
    let (from, dry_run) = (request.from.as_deref().map(parse_from).transpose()?, request.dry_run);
    let again = request.reader_before.map(|_version| from.unwrap_or(Status::Uploaded));
    let (candidates, mut answer) = pick(&state, caller.user, selection(request)?, dry_run).await?;
    for candidate in candidates {
        let job_id = candidate.job_id;
        let refused = match (obstacle(&candidate, again.or(from)), again) {
            (None, Some(from)) => read_again(&state, caller.user, candidate, from, dry_run).await?,
            (None, None) if !dry_run => redrive(&state, caller.user, candidate, from).await?,
            (refused, _) => refused,
        };
        match refused {
            Some(code) => skip(&mut answer, job_id.0, code),
            None => answer.queued += 1,
        }
    }
    if answer.queued > 0 && !dry_run {
        state.notifier.poke();
    }
    Ok(HttpResponse::Ok().json(answer))
}

fn selection(request: RetryManyRequest) -> Result<Selection, ApiError> {
    let invalid = |detail: String| Err(ApiError::new(Code::RetrySelectionInvalid, detail));
    let RetryManyRequest { job_ids, all, code, status, cursor, reader_before, .. } = request;
    if all != job_ids.is_empty() {
        return invalid("Name the jobs in `job_ids`, or say `\"all\": true` for all that failed; not both.".to_owned());
    }
    if !all {
        if code.is_some() || status.is_some() || cursor.is_some() || reader_before.is_some() {
            return invalid(
                "`code`, `status`, `reader_before` and `cursor` go with `all`, not with `job_ids`.".to_owned(),
            );
        }
        if job_ids.len() > BATCH {
            return invalid(format!("At most {BATCH} jobs can be named in one request; send the others in another."));
        }
        return Ok(Selection::Named(job_ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect()));
    }
    if let Some(version) = reader_before {
        return match (code, status) {
            (None, None) => Ok(Selection::ReadBefore { version, behind: cursor }),
            _ => invalid(
                "`reader_before` picks complete documents, `code` and `status` failed jobs; not both.".to_owned(),
            ),
        };
    }
    let failed = [Status::FailedParse, Status::FailedChunking, Status::FailedEmbedding];
    let status = status
        .map(|name| match name.parse() {
            Ok(status) if failed.contains(&status) => Ok(status),
            _ => Err(ApiError::new(
                Code::RetrySelectionInvalid,
                "`status` must be failed_parse, failed_chunking or failed_embedding.",
            )),
        })
        .transpose()?;
    if code.as_deref().is_some_and(|code| !could_be_a_code(code)) {
        return invalid(
            "`code` is no error code: they are short and in snake_case; docs/errors.md lists them.".to_owned(),
        );
    }
    Ok(Selection::Failed { code, status, behind: cursor })
}

/// Whatever any build may have written: the shape of a code, not one that is known here.
fn could_be_a_code(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The batch's jobs, and the answer so far: those already left out, and where the next batch goes on.
async fn pick(
    state: &ApiState,
    user: UserId,
    selection: Selection,
    dry_run: bool,
) -> Result<(Vec<Candidate>, RetryManyAnswer), ApiError> {
    let conn = state.conn().await?;
    let mut answer = RetryManyAnswer { dry_run, ..RetryManyAnswer::default() };
    match selection {
        Selection::Named(ids) => {
            let found = list_candidates(&conn, user, &ids).await?;
            let known: BTreeSet<Uuid> = found.iter().map(|candidate| candidate.job_id.0).collect();
            for id in ids.into_iter().filter(|id| !known.contains(id)) {
                skip(&mut answer, id, Code::JobNotFound);
            }
            Ok((found, answer))
        }
        Selection::ReadBefore { version, behind } => {
            // Each is looked for in the object store, also where nothing is changed.
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let found = list_jobs_read_before(&conn, user, version, behind, limit).await?;
            answer.next_cursor = found.last().filter(|_| found.len() == BATCH).map(|candidate| candidate.job_id.0);
            Ok((found, answer))
        }
        Selection::Failed { code, status, behind } => {
            let batch = if dry_run { DRY_BATCH } else { BATCH };
            let filter = FailedFilter { code: code.as_deref(), status };
            let found = list_failed_jobs(&conn, user, filter, behind, i64::try_from(batch).unwrap_or(i64::MAX)).await?;
            answer.next_cursor = found.last().filter(|_| found.len() == batch).map(|candidate| candidate.job_id.0);
            let (superseded, wanted): (Vec<_>, Vec<_>) = found.into_iter().partition(|candidate| candidate.superseded);
            for candidate in superseded {
                skip(&mut answer, candidate.job_id.0, Code::JobSuperseded);
            }
            Ok((wanted, answer))
        }
    }
}

/// Queues one job to read its document again; `None`: queued, or would be.
async fn read_again(
    state: &ApiState,
    user: UserId,
    candidate: Candidate,
    from: Status,
    dry_run: bool,
) -> Result<Option<Code>, ApiError> {
    // A document that cannot be read again must not fail where it was complete.
    if candidate.raw_path.is_empty() || is_without_bytes(state, Some(Code::ObjectMissing), &candidate.raw_path).await? {
        return Ok(Some(Code::RetryNeedsUpload));
    }
    if dry_run {
        return Ok(None);
    }
    Ok(match read_owned_job_again(&state.db, user, candidate.job_id, from).await? {
        Redriven::Queued(_) => None,
        Redriven::Busy(_) => Some(Code::DocumentBusy),
        Redriven::NotFound => Some(Code::JobNotFound),
        Redriven::Refused(_) | Redriven::Changed | Redriven::TooFar(_) | Redriven::Helpless(..) => {
            Some(Code::JobNotRetryable)
        }
    })
}

/// What would keep the job from being queued, as far as it shows without trying.
fn obstacle(candidate: &Candidate, from: Option<Status>) -> Option<Code> {
    match candidate.state {
        _ if candidate.busy => Some(Code::DocumentBusy),
        State::Working => Some(Code::JobNotRetryable),
        State::Done if from.is_none() => Some(Code::JobNotRetryable),
        State::Deadletter => retry_needs(candidate.failed_with(), candidate.raw_path.is_empty()),
        State::Queued | State::Retryable | State::Done | State::Cancelled => None,
    }
}

/// Redrives one job under the rules of one; `None`: queued.
async fn redrive(
    state: &ApiState,
    user: UserId,
    candidate: Candidate,
    from: Option<Status>,
) -> Result<Option<Code>, ApiError> {
    if is_without_bytes(state, candidate.failed_with(), &candidate.raw_path).await? {
        return Ok(Some(Code::RetryNeedsUpload));
    }
    Ok(match redrive_owned_job(&state.db, user, candidate.job_id, from, None).await? {
        Redriven::Queued(_) => None,
        Redriven::NotFound => Some(Code::JobNotFound),
        Redriven::Refused(_) | Redriven::Changed => Some(Code::JobNotRetryable),
        Redriven::TooFar(_) => Some(Code::RetryFromInvalid),
        Redriven::Busy(_) => Some(Code::DocumentBusy),
        Redriven::Helpless(code, _) => Some(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::JobId;

    fn asked(body: serde_json::Value) -> Result<Selection, Code> {
        selection(serde_json::from_value(body).unwrap()).map_err(|error| error.code())
    }

    #[test]
    fn a_selection_names_jobs_or_says_all() {
        let id = Uuid::nil();
        assert!(matches!(asked(serde_json::json!({ "job_ids": [id, id] })), Ok(Selection::Named(ids)) if ids == [id]));
        let all = asked(serde_json::json!({ "all": true, "code": "file_corrupt", "status": "failed_parse" }));
        assert!(matches!(
            all,
            Ok(Selection::Failed { status: Some(Status::FailedParse), code: Some(_), behind: None })
        ));
        for wrong in [
            serde_json::json!({}),
            serde_json::json!({ "all": true, "job_ids": [id] }),
            serde_json::json!({ "job_ids": [id], "code": "file_corrupt" }),
            serde_json::json!({ "all": true, "status": "complete" }),
            serde_json::json!({ "job_ids": (0..=BATCH).map(|n| Uuid::from_u128(n as u128)).collect::<Vec<_>>() }),
        ] {
            assert_eq!(asked(wrong.clone()).err(), Some(Code::RetrySelectionInvalid), "{wrong}");
        }
    }

    #[test]
    fn what_stands_in_the_way_shows_without_trying() {
        let failed = |state, busy, code: &str| Candidate {
            job_id: JobId(Uuid::nil()),
            state,
            busy,
            superseded: false,
            code: Some(code.to_owned()),
            raw_path: "raw/x".to_owned(),
        };
        let candidate = |state, busy| failed(state, busy, "file_corrupt");
        assert_eq!(obstacle(&candidate(State::Deadletter, false), None), None);
        assert_eq!(obstacle(&candidate(State::Deadletter, true), None), Some(Code::DocumentBusy));
        assert_eq!(obstacle(&candidate(State::Working, false), None), Some(Code::JobNotRetryable));
        assert_eq!(obstacle(&candidate(State::Done, false), None), Some(Code::JobNotRetryable));
        assert_eq!(obstacle(&candidate(State::Done, false), Some(Status::Parsed)), None);
        let typed = failed(State::Deadletter, false, "type_mismatch");
        assert_eq!(obstacle(&typed.clone(), None), Some(Code::RetryNeedsType));
        let removed = Candidate { raw_path: String::new(), ..typed };
        assert_eq!(obstacle(&removed, None), Some(Code::RetryNeedsUpload));
    }
}
