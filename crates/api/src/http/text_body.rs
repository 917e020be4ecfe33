//! A text document as JSON, streamed like a file: the text is decoded while it comes, and only the rest of the body, with
//! the title, is held until its end.
//!
//! The rest is the body with the text left out. serde parses it as it would parse the whole, so that unknown fields,
//! fields given twice and all else that is no JSON are refused in its words. The text is decoded in pieces; what a cut
//! leaves of a character or an escape waits for the next piece.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::LocalBoxStream};
use sha2::{Digest, Sha256};

use crate::http::{ApiError, json, too_large};
use domain::{Code, hex};
use messages::TextRequest;

/// The most bytes beside the text: title and punctuation.
const MAX_REST_BYTES: usize = 64 * 1024;
/// The most bytes that a cut can leave of one character: all but the last of `\ud83d\ude00`.
const MAX_HELD_BYTES: usize = 11;

/// The body of a text document: a stream of its text's bytes.
pub struct TextBody {
    body: LocalBoxStream<'static, Result<Bytes, PayloadError>>,
    limit: u64,
    received: u64,
    /// Of the body's bytes; `None`: nothing will ask for the fingerprint.
    print: Option<Sha256>,
    splitter: Splitter,
    has_words: bool,
    ended: bool,
}

impl TextBody {
    /// The text in `body`, of no more than `limit` bytes (0: no limit). Its bytes are hashed if a `fingerprint` will be
    /// asked for.
    pub fn new(body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static, limit: u64, fingerprint: bool) -> Self {
        Self {
            body: body.boxed_local(),
            limit,
            received: 0,
            print: fingerprint.then(Sha256::new),
            splitter: Splitter::default(),
            has_words: false,
            ended: false,
        }
    }

    /// What stands beside the text, once the body has ended.
    pub fn request(&self) -> Result<TextRequest, ApiError> {
        let request = json::parse(&self.splitter.rest)?;
        if !self.has_words {
            return Err(ApiError::of(Code::TextEmpty));
        }
        Ok(request)
    }

    /// Of the whole body; `None`: it was not read to its end, or nothing was to be hashed.
    pub fn fingerprint(&self) -> Option<String> {
        self.print.clone().filter(|_| self.ended).map(|print| hex(print.finalize()))
    }

    /// Reads the body to its end, and keeps nothing but the fingerprint.
    pub async fn read_to_end(&mut self) -> Result<Option<String>, ApiError> {
        while let Some(text) = self.next().await {
            text?;
        }
        Ok(self.fingerprint())
    }

    /// The text in the next bytes of the body.
    fn decode(&mut self, data: &[u8]) -> Result<Bytes, ApiError> {
        self.received = self.received.saturating_add(data.len() as u64);
        if self.limit > 0 && self.received > self.limit {
            return Err(too_large(self.limit));
        }
        if let Some(print) = &mut self.print {
            print.update(data);
        }
        let text = self.splitter.push(data)?;
        if text.contains('\0') {
            return Err(ApiError::of(Code::TextInvalid));
        }
        self.has_words |= !text.trim().is_empty();
        Ok(text.into())
    }
}

impl Stream for TextBody {
    type Item = Result<Bytes, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let text = match ready!(self.body.poll_next_unpin(cx)) {
                Some(Ok(data)) => self.decode(&data),
                Some(Err(error)) => Err(error.into()),
                None => {
                    self.ended = true;
                    break;
                }
            };
            if !matches!(&text, Ok(text) if text.is_empty()) {
                return Poll::Ready(Some(text));
            }
        }
        Poll::Ready(None)
    }
}

/// Takes the text out of the body.
#[derive(Default)]
struct Splitter {
    /// The body so far, without the text.
    rest: Vec<u8>,
    /// Of the text, as it came and is not decoded yet.
    piece: Vec<u8>,
    place: Place,
    /// Objects and lists that are open: the text stands in the outermost.
    depth: u32,
    /// Whether the byte before was a backslash that escapes the next.
    escapes: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Place {
    #[default]
    Between,
    /// In a string that is not the text.
    InString,
    InText,
}

impl Splitter {
    /// The text in `data`, as far as it can be decoded.
    fn push(&mut self, data: &[u8]) -> Result<String, ApiError> {
        for &byte in data {
            let is_escaped = mem::take(&mut self.escapes);
            self.escapes = byte == b'\\' && !is_escaped && self.place != Place::Between;
            match self.place {
                Place::Between if byte == b'{' || byte == b'[' => self.depth += 1,
                Place::Between if byte == b'}' || byte == b']' => self.depth = self.depth.saturating_sub(1),
                Place::Between if byte == b'"' => {
                    self.place = if self.text_follows() { Place::InText } else { Place::InString };
                }
                Place::InString | Place::InText if byte == b'"' && !is_escaped => self.place = Place::Between,
                Place::InText => {
                    self.piece.push(byte);
                    continue;
                }
                Place::Between | Place::InString => {}
            }
            self.rest.push(byte);
        }
        if self.rest.len() > MAX_REST_BYTES {
            let detail =
                format!("The body has more than {MAX_REST_BYTES} bytes beside its text. Send a shorter title.");
            return Err(ApiError::new(Code::BodyTooLarge, detail));
        }
        self.decode()
    }

