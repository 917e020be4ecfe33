//! Mails that Outlook saved (MSG): properties as streams of a compound file.

mod compressed;

use std::io::{Cursor, Read};

use cfb::CompoundFile;
use encoding_rs::Encoding;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc2822};

use super::{Attachment, Content, Mail, fuller, plain};
use domain::document::{LeftOut, Notice};
use markup::{rtf, text};
use reading::fault::Fault;

/// Types of properties.
const TEXT: u16 = 0x1f;
const BYTES_TEXT: u16 = 0x1e;
const BYTES: u16 = 0x102;
const TIME: u16 = 0x40;

/// Takes a mail apart.
///
/// # Errors
///
/// The file is damaged.
pub(super) fn read(bytes: &[u8]) -> Result<Mail, Fault> {
    let mut file = CompoundFile::open(Cursor::new(bytes)).map_err(|_damaged| Fault::Corrupt)?;
    Ok(mail(&mut Folder { file: &mut file, path: String::new(), header_bytes: 32 }, 0))
}

/// A storage: a message, or an attachment.
struct Folder<'a, 'b> {
    file: &'a mut CompoundFile<Cursor<&'b [u8]>>,
    path: String,
    /// What stands in front of the fixed properties.
    header_bytes: usize,
}

impl Folder<'_, '_> {
    fn stream(&mut self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.open_stream(format!("{}/{name}", self.path)).ok()?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn bytes(&mut self, id: u16, kind: u16) -> Option<Vec<u8>> {
        self.stream(&format!("__substg1.0_{id:04X}{kind:04X}"))
    }

    fn text(&mut self, id: u16) -> Option<String> {
        if let Some(bytes) = self.bytes(id, TEXT) {
            return Some(encoding_rs::UTF_16LE.decode_without_bom_handling(&bytes).0.trim_end_matches('\0').to_owned());
        }
        let bytes = self.bytes(id, BYTES_TEXT)?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        let encoding = self.encoding();
        Some(match encoding {
            Some(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            None => text::decode(bytes, None, false).unwrap_or_default(),
        })
    }

    /// The value of a property that fits in eight bytes.
    fn fixed(&mut self, id: u16, kind: u16) -> Option<u64> {
        let bytes = self.stream("__properties_version1.0")?;
        let entries = bytes.get(self.header_bytes..)?.chunks_exact(16);
        let mut found = entries.filter(|entry| entry.starts_with(&[kind.to_le_bytes(), id.to_le_bytes()].concat()));
        found.next()?.get(8..16)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// The code page of texts that are no UTF-16.
    fn encoding(&mut self) -> Option<&'static Encoding> {
        let page = self.fixed(0x3ffd, 3)?;
        Some(rtf::encoding(i32::try_from(page & 0xffff_ffff).ok()?))
    }

    fn date(&mut self) -> Option<String> {
        let ticks = self.fixed(0x0039, TIME).or_else(|| self.fixed(0x0e06, TIME))?;
        let since_1601 = Duration::microseconds(i64::try_from(ticks / 10).ok()?);
        let start = OffsetDateTime::UNIX_EPOCH - Duration::seconds(11_644_473_600);
        start.checked_add(since_1601)?.format(&Rfc2822).ok()
    }

    /// The storages in this one whose names begin with `prefix`.
    fn folders(&self, prefix: &str) -> Vec<String> {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        let entries = self.file.read_storage(path).into_iter().flatten();
        let named = entries.filter(|entry| entry.is_storage() && entry.name().starts_with(prefix));
        named.map(|entry| format!("{}/{}", self.path, entry.name())).collect()
    }
}

fn mail(folder: &mut Folder<'_, '_>, depth: usize) -> Mail {
    let name = folder.text(0x0c1a).or_else(|| folder.text(0x0042)).unwrap_or_default();
    let address = folder.text(0x5d01).or_else(|| folder.text(0x0c1f)).filter(|address| address.contains('@'));
    let from = match address {
        Some(address) if address != name && !name.is_empty() => format!("{name} <{address}>"),
        Some(address) => address,
        None => name,
    };
    let mut mail = Mail {
        subject: folder.text(0x0037).unwrap_or_default(),
        headers: vec![
            ("From", from),
            ("To", folder.text(0x0e04).unwrap_or_default()),
            ("Cc", folder.text(0x0e03).unwrap_or_default()),
            ("Date", folder.date().unwrap_or_default()),
        ],
        ..Mail::default()
    };
    let page =
        folder.bytes(0x1013, BYTES).and_then(|bytes| text::decode(&bytes, None, true)).or_else(|| folder.text(0x1013));
    let body = folder.text(0x1000).filter(|text| !text.trim().is_empty());
    mail.body = if body.is_none() && page.is_none() {
        let rich = folder.bytes(0x1009, BYTES).and_then(|bytes| compressed::unpack(&bytes));
        rich.map(|rich| rtf::read(&rich)).unwrap_or_default()
    } else {
        fuller(body.map(|text| plain::body(&text, false)), page.as_deref())
    };
    let mut pictures = 0;
    for path in folder.folders("__attach_version1.0_") {
        let mut folder = Folder { file: &mut *folder.file, path, header_bytes: 8 };
        match attachment(&mut folder, depth) {
            Some(attachment) => mail.attachments.push(attachment),
            None => pictures += 1,
        }
    }
    mail.body.notices.extend(Notice::left_out(LeftOut::Pictures, pictures));
    mail
}

/// An attachment; `None` if it is a picture in the body.
fn attachment(folder: &mut Folder<'_, '_>, depth: usize) -> Option<Attachment> {
    let named = folder.text(0x3707).or_else(|| folder.text(0x3704)).or_else(|| folder.text(0x3001));
    let mut name = named.unwrap_or_default();
    let media_type = folder.text(0x370e).unwrap_or_default();
    let shown = folder.text(0x3712).is_some() || folder.fixed(0x7ffe, 0xb).is_some_and(|hidden| hidden & 1 == 1);
    if shown && media_type.starts_with("image/") {
        return None;
    }
    let inner = folder.folders("__substg1.0_3701000D").pop();
    let content = match inner {
        Some(path) if depth < super::MAX_DEPTH => {
            let mail = mail(&mut Folder { file: &mut *folder.file, path, header_bytes: 24 }, depth + 1);
            if name.is_empty() {
                name.clone_from(&mail.subject);
            }
            Content::Mail(Box::new(mail))
        }
        _ => Content::File(folder.bytes(0x3701, BYTES).unwrap_or_default()),
    };
    Some(Attachment { name, media_type, content, shown: false })
}
