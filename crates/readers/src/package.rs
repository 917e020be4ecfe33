//! Opens files that are zip archives of XML parts: Office Open XML, OpenDocument, EPUB.
//!
//! The archive is hostile. What it unpacks to is bounded before a part is read, by what its directory says, and again
//! while its parts are unpacked.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::{
    NsReader,
    events::{BytesStart, Event},
};
use zip::{ZipArchive, result::ZipError};

use super::fault::Fault;

/// The most bytes that an archive may unpack to: eight times the largest upload, well below the memory limit.
const MAX_UNPACKED_BYTES: u64 = 200 << 20;
/// The most parts that an archive may have; a large presentation has a few thousand.
const MAX_PARTS: usize = 20_000;

/// An opened archive.
pub(crate) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The archive's index of each part, by its name in lower case with `/` between folders.
    parts: HashMap<String, usize>,
    /// Bytes that may still be unpacked.
    left: u64,
}

/// A relationship of a part to another one, or to something outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relationship {
    /// Its id within the part, for example `rId3`.
    pub(crate) id: String,
    /// The last word of its type, for example `footnotes`.
    pub(crate) kind: String,
    /// The name of the other part, or the URL outside.
    pub(crate) target: String,
    /// Whether the target is outside.
    pub(crate) external: bool,
}

impl<'a> Package<'a> {
    /// Opens the archive.
    ///
    /// # Errors
    ///
    /// It has no directory (`Truncated`), is damaged, is encrypted, or unpacks to too much.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| match error {
            // The directory of a zip archive stands at its end.
            ZipError::InvalidArchive(_) | ZipError::Io(_) => Fault::Truncated,
            _ => Fault::Corrupt,
        })?;
        let too_large = Fault::ArchiveTooLarge { limit_bytes: MAX_UNPACKED_BYTES };
        if archive.len() > MAX_PARTS {
            return Err(too_large);
        }
        let mut parts = HashMap::new();
        let mut declared = 0_u64;
        for index in 0..archive.len() {
            let part = archive.by_index_raw(index).map_err(|error| part_fault(&error))?;
            declared = declared.saturating_add(part.size());
            parts.insert(part_name(part.name()), index);
        }
        if declared > MAX_UNPACKED_BYTES {
            return Err(too_large);
        }
        Ok(Self { archive, parts, left: MAX_UNPACKED_BYTES })
    }

    /// Whether there is a part of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.contains_key(&part_name(name))
    }

    /// The name of the main part by the package's relationships; `None` if they name none that is there.
    pub(crate) fn main_part(&mut self) -> Result<Option<String>, Fault> {
        let links = self.relationships("")?;
        let main = links.into_iter().find(|link| link.kind == "officeDocument" && !link.external);
        Ok(main.map(|link| link.target).filter(|part| self.has(part)))
    }

    /// The name of the outermost element of an XML part, without its prefix. Only the beginning of the part is unpacked.
    pub(crate) fn root_name(&mut self, name: &str) -> Result<Option<String>, Fault> {
        const BEGINNING: u64 = 16 << 10;
        let Some(&index) = self.parts.get(&part_name(name)) else { return Ok(None) };
        let part = self.archive.by_index(index).map_err(|error| part_fault(&error))?;
        let mut bytes = Vec::new();
        part.take(BEGINNING).read_to_end(&mut bytes).map_err(|_unreadable| Fault::Corrupt)?;
        let xml = xml_text(bytes);
        let mut reader = NsReader::from_str(&xml);
        loop {
            match reader.read_event() {
                Ok(Event::Start(root) | Event::Empty(root)) => return Ok(Some(root.local_name().as_ref().to_owned())),
                Ok(Event::Eof) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// The names of all parts, in lower case, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// The bytes of a part; `None` if there is no such part.
    pub(crate) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(&index) = self.parts.get(&part_name(name)) else { return Ok(None) };
        let part = self.archive.by_index(index).map_err(|error| part_fault(&error))?;
        let mut bytes = Vec::new();
        part.take(self.left + 1).read_to_end(&mut bytes).map_err(|_unreadable| Fault::Corrupt)?;
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(Fault::ArchiveTooLarge { limit_bytes: MAX_UNPACKED_BYTES })?;
        Ok(Some(bytes))
    }

    /// The text of an XML part, in whichever of its encodings; `None` if there is no such part.
    pub(crate) fn xml(&mut self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.bytes(name)?.map(xml_text))
    }

    /// The relationships of a part (`""`: of the package), targets as part names; none if it has none.
    pub(crate) fn relationships(&mut self, part: &str) -> Result<Vec<Relationship>, Fault> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let rels = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
        let Some(xml) = self.xml(&rels)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for_each_start(&xml, |element| {
            if element.local_name().as_ref() == "Relationship" {
                let kind = attribute(element, "Type").unwrap_or_default();
                let external = attribute(element, "TargetMode").is_some_and(|mode| mode == "External");
                let target = attribute(element, "Target").unwrap_or_default();
                found.push(Relationship {
                    id: attribute(element, "Id").unwrap_or_default(),
                    kind: kind.rsplit('/').next().unwrap_or_default().to_owned(),
                    target: if external { target } else { resolve(folder, &target) },
                    external,
                });
            }
        })?;
        Ok(found)
    }
}

/// Calls `see` with each start or empty tag of `xml`.
pub(crate) fn for_each_start(xml: &str, mut see: impl FnMut(&BytesStart<'_>)) -> Result<(), Fault> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().check_end_names = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => see(&element),
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(Fault::Corrupt),
        }
    }
}

/// The value of the element's attribute with this local name, whatever its prefix.
pub(crate) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found = attributes.with_checks(false).flatten();
    let mut named = found.filter(|attribute| attribute.key.local_name().as_ref() == name);
    named.next().map(|attribute| {
        let value = &*attribute.value;
        quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
    })
}

/// `target` seen from `folder`, without `.` and `..`.
pub(crate) fn resolve(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    let mut path: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(path.pop()),
            step => path.push(step),
        }
    }
    path.retain(|step| !step.is_empty());
    path.join("/")
}

fn part_name(name: &str) -> String {
    name.replace('\\', "/").trim_start_matches('/').to_lowercase()
}

fn xml_text(bytes: Vec<u8>) -> String {
    let encoding = match bytes.get(..2) {
        Some([0xff, 0xfe] | [b'<', 0]) => UTF_16LE,
        Some([0xfe, 0xff] | [0, b'<']) => UTF_16BE,
        _ => UTF_8,
    };
    encoding.decode(&bytes).0.into_owned()
}

fn part_fault(error: &ZipError) -> Fault {
    match error {
        ZipError::UnsupportedArchive(reason) if *reason == ZipError::PASSWORD_REQUIRED => Fault::Encrypted,
        ZipError::InvalidPassword => Fault::Encrypted,
        _ => Fault::Corrupt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_part_names() {
        assert_eq!(resolve("word", "media/a.png"), "word/media/a.png");
        assert_eq!(resolve("ppt/slides", "../notesSlides\\n1.xml"), "ppt/notesSlides/n1.xml");
        assert_eq!(resolve("word", "/xl/book.xml"), "xl/book.xml");
        assert_eq!(resolve("", "../../a.xml"), "a.xml");
    }

    #[test]
    fn an_xml_part_may_be_utf16() {
        let utf16: Vec<u8> = "<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(xml_text(utf16), "<a>é</a>");
        assert_eq!(xml_text("\u{feff}<a>é</a>".into()), "<a>é</a>");
    }
}
