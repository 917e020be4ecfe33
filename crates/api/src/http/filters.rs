//! The query strings of lists. A parameter that a list does not know is refused, so that a misspelt one is not taken
//! for none.

use std::{fmt::Display, str::FromStr};

use actix_web::http::StatusCode;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use unicode_normalization::UnicodeNormalization;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::http::{ApiError, ListId};
use domain::{Code, DocumentId, filter::Filter, ports::FileKind};
use messages::{KindName, StateName, StatusName};
use store::{documents::DocumentFilter, jobs::JobFilter};

/// Longest piece of a file name that is searched for, in characters: the most that a name has by default.
pub const MAX_PIECE_CHARS: usize = 120;
/// A list without filters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items wanted.
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /jobs`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Items wanted.
    #[param(ignore)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before, with the same filters.
    #[param(ignore)]
    pub cursor: Option<String>,
    /// Only jobs in this state.
    #[param(value_type = Option<StateName>, example = "deadletter")]
    pub state: Option<String>,
    /// Only jobs at this status.
    #[param(value_type = Option<StatusName>, example = "failed_parse")]
    pub status: Option<String>,
    /// Only jobs whose id begins so: 4 to 36 characters of it.
    #[param(min_length = 4, max_length = 36, pattern = "^[0-9a-fA-F]{4}[0-9a-fA-F-]*$", example = "01939e60")]
    pub id_prefix: Option<String>,
    /// Only jobs of this document.
    #[param(value_type = Option<Uuid>, example = "6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18")]
    pub document_id: Option<String>,
    /// Only jobs made after this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-03-02T00:00:00Z")]
    pub created_after: Option<String>,
    /// Only jobs made before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-03-03T00:00:00Z")]
    pub created_before: Option<String>,
}

/// `GET /documents`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentsQuery {
    /// Items wanted.
    #[param(ignore)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before, with the same filters.
    #[param(ignore)]
    pub cursor: Option<String>,
    /// Only documents whose latest job is at this status.
    #[param(value_type = Option<StatusName>, example = "complete")]
    pub processing_status: Option<String>,
    /// Only documents that are this by their content.
    #[param(inline, value_type = Option<KindName>, example = "pdf")]
    pub kind: Option<String>,
    /// Only documents whose file name holds this, whatever the case.
    #[param(min_length = 1, max_length = 120, example = "policy")]
    pub filename: Option<String>,
    /// Only documents for which this holds: a filter as `/search` takes it, as JSON.
    #[param(example = r#"{"field":"metadata.year","gte":2018}"#)]
    pub filter: Option<String>,
}

/// `GET /documents/{id}/chunks`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChunksQuery {
    /// Items wanted.
    #[param(ignore)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(ignore)]
    pub cursor: Option<String>,
    /// The `ord` of the first passage wanted; a cursor goes before it.
    #[param(minimum = 0, example = 12)]
    pub from: Option<i32>,
}

/// `GET /usage`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// The first day (UTC); by default 29 days before the last.
    #[param(value_type = Option<String>, format = Date, example = "2026-03-01")]
    pub from: Option<String>,
    /// The last day (UTC), at most 366 days from the first; by default today.
    #[param(value_type = Option<String>, format = Date, example = "2026-03-31")]
    pub to: Option<String>,
}

impl JobsQuery {
    /// What is asked for, and the list that its cursors belong to.
    pub fn filter(&self) -> Result<(JobFilter, ListId), ApiError> {
        let parsed = JobFilter {
            state: self.state.as_deref().map(|name| named(name, Code::StateInvalid)).transpose()?,
            status: self.status.as_deref().map(|name| named(name, Code::StatusInvalid)).transpose()?,
            ids: self.id_prefix.as_deref().map(ids_that_begin_with).transpose()?,
            document: self.document_id.as_deref().map(document).transpose()?,
            created_after: self.created_after.as_deref().map(moment).transpose()?,
            created_before: self.created_before.as_deref().map(moment).transpose()?,
        };
        let list = ListId::new("jobs").with("filter", &parsed);
        Ok((parsed, list))
    }
}

impl DocumentsQuery {
    /// What is asked for, and the list that its cursors belong to.
    pub fn filter(&self) -> Result<(DocumentFilter, ListId), ApiError> {
        let parsed = DocumentFilter {
            processing_status: self
                .processing_status
                .as_deref()
                .map(|name| named(name, Code::StatusInvalid))
                .transpose()?,
            kind: self.kind.as_deref().map(kind).transpose()?,
            filename: self.filename.as_deref().map(piece).transpose()?,
            filter: self.filter.as_deref().map(filter).transpose()?,
        };
        let list = ListId::new("documents").with("filter", &parsed);
        Ok((parsed, list))
    }
}

fn named<T: FromStr<Err: Display>>(name: &str, code: Code) -> Result<T, ApiError> {
    name.parse().map_err(|error| ApiError::new(code, format!("{error}.")))
}

fn document(text: &str) -> Result<DocumentId, ApiError> {
    let id = text.parse::<Uuid>().ok().map(DocumentId);
    id.ok_or_else(|| ApiError::new(Code::IdInvalid, "`document_id` is no UUID. Send the id as it was given."))
}

/// The first and the last id of those that begin so.
fn ids_that_begin_with(prefix: &str) -> Result<(Uuid, Uuid), ApiError> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let filled = |digit: &str| format!("{digits:<32}").replace(' ', digit).parse().ok();
    let is_prefix = digits.len() >= 4 && prefix.len() <= 36 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match (filled("0"), filled("f")) {
        (Some(first), Some(last)) if is_prefix => Ok((first, last)),
        _ => {
            Err(ApiError::new(Code::IdInvalid, "`id_prefix` is no beginning of an id: at least 4 hexadecimal digits."))
        }
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, ApiError> {
    // A plus that was not escaped arrives as a space.
    let at = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).ok();
    at.filter(|at| at.year() >= 1970).ok_or_else(|| ApiError::of(Code::TimeInvalid))
}

fn kind(name: &str) -> Result<String, ApiError> {
    let known = FileKind::ALL.iter().any(|kind| kind.as_str() == name);
    known.then(|| name.to_owned()).ok_or_else(|| {
        let kinds = FileKind::ALL.map(FileKind::as_str).join(", ");
        ApiError::new(Code::KindInvalid, format!("There is no such kind; this build knows {kinds}."))
    })
}

fn filter(text: &str) -> Result<Filter, ApiError> {
    let refuse = |why: String| ApiError::with_status(StatusCode::BAD_REQUEST, Code::FilterInvalid, why);
    let value = serde_json::from_str(text).map_err(|error| refuse(format!("`filter` is no JSON: {error}.")))?;
    Filter::parse(&value).map_err(refuse)
}

fn piece(text: &str) -> Result<String, ApiError> {
    if text.is_empty() || text.chars().count() > MAX_PIECE_CHARS || text.contains(char::is_control) {
        return Err(ApiError::with_status(
            StatusCode::BAD_REQUEST,
            Code::FilenameInvalid,
            format!("`filename` must be 1 to {MAX_PIECE_CHARS} characters of a file name."),
        ));
    }
    Ok(text.nfc().collect())
}

/// Which places on a page to mark.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MarksQuery {
    /// The passage whose places are marked: `chunk_id` of a hit.
    #[param(example = "3b0c9d1e-5f2a-5d8b-9c47-e61f0a2d3b54")]
    pub boxes: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::web::Query;
    use domain::{State, Status};

    fn jobs(query: &str) -> Result<JobFilter, Code> {
        let query = Query::<JobsQuery>::from_query(query).map_err(|_unknown| Code::QueryInvalid)?;
        query.filter().map(|(filter, _)| filter).map_err(|error| error.code())
    }

    fn documents(query: &str) -> Result<DocumentFilter, Code> {
        let query = Query::<DocumentsQuery>::from_query(query).map_err(|_unknown| Code::QueryInvalid)?;
        query.filter().map(|(filter, _)| filter).map_err(|error| error.code())
    }

    #[test]
    fn filters_are_parsed() {
        let filter = jobs("state=queued&status=parsed&created_after=2026-11-22T09:30:00%2B01:00").unwrap();
        assert_eq!((filter.state, filter.status), (Some(State::Queued), Some(Status::Parsed)));
        assert_eq!(filter.created_after, jobs("created_after=2026-11-22T09:30:00+01:00").unwrap().created_after);
        let (first, last) = jobs("id_prefix=0192F0c1-7a").unwrap().ids.unwrap();
        assert_eq!(first.to_string(), "0192f0c1-7a00-0000-0000-000000000000");
        assert_eq!(last.to_string(), "0192f0c1-7aff-ffff-ffff-ffffffffffff");
        let filter = documents("kind=plain_text&filename=Policy&processing_status=complete").unwrap();
        assert_eq!((filter.kind.as_deref(), filter.filename.as_deref()), (Some("plain_text"), Some("Policy")));
    }

    #[test]
    fn every_kind_that_can_be_asked_for_is_one() {
        for kind in FileKind::ALL.map(FileKind::as_str) {
            assert!(serde_json::from_value::<FileKind>(kind.into()).is_ok(), "{kind}");
        }
    }

    #[test]
    fn every_value_that_is_none_has_its_own_code() {
        for (query, code) in [
            ("state=sleeping", Code::StateInvalid),
            ("state=", Code::StateInvalid),
            ("status=sleeping", Code::StatusInvalid),
            ("document_id=7", Code::IdInvalid),
            ("id_prefix=019", Code::IdInvalid),
            ("id_prefix=0192-xyz", Code::IdInvalid),
            ("id_prefix=0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f100", Code::IdInvalid),
            ("created_after=yesterday", Code::TimeInvalid),
            ("created_before=-4713-01-01T00:00:00Z", Code::TimeInvalid),
            ("stat=queued", Code::QueryInvalid),
            ("state=queued&state=done", Code::QueryInvalid),
            ("limit=many", Code::QueryInvalid),
        ] {
            assert_eq!(jobs(query).unwrap_err(), code, "{query}");
        }
        for (query, code) in [
            ("processing_status=x", Code::StatusInvalid),
            ("kind=exe", Code::KindInvalid),
            ("filename=", Code::FilenameInvalid),
            ("filename=a%00b", Code::FilenameInvalid),
            ("state=queued", Code::QueryInvalid),
        ] {
            assert_eq!(documents(query).unwrap_err(), code, "{query}");
        }
    }
}
