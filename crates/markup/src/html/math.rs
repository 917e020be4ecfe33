//! Formulas in MathML as LaTeX.

use super::tree::{Kind, Tree};

/// How deep formulas are read.
const MAX_DEPTH: usize = 100;

/// The formula: as the page says it in LaTeX, else made from its parts.
pub(super) fn latex(tree: &Tree, id: u32) -> String {
    let tex = |&id: &u32| {
        let encoding = tree.attribute(id, "encoding").unwrap_or_default();
        matches!(tree.kind(id), Kind::Math("annotation")) && encoding.to_ascii_lowercase().contains("tex")
    };
    let said = tree.attribute(id, "alttext").map(str::to_owned);
    let noted = || tree.descendants(id).find(tex).map(|id| text(tree, id));
    said.filter(|text| !text.trim().is_empty()).or_else(noted).unwrap_or_else(|| made(tree, id, 0))
}

fn text(tree: &Tree, id: u32) -> String {
    let words =
        tree.descendants(id).filter_map(|id| if let Kind::Text(text) = tree.kind(id) { Some(text) } else { None });
    words.collect::<String>().trim().to_owned()
}

fn made(tree: &Tree, id: u32, depth: usize) -> String {
    let Kind::Math(name) = tree.kind(id) else { return text(tree, id) };
    if depth > MAX_DEPTH {
        return text(tree, id);
    }
    let elements = || tree.children(id).filter(|&child| !matches!(tree.kind(child), Kind::Text(_)));
    let part = |at: usize| elements().nth(at).map(|child| made(tree, child, depth + 1)).unwrap_or_default();
    let all = |between: &str| elements().map(|child| made(tree, child, depth + 1)).collect::<Vec<_>>().join(between);
    match name {
        "mi" | "mn" => text(tree, id),
        "mo" => operator(&text(tree, id)),
        "mtext" | "ms" => format!("\\text{{{}}}", text(tree, id)),
        "mfrac" => format!("\\frac{{{}}}{{{}}}", part(0), part(1)),
        "msqrt" => format!("\\sqrt{{{}}}", all("")),
        "mroot" => format!("\\sqrt[{}]{{{}}}", part(1), part(0)),
        "msup" | "mover" => format!("{}^{}", part(0), group(&part(1))),
        "msub" | "munder" => format!("{}_{}", part(0), group(&part(1))),
        "msubsup" | "munderover" => format!("{}_{}^{}", part(0), group(&part(1)), group(&part(2))),
        "mtable" => format!("\\begin{{matrix}} {} \\end{{matrix}}", all(" \\\\ ")),
        "mtr" => all(" & "),
        "mspace" | "annotation" | "annotation-xml" | "mphantom" => String::new(),
        "mfenced" => format!("({})", all(", ")),
        _ => all(""),
    }
}

fn group(text: &str) -> String {
    if text.chars().count() == 1 { text.to_owned() } else { format!("{{{text}}}") }
}

/// An operator; invisible ones only part what they join.
fn operator(text: &str) -> String {
    match text {
        "\u{2061}" | "\u{2062}" | "\u{2063}" | "\u{2064}" => String::new(),
        "=" | "+" | "−" | "-" | "<" | ">" | "≤" | "≥" | "≠" | "±" | "×" | "→" | "≈" | "∈" => {
            format!(" {text} ")
        }
        "{" | "}" => format!("\\{text}"),
        other => other.to_owned(),
    }
}
