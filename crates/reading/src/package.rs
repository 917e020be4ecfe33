//! Opens files that are zip archives of XML parts: Office Open XML, OpenDocument, EPUB.
//!
//! The archive is hostile. What it unpacks to is bounded before a part is read, by what its directory says, and again
//! while its parts are unpacked.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, BufReader, Cursor, Read},
};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::{
    NsReader, Reader,
    events::{BytesStart, Event},
};
use zip::{ZipArchive, result::ZipError};

use super::fault::Fault;
use domain::ports::FileKind;

/// The most bytes that an archive may unpack to: eight times the largest upload, well below the memory limit.
const MAX_UNPACKED_BYTES: u64 = 200 << 20;
/// The most parts that an archive may have; a large presentation has a few thousand.
const MAX_PARTS: usize = 20_000;

/// An opened archive.
pub struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The archive's index of each part, by its name in lower case with `/` between folders.
    parts: HashMap<String, usize>,
    /// Bytes that may still be unpacked.
    left: u64,
}

/// A relationship of a part to another one, or to something outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relationship {
    /// Its id within the part, for example `rId3`.
    pub id: String,
    /// The last word of its type, for example `footnotes`.
    pub kind: String,
    /// The name of the other part, or the URL outside.
    pub target: String,
    /// Whether the target is outside.
    pub external: bool,
}

impl<'a> Package<'a> {
    /// Opens the archive.
    ///
    /// # Errors
    ///
    /// It has no directory (`Truncated`), is damaged, is encrypted, or unpacks to too much.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
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

    /// What the package holds: by its media type (OpenDocument), else by the type of its main part (Office Open XML).
    pub fn kind(&mut self) -> Result<Option<FileKind>, Fault> {
        if let Some(declared) = self.bytes("mimetype")? {
            let media_type = String::from_utf8_lossy(&declared);
            return Ok(FileKind::from_media_type(media_type.trim()).filter(|kind| !kind.is_text()));
        }
        let Some(types) = self.xml("[Content_Types].xml")? else { return Ok(None) };
        let mut kind = None;
        // A damaged list of types is no reason to read nothing.
        let _damaged = for_each_start(&types, |element| {
            let content = attribute(element, "ContentType").unwrap_or_default();
            if content.ends_with(".main+xml") {
                kind = kind.or_else(|| kind_of_main(&content));
            }
        });
        let by_folder = [("word/", FileKind::Docx), ("ppt/", FileKind::Pptx), ("xl/", FileKind::Xlsx)];
        let holds = |folder: &str| self.parts.keys().any(|name| name.starts_with(folder) && name.ends_with(".xml"));
        Ok(kind.or_else(|| by_folder.into_iter().find(|(folder, _)| holds(folder)).map(|(_, kind)| kind)))
    }

    /// Whether there is a part of this name.
    pub fn has(&self, name: &str) -> bool {
        self.parts.contains_key(&part_name(name))
    }

    /// The name of the main part by the package's relationships; `None` if they name none that is there.
    pub fn main_part(&mut self) -> Result<Option<String>, Fault> {
        let links = self.relationships("")?;
        let main = links.into_iter().find(|link| link.kind == "officeDocument" && !link.external);
        Ok(main.map(|link| link.target).filter(|part| self.has(part)))
    }

