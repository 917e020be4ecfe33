//! Mails as they were sent (MIME), and pages that a browser saved as one (MHTML).

use mail_parser::{Address, Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::{Attachment, Content, Mail, fuller, plain};
use domain::document::{Document, LeftOut, Notice};
use markup::text;

/// How deep parts are looked for in parts.
const MAX_PARTS_DEPTH: usize = 20;
/// How far into a file its headers are looked for, in bytes.
const HEADERS_WITHIN_BYTES: usize = 64 << 10;

/// Takes a mail apart; `None` if it has no headers.
pub(super) fn read(bytes: &[u8]) -> Option<Mail> {
    Some(mail(&MessageParser::default().parse(bytes)?, 0))
}

/// Whether the bytes begin with the headers of a mail. A file that is not `declared` as one must have several of them.
pub(in super::super) fn begins_like_mail(bytes: &[u8], declared: bool) -> bool {
    const KNOWN: [&str; 13] = [
        "from",
        "to",
        "cc",
        "date",
        "subject",
        "received",
        "message-id",
        "mime-version",
        "return-path",
        "delivered-to",
        "content-type",
        "sender",
        "reply-to",
    ];
    let head = String::from_utf8_lossy(bytes.get(..HEADERS_WITHIN_BYTES).unwrap_or(bytes));
    let head = head.trim_start_matches('\u{feff}');
    let (mut known, mut mime) = (0, false);
    for line in head.lines().skip_while(|line| line.starts_with("From ")) {
        if line.trim().is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { return false };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return false;
        }
        known += usize::from(KNOWN.contains(&&*name.to_ascii_lowercase()));
        mime |= name.eq_ignore_ascii_case("mime-version");
    }
    known >= 3 || (declared && known > 0) || (mime && known == 2)
}

