//! Equations in MathML as LaTeX.

use crate::ooxml::math::{base, symbols};
use reading::xml::Node;

/// Equations nest down to this depth; what is nested more deeply is plain text.
const MAX_DEPTH: usize = 100;

/// The LaTeX of a `math` element.
pub(super) fn latex(math: Node<'_>) -> String {
    part(math, 0)
}

fn part(node: Node<'_>, depth: usize) -> String {
    let mut text = String::new();
    if depth > MAX_DEPTH {
        symbols(&mut text, &node.text());
        return text;
    }
    let parts: Vec<Node<'_>> = node.children().collect();
    let at = |at: usize| parts.get(at).map(|child| part(*child, depth + 1)).unwrap_or_default();
    match node.name() {
        "mi" | "mn" | "mo" => symbols(&mut text, node.text().trim()),
        "mtext" => text = format!("\\text{{{}}}", node.text().trim()),
        "mfrac" => text = format!("\\frac{{{}}}{{{}}}", at(0), at(1)),
        "msup" => text = format!("{}^{{{}}}", base(&at(0)), at(1)),
        "msub" | "munder" => text = format!("{}_{{{}}}", base(&at(0)), at(1)),
        "mover" => text = format!("\\overset{{{}}}{{{}}}", at(1), at(0)),
        "msubsup" | "munderover" => text = format!("{}_{{{}}}^{{{}}}", base(&at(0)), at(1), at(2)),
        "mroot" => text = format!("\\sqrt[{}]{{{}}}", at(1), at(0)),
        "annotation" | "annotation-xml" => {}
        "mtr" => text = (0..parts.len()).map(at).collect::<Vec<_>>().join(" & "),
        "mtable" => {
            let rows: Vec<String> = (0..parts.len()).map(at).collect();
            text = format!("\\begin{{matrix}}{}\\end{{matrix}}", rows.join(" \\\\ "));
        }
        name => {
            let inner: Vec<String> = (0..parts.len()).map(at).filter(|part| !part.is_empty()).collect();
            let inner = inner.join(" ");
            text = if name == "msqrt" { format!("\\sqrt{{{inner}}}") } else { inner };
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
