//! Small files made in tests.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

/// An archive of parts.
pub(crate) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Relationships of these kinds to these targets, with the ids `r0`, `r1` …
pub(crate) fn relationships(links: &[(&str, &str)]) -> String {
    const TYPES: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let link = |(at, (kind, target)): (usize, &(&str, &str))| {
        format!("<Relationship Id='r{at}' Type='{TYPES}/{kind}' Target='{target}'/>")
    };
    format!("<Relationships>{}</Relationships>", links.iter().enumerate().map(link).collect::<String>())
}
