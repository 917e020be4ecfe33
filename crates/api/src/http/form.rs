//! A multipart form (RFC 7578), streamed part by part: its files, and the fingerprint of all that was read.
//!
//! The fingerprint is of the parts and not of the bytes of the body, because a client that repeats a form makes another
//! boundary.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header::{Charset, ContentDisposition, ExtendedValue},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::Fuse};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::http::{ApiError, declared_length, validate};
use config::Uploads;
use domain::{Code, hex, metadata::MAX_METADATA_BYTES};

/// The most bytes that belong to no file: what stands before the first part, heads, and parts that are not used.
const MAX_OTHER_BYTES: u64 = 256 * 1024;
/// The most bytes of a file that the parser has read and not handed out: its buffer, and pieces of the body.
const READ_AHEAD_BYTES: u64 = 256 * 1024;

/// More than the longest value of a field that is `true` or `false`.
const MAX_FLAG_BYTES: usize = 8;
/// More than the metadata of a document may have.
const MAX_METADATA_FIELD_BYTES: usize = 4 * MAX_METADATA_BYTES;

/// What the fields of a form ask for the files behind them.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Whether every page is read by OCR.
    pub ocr: bool,
    /// What the client says of them, not checked yet.
    pub metadata: Option<Value>,
}

/// A form that is being read.
pub struct Form {
    parts: Multipart,
    seen: Rc<RefCell<Seen>>,
    ended: bool,
    asked: Asked,
}

/// What of the form has been read.
struct Seen {
    /// `None`: nothing will ask for the fingerprint.
    print: Option<Sha256>,
    /// Whether each part so far was read to its end.
    whole: bool,
    /// Bytes of files.
    in_files: u64,
}

/// A part that is a file: a stream of its bytes.
pub struct Part {
    // A part that is asked for more after its end panics; fused, it says again that it has ended.
    field: Fuse<Field>,
    /// As the client names the file.
    pub filename: String,
    /// The media type that it declares.
    pub mime: String,
    name: String,
    is_file: bool,
    /// `None`: nothing will ask for the fingerprint.
    bytes: Option<Sha256>,
    ended: bool,
    seen: Rc<RefCell<Seen>>,
}

impl Form {
    /// The form in the body of `request`; its bytes are hashed if a `fingerprint` will be asked for.
    pub fn new(
        request: &HttpRequest,
        body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
        fingerprint: bool,
    ) -> Self {
        let seen = Seen { print: fingerprint.then(Sha256::new), whole: true, in_files: 0 };
        let seen = Rc::new(RefCell::new(seen));
        let (counting, mut received) = (Rc::clone(&seen), 0_u64);
        let counted = body.map(move |piece| {
            let data = piece?;
            received = received.saturating_add(data.len() as u64);
            let most = counting.borrow().in_files + MAX_OTHER_BYTES + READ_AHEAD_BYTES;
            if received > most { Err(PayloadError::Overflow) } else { Ok(data) }
        });
        Self { parts: Multipart::new(request.headers(), counted), seen, ended: false, asked: Asked::default() }
    }

    /// What the fields `ocr` and `metadata` said so far: they count for the files behind them.
    pub fn asked(&self) -> Asked {
        self.asked.clone()
    }

