//! Excel workbooks of the binary formats: BIFF8 (1997 to 2003) and BIFF5 (1995).
//!
//! *Source:* [MS-XLS]. A file is a row of records; the first substream is the workbook's, and each sheet has its own.

mod records;
mod worksheet;

use std::io::{Cursor, Read};

use encoding_rs::{Encoding, WINDOWS_1252};

use super::{Budget, Workbook, format::Format};
use domain::{document::Document, ports::ParseLimits};
use reading::fault::Fault;
use records::{Data, Record, records};

const BOF: u16 = 0x0809;
const EOF: u16 = 0x000a;

/// Whether the compound file is a workbook.
pub fn is_workbook(bytes: &[u8]) -> bool {
    cfb::CompoundFile::open(Cursor::new(bytes)).is_ok_and(|file| name(&file).is_some())
}

fn name(file: &cfb::CompoundFile<Cursor<&[u8]>>) -> Option<&'static str> {
    ["/Workbook", "/Book"].into_iter().find(|name| file.is_stream(name))
}

/// The workbook's stream within the compound file.
fn stream(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = cfb::CompoundFile::open(Cursor::new(bytes)).ok()?;
    let name = name(&file)?;
    let mut stream = Vec::new();
    file.open_stream(name).ok()?.take(bytes.len() as u64).read_to_end(&mut stream).ok()?;
    Some(stream)
}

/// A sheet as the workbook names it.
struct Entry {
    name: String,
    hidden: bool,
    /// Where its substream begins.
    at: usize,
}

/// What all sheets share.
struct Shared {
    /// BIFF8: texts are Unicode.
    unicode: bool,
    encoding: &'static Encoding,
    since_1904: bool,
    strings: Vec<String>,
    fonts: Vec<bool>,
    /// Font and format of each style.
    styles: Vec<(usize, u16)>,
    formats: std::collections::HashMap<u16, Format>,
}

/// Reads a workbook.
pub fn read(bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let stream = stream(bytes).ok_or(Fault::Corrupt)?;
    let (shared, entries) = globals(&stream)?;
    let hidden = entries.iter().filter(|entry| entry.hidden).count();
    let mut out = Workbook::new(entries.len() - hidden, hidden, limits)?;
    let mut budget = Budget::new(limits);
    for (number, entry) in (1..).zip(entries.iter().filter(|entry| !entry.hidden)) {
        let sheet = stream.get(entry.at..).ok_or(Fault::Corrupt);
        out.add(number, &entry.name, sheet.and_then(|part| worksheet::read(part, &shared, &mut budget)))?;
    }
    out.finish()
}

fn globals(stream: &[u8]) -> Result<(Shared, Vec<Entry>), Fault> {
    let mut shared = Shared {
        unicode: true,
        encoding: WINDOWS_1252,
        since_1904: false,
        strings: Vec::new(),
        fonts: Vec::new(),
        styles: Vec::new(),
        formats: std::collections::HashMap::new(),
    };
    let mut entries = Vec::new();
    for record in records(stream) {
        let mut data = record.data();
        match record.kind {
            BOF => shared.unicode = data.u16() == Some(0x0600),
            EOF => break,
            // The rest is encrypted.
            0x002f => return Err(Fault::Encrypted),
            0x0042 => shared.encoding = encoding_of(data.u16().unwrap_or(0)),
            0x0022 => shared.since_1904 = data.u16() == Some(1),
            0x0031 => shared.fonts.push(data.skip(6).u16().is_some_and(|weight| weight >= 700)),
            0x041e => {
                let id = data.u16().unwrap_or(0);
                let code = if shared.unicode { data.text(true) } else { data.bytes_text(false, shared.encoding) };
                shared.formats.insert(id, Format::parse(&code.unwrap_or_default()));
            }
            0x00e0 => {
                let (font, format) = (data.u16().unwrap_or(0), data.u16().unwrap_or(0));
                // There is no font 4.
                shared.styles.push((usize::from(if font > 4 { font - 1 } else { font }), format));
            }
            0x0085 => entries.extend(entry(&mut data, &shared)),
            0x00fc => shared.strings = strings(&mut data),
            _ => {}
        }
    }
    if entries.is_empty() {
        return Err(Fault::Corrupt);
    }
    for (_, id) in &shared.styles {
        shared.formats.entry(*id).or_insert_with(|| Format::built_in(*id));
    }
    Ok((shared, entries))
}

/// A sheet; `None` for what is no sheet, for example a module of macros.
fn entry(data: &mut Data<'_>, shared: &Shared) -> Option<Entry> {
    let at = usize::try_from(data.u32()?).ok()?;
    let (state, kind) = (data.u8()?, data.u8()?);
    let name = if shared.unicode { data.text(false)? } else { data.bytes_text(false, shared.encoding)? };
    matches!(kind, 0 | 2).then_some(Entry { name, hidden: state & 3 != 0, at })
}

/// The shared texts.
fn strings(data: &mut Data<'_>) -> Vec<String> {
    let mut out = Vec::new();
    data.skip(8);
    while let Some(text) = data.rich_text() {
        out.push(text);
    }
    out
}

fn encoding_of(page: u16) -> &'static Encoding {
    let label = match page {
        874 => "windows-874".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10_000 => "macintosh".to_owned(),
        page => format!("windows-{page}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

#[cfg(test)]
mod tests;