    /// Decodes the piece, up to what its end leaves of a character.
    fn decode(&mut self) -> Result<String, ApiError> {
        let held = if self.place == Place::InText { MAX_HELD_BYTES.min(self.piece.len()) } else { 0 };
        // The first cut that can be decoded breaks nothing: a part of an escape or of a pair cannot.
        for cut in (self.piece.len() - held..=self.piece.len()).rev() {
            if let Ok(text) = json::parse_string(&self.piece[..cut]) {
                self.piece.drain(..cut);
                return Ok(text);
            }
        }
        json::parse_string(&self.piece)
    }

    /// Whether the string that begins here is the value of the field `text`.
    fn text_follows(&self) -> bool {
        let name = self.rest.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        self.depth == 1 && name.is_some_and(|before| before.ends_with(b"\"text\""))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use serde_json::{Value, json};

    use super::*;

    /// Title and text of a body that comes in pieces of `step` bytes.
    async fn read(body: &[u8], step: usize) -> Result<(String, String), Code> {
        let pieces: Vec<_> = body.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut text = TextBody::new(stream::iter(pieces), 1 << 20, true);
        let mut read = Vec::new();
        while let Some(piece) = text.next().await {
            read.extend(piece.map_err(|error| error.code())?);
        }
        assert_eq!(text.fingerprint(), Some(hex(Sha256::digest(body))));
        Ok((text.request().map_err(|error| error.code())?.title, String::from_utf8(read).unwrap()))
    }

    #[tokio::test]
    async fn a_text_is_decoded_as_serde_decodes_it_wherever_it_is_cut() {
        let texts = [
            "plain",
            "a \"quoted\" \\ line\n\t\u{1}end\\",
            "\u{4e2d}\u{6587} \u{1f600}\u{1f600} \u{fc}",
            "\\u0041 \\\\",
        ];
        for text in texts {
            let value = json!({ "title": "a \"text\": \\", "text": text });
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            for body in [
                value.to_string(),
                serde_json::to_string_pretty(&value).unwrap(),
                format!("{{\"text\" :\n \"{escaped}\", \"title\":\"a \\\"text\\\": \\\\\"}}"),
            ] {
                let whole: Value = serde_json::from_str(&body).unwrap();
                for step in [1, 2, 3, 5, 7, 64, 4096] {
                    let (title, read) = read(body.as_bytes(), step).await.unwrap();
                    assert_eq!(
                        (whole["title"].as_str(), whole["text"].as_str()),
                        (Some(&*title), Some(&*read)),
                        "{body} by {step}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn what_serde_refuses_is_refused() {
        let half_pairs = "\\ud800".repeat(100);
        for (body, code) in [
            (r#"{"title":"t","text":"x""#, Code::JsonInvalid),
            (r#"{"title":"t","text":"x"#, Code::JsonInvalid),
            (r#"{"title":"t","text":"x"} {}"#, Code::JsonInvalid),
            (r#"{"title":"t","text":"x","text":"y"}"#, Code::JsonInvalid),
            (r#"{"title":"t","text":"x","more":{"text":"y"}}"#, Code::JsonInvalid),
            (r#"{"title":"t","text":["x"]}"#, Code::JsonInvalid),
            (r#"{"title":"t"}"#, Code::JsonInvalid),
            (r#"[{"title":"t","text":"x"}]"#, Code::JsonInvalid),
            (r#"{"title":"t","text":"\ud800 x"}"#, Code::JsonInvalid),
            (r#"{"title":"t","text":"\x"}"#, Code::JsonInvalid),
            ("{\"title\":\"t\",\"text\":\"a\nb\"}", Code::JsonInvalid),
            (&format!("{{\"title\":\"t\",\"text\":\"{half_pairs}\"}}"), Code::JsonInvalid),
            (r#"{"title":"t","text":" \n "}"#, Code::TextEmpty),
            (r#"{"title":"t","text":"a\u0000b"}"#, Code::TextInvalid),
            (&format!("{{\"title\":\"{}\",\"text\":\"x\"}}", "t".repeat(70_000)), Code::BodyTooLarge),
            (&format!("{{\"title\":\"t\",\"text\":\"{}\"}}", "x".repeat(1 << 20)), Code::BodyTooLarge),
        ] {
            for step in [1, 3, 4096] {
                assert_eq!(read(body.as_bytes(), step).await.unwrap_err(), code, "{:.80} by {step}", body);
            }
        }
        assert_eq!(read(b"{\"title\":\"t\",\"text\":\"\xff\"}", 3).await.unwrap_err(), Code::JsonInvalid);
        assert_eq!(
            read(&[b"{\"title\":\"t\",\"text\":\"".as_slice(), &[0x80; 200], b"\"}"].concat(), 3).await.unwrap_err(),
            Code::JsonInvalid
        );
    }

    #[test]
    fn little_of_a_text_is_held_at_any_time() {
        for unit in ["x", "\u{4e2d}", "\\u4e2d", "\\ud83d\\ude00", "\\n", "\\\\"] {
            let mut splitter = Splitter::default();
            splitter.push(b"{\"text\":\"").unwrap();
            for piece in unit.repeat(1000).as_bytes().chunks(7) {
                splitter.push(piece).unwrap();
                assert!(splitter.piece.len() <= 12, "{unit}: {}", splitter.piece.len());
            }
        }
    }
}