fn mail(message: &Message<'_>, depth: usize) -> Mail {
    let date = message.header_raw("Date").map(|date| date.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut mail = Mail {
        subject: message.subject().unwrap_or_default().to_owned(),
        headers: vec![
            ("From", addresses(message.from())),
            ("To", addresses(message.to())),
            ("Cc", addresses(message.cc())),
            ("Date", date.unwrap_or_default()),
        ],
        ..Mail::default()
    };
    let mut parts = Parts { message, mail: &mut mail, pictures: 0, depth };
    parts.part(0, false, 0);
    let pictures = Notice::left_out(LeftOut::Pictures, parts.pictures);
    mail.body.notices.extend(pictures);
    mail
}

fn addresses(list: Option<&Address<'_>>) -> String {
    let one = |(name, address): (Option<&str>, Option<&str>)| match (name, address) {
        (Some(name), Some(address)) if name != address => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    };
    let Some(list) = list else { return String::new() };
    list.iter().map(|entry| one((entry.name(), entry.address()))).collect::<Vec<_>>().join(", ")
}

/// Sorts a message's parts into its body and its attachments.
struct Parts<'a, 'x> {
    message: &'a Message<'x>,
    mail: &'a mut Mail,
    /// Pictures that the body shows.
    pictures: usize,
    depth: usize,
}

impl Parts<'_, '_> {
    fn part(&mut self, id: u32, related: bool, depth: usize) {
        let Some(part) = self.message.part(id) else { return };
        let kind = subtype(part);
        match &part.body {
            PartType::Multipart(_) if depth > MAX_PARTS_DEPTH => {}
            PartType::Multipart(ids) if kind == "alternative" => self.alternatives(ids, depth),
            PartType::Multipart(ids) => {
                for (at, &id) in ids.iter().enumerate() {
                    self.part(id, kind == "related" && at > 0, depth + 1);
                }
            }
            PartType::Text(text) if is_body(part) && !related => {
                let body = plain::body(&readable(self.message, part, text), is_flowed(part));
                self.mail.body.append(body);
            }
            PartType::Html(page) if is_body(part) && !related => {
                let body = fuller(None, Some(&readable(self.message, part, page)));
                self.mail.body.append(body);
            }
            _ => self.attach(part, related),
        }
    }

    /// The same body in several forms.
    fn alternatives(&mut self, ids: &[u32], depth: usize) {
        let (mut plain, mut page, mut others) = (None::<Document>, None, Vec::new());
        for &id in ids {
            match self.message.part(id).map(|part| (part, &part.body)) {
                Some((part, PartType::Text(text))) if is_body(part) => {
                    plain = Some(plain::body(&readable(self.message, part, text), is_flowed(part)));
                }
                Some((part, PartType::Html(text))) if is_body(part) => page = Some(readable(self.message, part, text)),
                // A page with its pictures, or with files.
                Some((_, PartType::Multipart(inner))) => {
                    for &id in inner {
                        match self.message.part(id).map(|part| (part, &part.body)) {
                            Some((part, PartType::Html(text))) if page.is_none() && is_body(part) => {
                                page = Some(readable(self.message, part, text));
                            }
                            _ => others.push(id),
                        }
                    }
                }
                // The same as an invitation, or another form without a name.
                Some((part, _)) if part.attachment_name().is_some() => others.push(id),
                _ => {}
            }
        }
        self.mail.body.append(fuller(plain, page.as_deref()));
        others.into_iter().for_each(|id| self.part(id, true, depth + 2));
    }

    fn attach(&mut self, part: &MessagePart<'_>, related: bool) {
        let media_type = part.content_type().map(|kind| {
            let subtype = kind.c_subtype.as_deref().unwrap_or_default();
            format!("{}/{subtype}", kind.c_type)
        });
        let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
        let shown = related && media_type.starts_with("image/");
        if shown && !matches!(part.body, PartType::Binary(_) | PartType::InlineBinary(_)) {
            self.pictures += 1;
            return;
        }
        let mut name = part.attachment_name().unwrap_or_default().to_owned();
        let content = match &part.body {
            PartType::Message(message) if self.depth < super::MAX_DEPTH => {
                if name.is_empty() {
                    name = message.subject().unwrap_or_default().to_owned();
                }
                Content::Mail(Box::new(mail(message, self.depth + 1)))
            }
            PartType::Message(_) => Content::File(Vec::new()),
            // With a mark, since the text is UTF-8 by now, whatever it says of itself.
            PartType::Text(text) | PartType::Html(text) => Content::File(format!("\u{feff}{text}").into_bytes()),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Content::File(bytes.to_vec()),
            PartType::Multipart(_) => return,
        };
        self.mail.attachments.push(Attachment { name, media_type, content, shown });
    }
}

fn subtype(part: &MessagePart<'_>) -> String {
    part.content_type().and_then(|kind| kind.c_subtype.as_deref()).unwrap_or("plain").to_ascii_lowercase()
}

/// Whether the part is shown as the mail's text.
fn is_body(part: &MessagePart<'_>) -> bool {
    let attached = part.content_disposition().is_some_and(|disposition| disposition.is_attachment());
    !attached && part.attachment_name().is_none() && matches!(&*subtype(part), "plain" | "html" | "enriched")
}

fn is_flowed(part: &MessagePart<'_>) -> bool {
    let format = part.content_type().and_then(|kind| kind.attribute("format"));
    format.is_some_and(|format| format.eq_ignore_ascii_case("flowed"))
}

/// The part's text. Where its encoding is not declared or wrong, its letters tell it.
fn readable(message: &Message<'_>, part: &MessagePart<'_>, decoded: &str) -> String {
    if part.encoding == Encoding::None && decoded.contains(char::REPLACEMENT_CHARACTER) {
        let raw = message.raw_message.get(part.offset_body as usize..part.offset_end as usize);
        if let Some(text) = raw.and_then(|raw| text::decode(raw, None, part.is_text_html())) {
            return text;
        }
    }
    decoded.to_owned()
}
