//! An object of the store as an answer: whole, or the one range that the client asks for (RFC 9110, section 14).

use std::ops::Range;

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{
            self, ByteRangeSpec, Charset, ContentDisposition, ContentRange, ContentRangeSpec, DispositionParam,
            DispositionType, EntityTag, ExtendedValue, Header as _, IfRange, Range as RangeHeader,
        },
    },
};
use futures_util::stream;

use crate::http::{ApiError, ApiState, HttpResult, conditions};
use domain::{Code, ports::OpenObject};

/// What the client gets, and under which name.
pub struct Download<'a> {
    /// The object's key.
    pub key: &'a str,
    /// The name that browsers save it under.
    pub filename: &'a str,
    /// Its media type.
    pub content_type: &'static str,
    /// The refusal if there is no such object.
    pub missing: Code,
}

impl Download<'_> {
    /// Answers with the object, streamed.
    pub async fn answer(&self, state: &ApiState, request: &HttpRequest) -> HttpResult {
        let object = self.open(state, None).await?;
        let tag = EntityTag::new_strong(object.version.clone());
        if conditions::is_known(request, &tag) {
            let mut response = HttpResponse::NotModified();
            response.insert_header(header::ETag(tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
            return Ok(response.finish());
        }
        let whole = object.bytes_len;
        let (status, range, object) = match wanted(request, &tag, whole) {
            Wanted::Whole => (StatusCode::OK, 0..whole, object),
            Wanted::Part(range) => {
                let part = self.open(state, Some(range.clone())).await?;
                // It was replaced in between: the whole of what is there now.
                if part.version != object.version {
                    return Err(ApiError::unavailable(
                        Code::StorageUnavailable,
                        "the object changed while it was read",
                    ));
                }
                (StatusCode::PARTIAL_CONTENT, range, part)
            }
            Wanted::Beyond => {
                let detail = format!("It has {whole} bytes; ask for a range within them.");
                return Err(ApiError::new(Code::RangeInvalid, detail));
            }
        };
        let mut response = HttpResponse::build(status);
        response
            .insert_header(header::ETag(tag))
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::ACCEPT_RANGES, "bytes"))
            .insert_header(attachment(self.filename))
            .content_type(self.content_type);
        let len = range.end - range.start;
        if status == StatusCode::PARTIAL_CONTENT {
            let of =
                ContentRangeSpec::Bytes { range: Some((range.start, range.end - 1)), instance_length: Some(whole) };
            response.insert_header(ContentRange(of));
        }
        Ok(match *request.method() {
            Method::HEAD => response.body(SizedStream::new(len, Box::pin(stream::empty::<std::io::Result<_>>()))),
            _ => response.body(SizedStream::new(len, object.body)),
        })
    }

    async fn open(&self, state: &ApiState, range: Option<Range<u64>>) -> Result<OpenObject, ApiError> {
        let found = state.store.open(self.key, range).await.map_err(|failure| ApiError::storage(&failure))?;
        found.ok_or_else(|| ApiError::of(self.missing))
    }
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Beyond,
}

/// What of `whole` bytes the client asks for. Several ranges are answered with the whole, as RFC 9110 allows.
fn wanted(request: &HttpRequest, tag: &EntityTag, whole: u64) -> Wanted {
    let headers = request.headers();
    if headers.contains_key(header::IF_RANGE)
        && !matches!(IfRange::parse(request), Ok(IfRange::EntityTag(seen)) if seen.strong_eq(tag))
    {
        return Wanted::Whole;
    }
    match RangeHeader::parse(request) {
        Ok(RangeHeader::Bytes(ranges)) if headers.contains_key(header::RANGE) => match ranges.as_slice() {
            [range] => within(range, whole),
            _ => Wanted::Whole,
        },
        _ => Wanted::Whole,
    }
}

fn within(range: &ByteRangeSpec, whole: u64) -> Wanted {
    match range.to_satisfiable_range(whole) {
        Some((first, last)) => Wanted::Part(first..last + 1),
        None => Wanted::Beyond,
    }
}

/// Always saved, never shown: what users upload is not to run as a page of this origin.
fn attachment(filename: &str) -> ContentDisposition {
    let name: String =
        filename.chars().map(|c| if matches!(c, '/' | '\\') || c.is_control() { '_' } else { c }).collect();
    let plain: String = name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%') { c } else { '_' }).collect();
    let extended =
        ExtendedValue { charset: Charset::Ext("UTF-8".to_owned()), language_tag: None, value: name.clone().into() };
    let mut parameters = vec![DispositionParam::Filename(plain.clone())];
    if plain != name {
        parameters.push(DispositionParam::FilenameExt(extended));
    }
    ContentDisposition { disposition: DispositionType::Attachment, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn one_range_is_served_and_what_cannot_be_read_is_ignored() {
        let tag = EntityTag::new_strong("v".to_owned());
        let ask = |range: &str| wanted(&TestRequest::get().insert_header(("range", range)).to_http_request(), &tag, 10);
        assert_eq!(ask("bytes=2-4"), Wanted::Part(2..5));
        assert_eq!(ask("bytes=8-99"), Wanted::Part(8..10));
        assert_eq!(ask("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(ask("bytes=10-"), Wanted::Beyond);
        for whole in ["bytes=0-1,3-4", "bytes=x", "pages=1-2", ""] {
            assert_eq!(ask(whole), Wanted::Whole, "{whole}");
        }
        let request = |seen: &str| {
            TestRequest::get().insert_header(("range", "bytes=0-1")).insert_header(("if-range", seen)).to_http_request()
        };
        assert_eq!(wanted(&request("\"v\""), &tag, 10), Wanted::Part(0..2));
        assert_eq!(wanted(&request("\"w\""), &tag, 10), Wanted::Whole);
    }

    #[test]
    fn a_file_name_is_a_label_and_never_a_path_or_a_header() {
        let header = |name| attachment(name).to_string();
        assert_eq!(header("a b.pdf"), "attachment; filename=\"a b.pdf\"");
        assert_eq!(header("../x\"y.pdf"), "attachment; filename=\".._x_y.pdf\"; filename*=UTF-8''.._x%22y.pdf");
        assert_eq!(header("ü.pdf"), "attachment; filename=\"_.pdf\"; filename*=UTF-8''%C3%BC.pdf");
    }
}