    /// The bytes of a part; `None` if there is no such part.
    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
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
    pub fn xml(&mut self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.bytes(name)?.map(xml_text))
    }

    /// The text of an XML part, unpacked while it is read; `None` if there is no such part.
    pub fn stream(&mut self, name: &str) -> Result<Option<Box<dyn BufRead + '_>>, Fault> {
        let Some(&index) = self.parts.get(&part_name(name)) else { return Ok(None) };
        let part = self.archive.by_index(index).map_err(|error| part_fault(&error))?;
        let mut part = Bounded { part, left: &mut self.left };
        let mut start = Vec::new();
        part.by_ref().take(2).read_to_end(&mut start).map_err(|error| unpack_fault(&error))?;
        if encoding_of(&start) == UTF_8 {
            return Ok(Some(Box::new(BufReader::new(Cursor::new(start).chain(part)))));
        }
        part.read_to_end(&mut start).map_err(|error| unpack_fault(&error))?;
        Ok(Some(Box::new(Cursor::new(xml_text(start)))))
    }

    /// The relationships of a part (`""`: of the package), targets as part names; none if it has none.
    pub fn relationships(&mut self, part: &str) -> Result<Vec<Relationship>, Fault> {
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

/// A part that counts what is unpacked, and fails beyond the limit.
struct Bounded<'a, R> {
    part: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(buffer)?;
        *self.left = self.left.checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

/// A piece of an XML part, names without their prefixes.
pub enum Xml<'a> {
    /// An element begins.
    Start(&'a str, &'a BytesStart<'a>),
    /// An element ends.
    End(&'a str),
    /// Text, references resolved.
    Text(&'a str),
}

/// Calls `see` with each piece of an XML text. What stands in for programs that know less (`mc:Fallback`) is left out.
pub fn walk(xml: impl BufRead, mut see: impl FnMut(Xml<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut reader = Reader::from_reader(xml);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut buffer = Vec::new();
    let mut fallbacks = 0_usize;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) if element.local_name().as_ref() == "Fallback" => fallbacks += 1,
            Ok(Event::End(element)) if element.local_name().as_ref() == "Fallback" => {
                fallbacks = fallbacks.saturating_sub(1);
            }
            Ok(Event::Eof) => return Ok(()),
            Err(quick_xml::Error::Io(error)) => return Err(unpack_fault(&error)),
            Err(_) => return Err(Fault::Corrupt),
            Ok(_) if fallbacks > 0 => {}
            Ok(Event::Start(element)) => see(Xml::Start(element.local_name().as_ref(), &element))?,
            Ok(Event::Empty(element)) => {
                see(Xml::Start(element.local_name().as_ref(), &element))?;
                see(Xml::End(element.local_name().as_ref()))?;
            }
            Ok(Event::End(element)) => see(Xml::End(element.local_name().as_ref()))?,
            Ok(Event::Text(text)) => see(Xml::Text(&text))?,
            Ok(Event::CData(text)) => see(Xml::Text(&text))?,
            Ok(Event::GeneralRef(name)) => match name.resolve_char_ref() {
                Ok(Some(c)) => see(Xml::Text(c.encode_utf8(&mut [0; 4])))?,
                _ => quick_xml::escape::resolve_xml_entity(&name).map_or(Ok(()), |text| see(Xml::Text(text)))?,
            },
            Ok(_) => {}
        }
    }
}

/// Relationships by their ids.
pub fn by_id(links: Vec<Relationship>) -> BTreeMap<String, Relationship> {
    links.into_iter().map(|link| (link.id.clone(), link)).collect()
}

/// Calls `see` with each start or empty tag of `xml`.
pub fn for_each_start(xml: &str, mut see: impl FnMut(&BytesStart<'_>)) -> Result<(), Fault> {
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

fn kind_of_main(content_type: &str) -> Option<FileKind> {
    let words = [
        ("wordprocessingml", FileKind::Docx),
        ("ms-word", FileKind::Docx),
        ("presentationml", FileKind::Pptx),
        ("ms-powerpoint", FileKind::Pptx),
        ("spreadsheetml", FileKind::Xlsx),
        ("ms-excel", FileKind::Xlsx),
    ];
    words.into_iter().find(|(word, _)| content_type.contains(word)).map(|(_, kind)| kind)
}

/// The value of the element's attribute with this local name, whatever its prefix.
pub fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found = attributes.with_checks(false).flatten();
    let mut named = found.filter(|attribute| attribute.key.local_name().as_ref() == name);
    named.next().map(|attribute| {
        let value = &*attribute.value;
        quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
    })
}

/// `target` seen from `folder`, without `.` and `..`.
pub fn resolve(folder: &str, target: &str) -> String {
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
    encoding_of(&bytes).decode(&bytes).0.into_owned()
}

fn encoding_of(bytes: &[u8]) -> &'static Encoding {
    match bytes.get(..2) {
        Some([0xff, 0xfe] | [b'<', 0]) => UTF_16LE,
        Some([0xfe, 0xff] | [0, b'<']) => UTF_16BE,
        _ => UTF_8,
    }
}

fn unpack_fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Fault::ArchiveTooLarge { limit_bytes: MAX_UNPACKED_BYTES },
        _ => Fault::Corrupt,
    }
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
