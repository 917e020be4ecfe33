//! Gives a file that ends too early what its end would have: a list of its pages.

use std::io::Write;

/// Objects that are looked at.
const MAX_OBJECTS: usize = 500_000;
/// Pages of the new list.
const MAX_PAGES: usize = 20_000;

/// The file with a new end that lists all pages in it; `None` if there are none.
pub(super) fn with_new_end(bytes: &[u8]) -> Option<Vec<u8>> {
    let objects = objects(bytes);
    let is_page = |object: &&Object<'_>| object.type_is(b"Page");
    let pages: Vec<u32> = objects.iter().filter(is_page).map(|object| object.number).take(MAX_PAGES).collect();
    let last = objects.iter().map(|object| object.number).max()?;
    if pages.is_empty() {
        return None;
    }
    let (list, catalog) = (last.checked_add(1)?, last.checked_add(2)?);
    let mut whole = bytes.to_vec();
    whole.extend_from_slice(b"\nendstream\nendobj\n");
    let mut offsets: Vec<(u32, usize)> = objects.iter().map(|object| (object.number, object.offset)).collect();
    offsets.push((list, whole.len()));
    let kids: String = pages.iter().map(|page| format!("{page} 0 R ")).collect();
    writeln!(whole, "{list} 0 obj\n<< /Type /Pages /Count {} /Kids [ {kids}] >>\nendobj", pages.len()).ok()?;
    offsets.push((catalog, whole.len()));
    writeln!(whole, "{catalog} 0 obj\n<< /Type /Catalog /Pages {list} 0 R >>\nendobj").ok()?;
    // The last object of a number counts.
    let by_number: std::collections::BTreeMap<u32, usize> = offsets.into_iter().collect();
    let start = whole.len();
    writeln!(whole, "xref\n0 1\n0000000000 65535 f ").ok()?;
    for (number, offset) in by_number {
        write!(whole, "{number} 1\n{offset:010} 00000 n \n").ok()?;
    }
    write!(whole, "trailer\n<< /Size {} /Root {catalog} 0 R >>\nstartxref\n{start}\n%%EOF\n", catalog + 1).ok()?;
    Some(whole)
}

struct Object<'a> {
    number: u32,
    offset: usize,
    /// The beginning of what it holds.
    head: &'a [u8],
}

impl Object<'_> {
    /// Whether its dictionary says `/Type /NAME`.
    fn type_is(&self, name: &[u8]) -> bool {
        let dictionary = self.head.windows(6).position(|window| window == b"endobj" || window == b"stream");
        let dictionary = &self.head[..dictionary.unwrap_or(self.head.len())];
        let mut types = dictionary.windows(5).enumerate().filter(|(_, window)| *window == b"/Type");
        types.any(|(at, _)| {
            let rest = dictionary[at + 5..].trim_ascii_start();
            let rest = rest.strip_prefix(b"/").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.first().is_none_or(|b| !b.is_ascii_alphanumeric()))
        })
    }
}

/// The objects of the file, found by their beginnings: `12 0 obj`.
fn objects(bytes: &[u8]) -> Vec<Object<'_>> {
    let mut found = Vec::new();
    for (at, _) in bytes
        .windows(5)
        .enumerate()
        .filter(|(_, window)| window == b" obj\n" || window == b" obj\r" || window == b" obj " || window == b" obj<")
    {
        let before = &bytes[at.saturating_sub(20)..at];
        let digits = |text: &[u8]| text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let generation = digits(before);
        let Some(rest) = before.get(..before.len() - generation).and_then(|rest| rest.strip_suffix(b" ")) else {
            continue;
        };
        let length = digits(rest);
        let number = std::str::from_utf8(&rest[rest.len() - length..]).ok().and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|_| generation > 0) else { continue };
        let head = &bytes[at + 4..(at + 4096).min(bytes.len())];
        found.push(Object { number, offset: at - generation - 1 - length, head });
        if found.len() >= MAX_OBJECTS {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_file_without_its_end_are_listed() {
        let cut = b"%PDF-1.4\n3 0 obj\n<</Type/Page /Parent 9 0 R>>\nendobj\n14 0 obj << /Type /Pages >>\nendobj\n7 0 obj <</Type /Page>> endobj\n8 0 obj <</Len";
        let whole = String::from_utf8(with_new_end(cut).unwrap()).unwrap();
        assert!(whole.contains("/Count 2 /Kids [ 3 0 R 7 0 R ]"), "{whole}");
        assert!(whole.contains("/Root 16 0 R"), "{whole}");
        assert_eq!(with_new_end(b"%PDF-1.4\n1 0 obj <</Type /Font>>"), None);
    }
}