    /// Refuses a form that is declared larger than all files that one may have.
    pub fn refuse_too_large(request: &HttpRequest, limits: &Uploads) -> Result<(), ApiError> {
        let files = (limits.max_files as u64).saturating_mul(limits.max_bytes);
        let most = files.saturating_add(MAX_OTHER_BYTES);
        match declared_length(request) {
            Some(length) if files > 0 && length > most => Err(ApiError::new(
                Code::FormTooLarge,
                format!(
                    "The form is larger than {most} bytes, the most that {} files can have. Send fewer.",
                    limits.max_files
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The next file. Of the parts without a file name, `ocr` and `metadata` are read and the others are left out. After an error there is no
    /// more.
    pub async fn next(&mut self) -> Option<Result<Part, ApiError>> {
        while !self.ended {
            let Some(field) = self.parts.next().await else {
                self.ended = true;
                return None;
            };
            let part = field.map_err(|error| form_invalid(&error)).and_then(|field| Part::of(field, &self.seen));
            match part {
                Ok(part) if part.is_file => return Some(Ok(part)),
                Ok(mut field) if field.name == "ocr" => match field.flag().await {
                    Ok(value) => self.asked.ocr = value,
                    Err(error) => return Some(Err(self.broken(error))),
                },
                Ok(mut field) if field.name == "metadata" => match field.metadata().await {
                    Ok(value) => self.asked.metadata = value,
                    Err(error) => return Some(Err(self.broken(error))),
                },
                Ok(mut other) => {
                    if let Err(error) = other.read_on(0).await {
                        return Some(Err(self.broken(error)));
                    }
                }
                Err(error) => return Some(Err(self.broken(error))),
            }
        }
        None
    }

    fn broken(&mut self, error: ApiError) -> ApiError {
        self.ended = true;
        self.seen.borrow_mut().whole = false;
        error
    }

    /// Of the whole form: each part's name, file name, media type and bytes. `None`: it was not read to its end, or
    /// nothing was to be hashed.
    pub fn fingerprint(&self) -> Option<String> {
        let seen = self.seen.borrow();
        seen.print.clone().filter(|_| self.ended && seen.whole).map(|print| hex(print.finalize()))
    }

    /// Reads the form to its end, of each file up to `max_file_bytes` (0: no limit), and keeps nothing but the
    /// fingerprint.
    pub async fn read_to_end(&mut self, max_file_bytes: u64) -> Result<Option<String>, ApiError> {
        while let Some(part) = self.next().await {
            part?.read_on(max_file_bytes).await?;
        }
        Ok(self.fingerprint())
    }
}

impl Part {
    fn of(field: Field, seen: &Rc<RefCell<Seen>>) -> Result<Self, ApiError> {
        let filename = field.content_disposition().and_then(file_name).transpose()?;
        Ok(Self {
            name: field.name().unwrap_or_default().to_owned(),
            mime: field.content_type().map_or("application/octet-stream".to_owned(), ToString::to_string),
            bytes: seen.borrow().print.is_some().then(Sha256::new),
            ended: false,
            seen: Rc::clone(seen),
            field: field.fuse(),
            is_file: filename.is_some(),
            filename: filename.unwrap_or_default(),
        })
    }

    /// The first bytes of its value.
    async fn value(&mut self, most: usize) -> Result<Vec<u8>, ApiError> {
        let mut value = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            value.extend_from_slice(&piece[..piece.len().min(most)]);
            value.truncate(most);
        }
        Ok(value)
    }

    /// Its value, which is the metadata of the files behind it.
    async fn metadata(&mut self) -> Result<Option<Value>, ApiError> {
        let value = self.value(MAX_METADATA_FIELD_BYTES).await?;
        let value = serde_json::from_slice(&value).map_err(|error| {
            let why = format!("`{}` is no JSON object of up to {MAX_METADATA_BYTES} bytes: {error}.", self.name);
            ApiError::new(Code::MetadataInvalid, why)
        })?;
        validate::metadata(Some(&value))
    }

    /// Its value, `true` or `false`.
    async fn flag(&mut self) -> Result<bool, ApiError> {
        match self.value(MAX_FLAG_BYTES).await?.as_slice() {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(ApiError::new(
                Code::FormInvalid,
                format!("The field `{}` is neither `true` nor `false`. Send one of these.", self.name),
            )),
        }
    }

    /// Reads on to the end, if that is no further than `most` bytes (0: however far).
    pub async fn read_on(&mut self, most: u64) -> Result<(), ApiError> {
        let mut read = 0_u64;
        while let Some(piece) = self.next().await {
            read = read.saturating_add(piece?.len() as u64);
            if most > 0 && read > most {
                return Err(ApiError::new(
                    Code::FormTooLarge,
                    format!("A part of the form is larger than {most} bytes. Send less."),
                ));
            }
        }
        Ok(())
    }

    /// Adds the part to the form's fingerprint, each field behind its length so that none can pass for two.
    fn note(&mut self) {
        self.ended = true;
        let mut seen = self.seen.borrow_mut();
        let (Some(print), Some(bytes)) = (&mut seen.print, self.bytes.take()) else { return };
        let bytes = bytes.finalize();
        for field in [self.name.as_bytes(), self.filename.as_bytes(), self.mime.as_bytes(), bytes.as_slice()] {
            print.update((field.len() as u64).to_be_bytes());
            print.update(field);
        }
    }
}

impl Stream for Part {
    type Item = Result<Bytes, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(Pin::new(&mut self.field).poll_next(cx));
        match &piece {
            Some(Ok(data)) => {
                if let Some(bytes) = &mut self.bytes {
                    bytes.update(data);
                }
                if self.is_file {
                    self.seen.borrow_mut().in_files += data.len() as u64;
                }
            }
            Some(Err(_)) => self.seen.borrow_mut().whole = false,
            None if !self.ended => self.note(),
            None => {}
        }
        Poll::Ready(piece.map(|piece| piece.map_err(|error| part_broken(&error))))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.ended {
            self.seen.borrow_mut().whole = false;
        }
    }
}

/// The plain `filename` where there is one; `filename*`, which RFC 7578 forbids and some clients send all the same,
/// else.
fn file_name(disposition: &ContentDisposition) -> Option<Result<String, ApiError>> {
    let plain = disposition.get_filename().map(|name| Ok(name.to_owned()));
    plain.or_else(|| disposition.get_filename_ext().map(decoded))
}

fn decoded(name: &ExtendedValue) -> Result<String, ApiError> {
    let is_utf8 = matches!(&name.charset, Charset::Ext(charset) if charset.eq_ignore_ascii_case("utf-8"));
    let text = is_utf8.then(|| String::from_utf8(name.value.clone()).ok()).flatten();
    text.ok_or_else(|| {
        ApiError::new(Code::FilenameInvalid, "The file name in `filename*` is not UTF-8. Send `filename`.")
    })
}

fn form_invalid(error: &MultipartError) -> ApiError {
    match error {
        // Only the head of a part is buffered.
        MultipartError::Payload(PayloadError::Overflow) => ApiError::of(Code::FormTooLarge),
        MultipartError::Payload(error) => error.into(),
        error => ApiError::new(
            Code::FormInvalid,
            format!("The form cannot be read: {error}. Send multipart/form-data as RFC 7578 says."),
        ),
    }
}

/// The body ended, or broke off, within a part.
fn part_broken(error: &MultipartError) -> ApiError {
    match error {
        MultipartError::Payload(_) => form_invalid(error),
        error => ApiError::new(Code::BodyIncomplete, format!("The body did not arrive whole: {error}. Send it again.")),
    }
}
