//! A text document as JSON, streamed like a file: the text is decoded while it comes, and only the rest of the body, with
//! the title, is held until its end.
//!
//! The rest is the body with the text left out. serde parses it as it would parse the whole, so that unknown fields,
//! fields given twice and all else that is no JSON are refused in its words. The text is decoded in pieces, each cut where
//! no character and no escape is broken.

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
/// The longest run of bytes in which no cut is possible: in valid JSON, two halves of a surrogate pair.
const MAX_UNCUT_BYTES: usize = 64;

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

    /// The title, once the body has ended.
    pub fn title(&self) -> Result<String, ApiError> {
        let TextRequest { title, .. } = json::parse(&self.splitter.rest)?;
        if !self.has_words {
            return Err(ApiError::of(Code::TextEmpty));
        }
        Ok(title)
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
    /// Of the text, as it came.
    piece: Vec<u8>,
    /// Up to here, the piece can be decoded by itself.
    cut: usize,
    place: Place,
    /// Bytes that the escape in hand still needs.
    escape: Escape,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Place {
    #[default]
    Between,
    /// In a string that is not the text.
    InString,
    InText,
}

#[derive(Default, Clone, Copy)]
enum Escape {
    #[default]
    None,
    Begun,
    /// Hexadecimal digits to come.
    Digits(u8),
}

impl Splitter {
    /// The text in `data`, as far as it can be decoded.
    fn push(&mut self, data: &[u8]) -> Result<String, ApiError> {
        for &byte in data {
            let is_escaped = self.step_escape(byte);
            match self.place {
                Place::Between if byte == b'"' && self.text_follows() => self.place = Place::InText,
                Place::Between if byte == b'"' => self.place = Place::InString,
                Place::InString if byte == b'"' && !is_escaped => self.place = Place::Between,
                Place::InText if byte == b'"' && !is_escaped => {
                    (self.place, self.cut) = (Place::Between, self.piece.len());
                    // The quote that began the text stands in the rest already.
                }
                Place::InText => {
                    self.push_text(byte, is_escaped);
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
        if self.piece.len() > self.cut + MAX_UNCUT_BYTES {
            self.cut = self.piece.len();
        }
        let tail = self.piece.split_off(self.cut);
        let piece = mem::replace(&mut self.piece, tail);
        self.cut = 0;
        if piece.is_empty() { Ok(String::new()) } else { json::parse_string(&piece) }
    }

    /// Whether `byte` belongs to an escape that began before it.
    fn step_escape(&mut self, byte: u8) -> bool {
        let before = self.escape;
        self.escape = match before {
            Escape::None if byte == b'\\' && self.place != Place::Between => Escape::Begun,
            Escape::Begun if byte == b'u' => Escape::Digits(4),
            Escape::Digits(left @ 2..) => Escape::Digits(left - 1),
            Escape::None | Escape::Begun | Escape::Digits(_) => Escape::None,
        };
        !matches!(before, Escape::None)
    }

    fn push_text(&mut self, byte: u8, is_escaped: bool) {
        let is_continuation = (0x80..0xc0).contains(&byte);
        if !is_escaped && !is_continuation && !self.ends_in_half_a_pair() {
            self.cut = self.piece.len();
        }
        self.piece.push(byte);
    }

    /// Whether the piece ends in the first half of a surrogate pair, or seems to.
    fn ends_in_half_a_pair(&self) -> bool {
        matches!(
            self.piece.last_chunk(),
            Some([b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _])
        )
    }

    /// Whether the string that begins here is the value of the field `text`.
    fn text_follows(&self) -> bool {
        let name = self.rest.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        name.is_some_and(|before| before.ends_with(b"\"text\""))
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
        Ok((text.title().map_err(|error| error.code())?, String::from_utf8(read).unwrap()))
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
