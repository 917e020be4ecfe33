//! The values that a form shows.

use super::{
    line::one_line,
    tree::{Kind, Tree},
};

/// What a field shows.
pub(super) fn value(tree: &Tree, id: u32) -> String {
    match tree.name(id) {
        "input" => input(tree, id),
        "select" => selected(tree, id),
        _ => one_line(&text(tree, id)),
    }
}

fn input(tree: &Tree, id: u32) -> String {
    let kind = tree.attribute(id, "type").unwrap_or("text").to_ascii_lowercase();
    let value = || one_line(tree.attribute(id, "value").unwrap_or_default());
    match kind.as_str() {
        // A script's switch.
        _ if tree.attribute(id, "role") == Some("button") => String::new(),
        "checkbox" | "radio" if tree.attribute(id, "checked").is_some() => "[x]".into(),
        "checkbox" | "radio" => "[ ]".into(),
        "image" => one_line(tree.attribute(id, "alt").unwrap_or_default()),
        "submit" | "reset" | "button" => value(),
        "hidden" | "password" | "file" | "color" | "range" => String::new(),
        _ => value(),
    }
}

/// The selected options; the first one if none is and only one can be.
fn selected(tree: &Tree, id: u32) -> String {
    let options: Vec<u32> = tree.descendants(id).filter(|&option| tree.name(option) == "option").collect();
    let mut chosen: Vec<u32> =
        options.iter().copied().filter(|&option| tree.attribute(option, "selected").is_some()).collect();
    if chosen.is_empty() && tree.attribute(id, "multiple").is_none() {
        chosen.extend(options.first());
    }
    let words = |&option: &u32| one_line(tree.attribute(option, "label").unwrap_or(&text(tree, option)));
    chosen.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn text(tree: &Tree, id: u32) -> String {
    let words =
        tree.descendants(id).filter_map(|id| if let Kind::Text(text) = tree.kind(id) { Some(text) } else { None });
    words.collect()
}
