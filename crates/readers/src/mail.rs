//! Reads mails: headers, the body once, then the attachments as parts of the same document.
//!
//! `eml` takes apart mails as they were sent, `outlook` those that Outlook saved, `plain` makes blocks of a plain body.

mod eml;
mod outlook;
mod plain;

#[cfg(test)]
mod tests;

pub(super) use eml::begins_like_mail;

use super::{
    child,
    detect::Declared,
    pictures::{self, MAX_OCR_PAGES},
    protocol::Request,
};
use domain::{
    document::{AsideKind, Block, BlockKind, Document, Inline, LeftOut, Notice},
    markdown,
};
use markup::html::{self, Options};
use pages::ocr::Ocr;
use reading::{Reading, fault::Fault};

/// How deep attachments are read: a file in a mail that is attached to a mail.
const MAX_DEPTH: usize = 2;
/// How many attachments of a mail are read; the others are named.
const MAX_ATTACHMENTS: usize = 200;
/// A mail, whatever it was saved as.
#[derive(Debug, Default)]
struct Mail {
    subject: String,
    /// Names and values of the headers that are shown.
    headers: Vec<(&'static str, String)>,
    body: Document,
    attachments: Vec<Attachment>,
}

#[derive(Debug)]
struct Attachment {
    name: String,
    media_type: String,
    content: Content,
    /// It is a picture in the body.
    shown: bool,
}

#[derive(Debug)]
enum Content {
    File(Vec<u8>),
    Mail(Box<Mail>),
}

/// Reads a mail as it was sent. It stands `depth` levels deep in other mails.
pub(super) fn read(bytes: &[u8], request: &Request, depth: usize, ocr: &mut Ocr) -> Result<Document, Fault> {
    Ok(document(eml::read(bytes).ok_or(Fault::Corrupt)?, request, depth, ocr))
}

/// Reads a mail that Outlook saved.
pub(super) fn read_outlook(bytes: &[u8], request: &Request, depth: usize, ocr: &mut Ocr) -> Result<Document, Fault> {
    Ok(document(outlook::read(bytes)?, request, depth, ocr))
}

fn document(mail: Mail, request: &Request, depth: usize, ocr: &mut Ocr) -> Document {
    let mut document = Document::default();
    let subject = mail.subject.trim();
    if !subject.is_empty() {
        document.blocks.push(Block::heading(1, subject));
    }
    let mut lines = Vec::new();
    for (name, value) in mail.headers.iter().filter(|(_, value)| !value.trim().is_empty()) {
        if !lines.is_empty() {
            lines.push(Inline::LineBreak);
        }
        lines.push(Inline::text(format!("{name}: {}", value.trim())));
    }
    document.blocks.push(BlockKind::Paragraph(lines).into());
    document.append(mail.body);
    for (at, attachment) in mail.attachments.into_iter().enumerate() {
        let part = match attachment.as_picture(request, ocr) {
            Some(part) => part,
            None if attachment.shown => Document {
                notices: Notice::left_out(LeftOut::Pictures, 1).into_iter().collect(),
                ..Document::default()
            },
            None if at < MAX_ATTACHMENTS => attached(attachment, request, depth + 1, ocr),
            None => named(attachment.name),
        };
        document.append(part);
    }
    document
}

impl Attachment {
    /// What OCR reads on it, if it is a picture as large as a page or a screen; logos and photos hold next to nothing.
    fn as_picture(&self, request: &Request, ocr: &mut Ocr) -> Option<Document> {
        let Content::File(bytes) = &self.content else { return None };
        let part = pictures::read(bytes, &request.limits, ocr).ok()??;
        let what = if self.shown { "Picture" } else { "Attachment" };
        Some(titled(part, what, &self.name))
    }
}

/// An attachment as a part of the document; its name if it can't be read.
fn attached(attachment: Attachment, request: &Request, depth: usize, ocr: &mut Ocr) -> Document {
    let Attachment { name, media_type, content, .. } = attachment;
    if depth > MAX_DEPTH {
        return named(name);
    }
    let part = match content {
        Content::Mail(mail) => Some(document(*mail, request, depth, ocr)),
        Content::File(bytes) => {
            ocr.part(MAX_OCR_PAGES, |ocr| file(bytes, (&name, &media_type), request, depth, ocr)).ok()
        }
    };
    part.map_or_else(|| named(name.clone()), |part| titled(part, "Attachment", &name))
}

/// A part under a heading of its own.
fn titled(mut part: Document, what: &str, name: &str) -> Document {
    part.blocks.retain(|block| !matches!(block.kind, BlockKind::Page(_)));
    for block in &mut part.blocks {
        if let BlockKind::Heading { level, .. } = &mut block.kind {
            *level = level.saturating_add(2);
        }
    }
    part.pages = 0;
    let title = format!("{what}: {}", if name.trim().is_empty() { "no name" } else { name.trim() });
    part.blocks.insert(0, Block::heading(2, title));
    part
}

/// A file's text. Mail programs often declare a wrong type, so the name counts, then the content alone.
fn file(
    bytes: Vec<u8>,
    (name, media_type): (&str, &str),
    request: &Request,
    depth: usize,
    ocr: &mut Ocr,
) -> Result<Document, Fault> {
    let by_name = Declared::new("", name);
    let declared = if by_name.is_known() { by_name } else { Declared::new(media_type, "") };
    let again = bytes.clone();
    let reading = match child::reading(bytes, &declared, request, depth, ocr) {
        Err(Fault::TypeMismatch { .. }) => child::reading(again, &Declared::new("", ""), request, depth, ocr),
        reading => reading,
    };
    Ok(match reading?.1 {
        Reading::Blocks(document) => document,
        Reading::Markdown { text, .. } => {
            Document { blocks: vec![BlockKind::Markdown(text).into()], ..Document::default() }
        }
    })
}

/// The name of an attachment that is not read.
fn named(name: String) -> Document {
    let name = if name.trim().is_empty() { "no name".to_owned() } else { name };
    let aside = BlockKind::Aside { kind: AsideKind::Attachment, by: name, blocks: Vec::new() };
    let notices = Notice::left_out(LeftOut::Attachments, 1).into_iter().collect();
    Document { blocks: vec![aside.into()], notices, ..Document::default() }
}

/// The body in that of its forms which says more: plain text, unless the page holds a table or far more words.
fn fuller(plain: Option<Document>, page: Option<&str>) -> Document {
    let Some(page) = page else { return plain.unwrap_or_default() };
    let page = html::read(page, Options::default());
    match plain {
        Some(plain) if !holds_more(&page, &plain) => plain,
        _ => page,
    }
}

fn holds_more(page: &Document, plain: &Document) -> bool {
    let letters = |document: &Document| markdown::letters(&reading::render::tidy_markdown(document));
    let (more, less) = (letters(page), letters(plain));
    let tables = page.blocks.iter().any(|block| matches!(block.kind, BlockKind::Table(_)));
    // The words of a table are counted twice where cells are merged.
    less == 0 || (tables && more * 2 > less) || more > less.saturating_mul(5) / 4 + 40
}
