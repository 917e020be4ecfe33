//! What is drawn on a sheet: text boxes, charts, diagrams, and pictures by their descriptions.

use super::Sheet;
use crate::{Placed, chart};
use domain::document::{Block, BlockKind};
use quick_xml::events::BytesStart;
use reading::fault::Fault;
use reading::package::{Package, Xml, attribute, walk};

/// The most drawn things that are read of a sheet.
const MAX_PLACED: usize = 10_000;

/// What an anchor holds.
#[derive(Default)]
struct Anchor {
    row: u32,
    column: u32,
    paragraphs: Vec<String>,
    descriptions: Vec<String>,
    charts: Vec<String>,
    diagrams: Vec<String>,
    pictures: usize,
}

/// Adds what is drawn to the sheet.
pub(super) fn read(package: &mut Package<'_>, part: &str, sheet: &mut Sheet) -> Result<(), Fault> {
    let relationships = package.relationships(part)?;
    let Some(xml) = package.stream(part)? else { return Ok(()) };
    let anchors = anchors(xml)?;
    let part_of = |id: &str| {
        let found = relationships.iter().find(|relationship| relationship.id == id && !relationship.external);
        found.map(|relationship| relationship.target.clone())
    };
    for anchor in anchors {
        let mut blocks: Vec<Block> = anchor.paragraphs.into_iter().map(Block::paragraph).collect();
        for id in anchor.charts {
            if let Some(xml) = part_of(&id).map(|part| package.xml(&part)).transpose()?.flatten() {
                // A chart that can't be read costs itself only.
                blocks.extend(chart::blocks(&xml).unwrap_or_default());
            }
        }
        for id in anchor.diagrams {
            if let Some(xml) = part_of(&id).map(|part| package.xml(&part)).transpose()?.flatten() {
                blocks.extend(paragraphs(&xml)?.into_iter().map(Block::paragraph));
            }
        }
        blocks.extend(anchor.descriptions.into_iter().map(|description| BlockKind::Picture(description).into()));
        sheet.pictures += anchor.pictures;
        sheet.placed.push(Placed { row: anchor.row, column: anchor.column, blocks });
    }
    Ok(())
}

fn anchors(xml: impl std::io::BufRead) -> Result<Vec<Anchor>, Fault> {
    let mut out: Vec<Anchor> = Vec::new();
    let (mut text, mut in_from, mut number, mut hidden) = (None::<String>, false, String::new(), false);
    walk(xml, |piece| {
        if let Xml::Start("twoCellAnchor" | "oneCellAnchor" | "absoluteAnchor", _) = piece {
            if out.len() < MAX_PLACED {
                out.push(Anchor::default());
            }
            hidden = false;
        }
        let Some(anchor) = out.last_mut() else { return Ok(()) };
        match piece {
            Xml::Start("from", _) => in_from = true,
            Xml::End("from") => in_from = false,
            Xml::Start("row" | "col", _) => number.clear(),
            Xml::End("row") if in_from => anchor.row = number.trim().parse().unwrap_or(0),
            Xml::End("col") if in_from => anchor.column = number.trim().parse().unwrap_or(0),
            Xml::Start("cNvPr", element) => hidden = properties(element, anchor),
            Xml::Start(..) | Xml::Text(_) if hidden => {}
            Xml::Start("pic", _) => anchor.pictures += 1,
            Xml::Start("chart", element) => anchor.charts.extend(attribute(element, "id")),
            Xml::Start("relIds", element) => anchor.diagrams.extend(attribute(element, "dm")),
            Xml::Start("p", _) => text = Some(String::new()),
            Xml::Start("br", _) => text.iter_mut().for_each(|text| text.push('\n')),
            Xml::End("p") => anchor.paragraphs.extend(text.take().filter(|text| !text.trim().is_empty())),
            Xml::Text(piece) if in_from => number.push_str(piece),
            Xml::Text(piece) => text.iter_mut().for_each(|text| text.push_str(piece)),
            Xml::Start(..) | Xml::End(_) => {}
        }
        Ok(())
    })?;
    Ok(out)
}

/// Takes the description of a shape; whether the shape is hidden.
fn properties(element: &BytesStart<'_>, anchor: &mut Anchor) -> bool {
    if attribute(element, "hidden").is_some_and(|hidden| matches!(&*hidden, "1" | "true")) {
        anchor.pictures = anchor.pictures.saturating_sub(1);
        return true;
    }
    let description = attribute(element, "descr").as_deref().and_then(described);
    if let Some(description) = description {
        anchor.pictures = anchor.pictures.saturating_sub(1);
        anchor.descriptions.push(description);
    }
    false
}

/// A description without the remarks of the program that made it; `None` if it says nothing.
fn described(text: &str) -> Option<String> {
    let automatic = |line: &&str| !line.trim().to_lowercase().ends_with("automatically generated");
    let text = text.lines().filter(automatic).collect::<Vec<_>>().join(" ").trim().to_owned();
    let says = !text.is_empty() && !["picture", "image"].contains(&&*text.to_lowercase());
    says.then_some(text)
}

/// The paragraphs of a part that holds text of drawings.
fn paragraphs(xml: &str) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    let (mut text, mut in_text) = (String::new(), false);
    walk(xml.as_bytes(), |piece| {
        match piece {
            Xml::Start("t", _) => in_text = true,
            Xml::End("t") => in_text = false,
            Xml::Text(piece) if in_text => text.push_str(piece),
            Xml::End("p") => out.push(std::mem::take(&mut text)),
            Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
        }
        Ok(())
    })?;
    out.retain(|text| !text.trim().is_empty());
    Ok(out)
}
