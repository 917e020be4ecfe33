//! What Word and PowerPoint files have in common: equations, charts, diagrams.

pub(crate) mod chart;
pub(crate) mod diagram;
pub(crate) mod math;

use domain::document::Block;

use reading::xml::Node;

/// The branch of an `AlternateContent` that gives something: the first choice that does, else the fallback.
/// `read` reads a branch and says whether it gave something.
pub(crate) fn choose(alternate: Node<'_>, mut read: impl FnMut(Node<'_>) -> bool) {
    for branch in alternate.children().filter(|branch| branch.is("Choice") || branch.is("Fallback")) {
        if read(branch) {
            return;
        }
    }
}

/// The description of a picture or shape, from its properties; `None` if it is only there for decoration.
pub(crate) fn description(properties: Node<'_>) -> Option<String> {
    let decorative = properties.find("decorative").is_some_and(|mark| mark.flag("val").unwrap_or(true));
    let said = |name| properties.attr(name).filter(|text| !text.trim().is_empty());
    let text = said("descr").or_else(|| said("title")).filter(|text| !decorative && !is_file_name(text))?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether a description is only the name that a program gave the file.
fn is_file_name(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    !text.contains(char::is_whitespace)
        && [".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".svg", ".tif", ".tiff"]
            .iter()
            .any(|end| text.ends_with(end))
}

/// Plain paragraphs of a text body of DrawingML, one for each that is not empty.
pub(crate) fn plain_paragraphs(body: Node<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    for paragraph in body.all("p") {
        let text = plain_text(paragraph);
        if !text.trim().is_empty() {
            blocks.push(Block::paragraph(text));
        }
    }
    blocks
}

/// The plain text of a paragraph of DrawingML.
pub(crate) fn plain_text(paragraph: Node<'_>) -> String {
    let mut text = String::new();
    for run in paragraph.descendants() {
        match run.name() {
            "t" => text.push_str(&run.text()),
            "br" => text.push('\n'),
            _ => {}
        }
    }
    text
}
