//! Excel workbooks (Office Open XML): the workbook, its parts by their relationships, and its sheets in their order.

mod comments;
mod drawing;
mod strings;
mod styles;
mod worksheet;

use std::collections::HashMap;

use super::{Budget, Sheet, Workbook};
use domain::{document::Document, ports::ParseLimits};
use reading::fault::Fault;
use reading::package::{Package, Relationship, Xml, attribute, walk};
use {strings::Strings, styles::Styles};

/// A sheet as the workbook names it.
struct Entry {
    name: String,
    hidden: bool,
    relationship: String,
}

/// What all sheets share.
struct Shared {
    strings: Strings,
    styles: Styles,
    /// Days count from 1904.
    since_1904: bool,
    /// Names of those who comment, by their ids.
    persons: HashMap<String, String>,
}

/// Reads a workbook.
pub fn read(bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    let root = package.relationships("")?;
    let main = target(&root, "officeDocument").filter(|part| package.has(part)).unwrap_or("xl/workbook.xml").to_owned();
    let (sheets, since_1904) = workbook(&mut package, &main)?;
    let relationships = package.relationships(&main)?;
    let shared = shared(&mut package, &relationships, since_1904)?;
    let hidden = sheets.iter().filter(|entry| entry.hidden).count();
    let mut out = Workbook::new(sheets.len() - hidden, hidden, limits)?;
    let mut budget = Budget::new(limits);
    for (number, entry) in (1..).zip(sheets.iter().filter(|entry| !entry.hidden)) {
        let part = relationships.iter().find(|relationship| relationship.id == entry.relationship);
        let sheet = match part {
            Some(part) => sheet(&mut package, &part.target, &shared, &mut budget),
            None => Err(Fault::Corrupt),
        };
        out.add(number, &entry.name, sheet)?;
    }
    out.finish()
}

fn target<'a>(relationships: &'a [Relationship], kind: &str) -> Option<&'a str> {
    let found = relationships.iter().find(|relationship| relationship.kind == kind && !relationship.external);
    found.map(|relationship| &*relationship.target)
}

/// The sheets of the workbook, and whether days count from 1904.
fn workbook(package: &mut Package<'_>, main: &str) -> Result<(Vec<Entry>, bool), Fault> {
    let part = package.stream(main)?.ok_or(Fault::Corrupt)?;
    let (mut sheets, mut since_1904) = (Vec::new(), false);
    walk(part, |piece| {
        match piece {
            Xml::Start("workbookPr", element) => since_1904 = is_true(attribute(element, "date1904")),
            Xml::Start("sheet", element) => sheets.push(Entry {
                name: attribute(element, "name").unwrap_or_default(),
                hidden: attribute(element, "state").is_some_and(|state| state != "visible"),
                relationship: attribute(element, "id").unwrap_or_default(),
            }),
            Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
        }
        Ok(())
    })?;
    Ok((sheets, since_1904))
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| matches!(&*value, "1" | "true" | "on"))
}

fn shared(package: &mut Package<'_>, relationships: &[Relationship], since_1904: bool) -> Result<Shared, Fault> {
    let mut out =
        Shared { strings: Strings::default(), styles: Styles::default(), since_1904, persons: HashMap::new() };
    if let Some(part) = target(relationships, "sharedStrings")
        && let Some(part) = package.stream(part)?
    {
        out.strings = Strings::read(part)?;
    }
    if let Some(part) = target(relationships, "styles")
        && let Some(part) = package.stream(part)?
    {
        // Without styles values still show, so a damaged part is no reason to read nothing.
        out.styles = Styles::read(part).unwrap_or_default();
    }
    for part in relationships.iter().filter(|relationship| relationship.kind == "person") {
        if let Some(part) = package.stream(&part.target)? {
            comments::persons(part, &mut out.persons)?;
        }
    }
    Ok(out)
}

/// A worksheet or chart sheet with what stands on it.
fn sheet(package: &mut Package<'_>, part: &str, shared: &Shared, budget: &mut Budget) -> Result<Sheet, Fault> {
    let relationships = package.relationships(part)?;
    let xml = package.stream(part)?.ok_or(Fault::Corrupt)?;
    let mut sheet = worksheet::read(xml, shared, &relationships, budget)?;
    for relationship in relationships.iter().filter(|relationship| !relationship.external) {
        match &*relationship.kind {
            "drawing" => drawing::read(package, &relationship.target, &mut sheet)?,
            "comments" => {
                if let Some(part) = package.stream(&relationship.target)? {
                    comments::notes(part, &mut sheet.comments)?;
                }
            }
            "threadedComment" => {
                if let Some(part) = package.stream(&relationship.target)? {
                    comments::threads(part, &shared.persons, &mut sheet.comments)?;
                }
            }
            _ => {}
        }
    }
    for text in sheet.comments.iter().map(|comment| &comment.text) {
        budget.take(text)?;
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests;
