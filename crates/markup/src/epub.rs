//! Reads books (EPUB): the chapters in the order of the spine, each as a page of HTML.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use quick_xml::{Reader, events::Event};

use super::{
    html::{self, Options},
    text,
};
use domain::document::{Block, BlockKind, Document};
use reading::{
    fault::Fault,
    package::{self, Package},
};

/// The part that names the book's description.
pub const CONTAINER: &str = "META-INF/container.xml";
/// The part that names encrypted parts.
const ENCRYPTION: &str = "META-INF/encryption.xml";

/// The book as blocks: its title, then its chapters.
pub fn read(bytes: &[u8]) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    let container = package.xml(CONTAINER)?.ok_or(Fault::Corrupt)?;
    let mut description = None;
    package::for_each_start(&container, |element| {
        if element.local_name().as_ref() == "rootfile" && description.is_none() {
            description = package::attribute(element, "full-path");
        }
    })?;
    let description = decoded(&description.ok_or(Fault::Corrupt)?);
    let folder = description.rsplit_once('/').map_or("", |(folder, _)| folder);
    let xml = package.xml(&description)?.ok_or(Fault::Corrupt)?;
    let chapters = chapters(&xml, folder)?;
    let locked = encrypted(&mut package)?;
    if chapters.iter().any(|chapter| locked.contains(&chapter.to_lowercase())) {
        return Err(Fault::Encrypted);
    }
    let mut book = Document::default();
    for chapter in chapters {
        let page = package.bytes(&chapter)?.and_then(|bytes| text::decode(&bytes, None, true));
        if let Some(page) = page {
            book.append(html::read(&page, Options { title: false, xml: true }));
        }
    }
    // Most books begin with a page of their title.
    let title = title(&xml);
    let begins_with_title = book.blocks.iter().take(8).any(|block| says(&block.kind, &title));
    if !title.is_empty() && !begins_with_title {
        book.blocks.insert(0, Block::heading(1, title));
    }
    Ok(book)
}

fn says(kind: &BlockKind, title: &str) -> bool {
    matches!(kind, BlockKind::Heading { text, .. } | BlockKind::Paragraph(text) if format!("{text:?}").contains(title))
}

/// The parts that the spine names, in its order, without pictures.
fn chapters(xml: &str, folder: &str) -> Result<Vec<String>, Fault> {
    let (mut parts, mut order) = (HashMap::new(), Vec::new());
    package::for_each_start(xml, |element| match element.local_name().as_ref() {
        "item" => {
            let kind = package::attribute(element, "media-type").unwrap_or_default();
            let (id, target) = (package::attribute(element, "id"), package::attribute(element, "href"));
            if let (Some(id), Some(target), false) = (id, target, kind.starts_with("image/")) {
                parts.insert(id, package::resolve(folder, &decoded(&target)));
            }
        }
        "itemref" => order.extend(package::attribute(element, "idref")),
        _ => {}
    })?;
    Ok(order.into_iter().filter_map(|id| parts.remove(&id)).collect())
}

/// The names of the encrypted parts, in lower case.
fn encrypted(package: &mut Package<'_>) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    if let Some(xml) = package.xml(ENCRYPTION)? {
        package::for_each_start(&xml, |element| {
            if element.local_name().as_ref() == "CipherReference" {
                names.extend(package::attribute(element, "URI").map(|name| decoded(&name).to_lowercase()));
            }
        })?;
    }
    Ok(names)
}

/// The book's title in its description.
fn title(xml: &str) -> String {
    let mut reader = Reader::from_str(xml);
    let (mut inside, mut title) = (false, String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) if element.local_name().as_ref() == "title" => inside = true,
            Ok(Event::End(_)) if inside => break,
            Ok(Event::Text(text)) if inside => title.push_str(&text),
            Ok(Event::GeneralRef(name)) if inside => {
                let entity = format!("&{};", &*name);
                title.push_str(&quick_xml::escape::unescape(&entity).unwrap_or_default());
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name in a URL as the name of a part.
fn decoded(name: &str) -> String {
    let path = name.split('#').next().unwrap_or_default();
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;
    use reading::render;

    fn book(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    const ROOT: (&str, &str) =
        (CONTAINER, "<container><rootfiles><rootfile full-path='O%20EB/b.opf'/></rootfiles></container>");
    const DESCRIPTION: (&str, &str) = (
        "O EB/b.opf",
        "<opf:package xmlns:opf='o' xmlns:dc='d'><dc:title>Walks &amp; tides</dc:title><opf:manifest>\
         <opf:item id='b' href='t/k%202.xhtml'/><opf:item id='a' href='t/k 1.xhtml'/></opf:manifest>\
         <opf:spine><opf:itemref idref='a'/><opf:itemref idref='b'/><opf:itemref idref='gone'/></opf:spine></opf:package>",
    );

    #[test]
    fn chapters_come_in_the_order_of_the_spine() {
        let first = ("O EB/t/k 1.xhtml", "<html><head><title/></head><body><h2>Dyke</h2><p>One.</p></body></html>");
        let second =
            ("O EB/t/k 2.xhtml", "<html><head><title>x</title></head><body><a id='p'/><p>Two.</p></body></html>");
        let document = read(&book(&[ROOT, DESCRIPTION, second, first])).unwrap();
        assert_eq!(render::tidy_markdown(&document), "# Walks & tides\n\n## Dyke\n\nOne.\n\nTwo.\n");
    }

    #[test]
    fn a_locked_book_is_encrypted_and_a_book_without_description_is_damaged() {
        let lock = (ENCRYPTION, "<e><CipherReference URI='O%20EB/t/k%201.xhtml'/></e>");
        assert_eq!(read(&book(&[ROOT, DESCRIPTION, lock])).unwrap_err(), Fault::Encrypted);
        let fonts = (ENCRYPTION, "<e><CipherReference URI='O%20EB/f.otf'/></e>");
        assert!(read(&book(&[ROOT, DESCRIPTION, fonts])).is_ok());
        assert_eq!(read(&book(&[ROOT])).unwrap_err(), Fault::Corrupt);
    }
}
