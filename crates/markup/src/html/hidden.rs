//! What a page does not show.

use super::tree::{Kind, Tree};

/// Why an element is not on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Never text: scripts, styles, what stands for something that is shown.
    NoText,
    /// Text that the page could show.
    Text,
}

/// Whether the page does not show the element and what is in it.
pub(super) fn of(tree: &Tree, id: u32) -> Option<Hidden> {
    let Kind::Html(name) = tree.kind(id) else { return None };
    match name {
        "script" | "style" | "head" | "title" | "iframe" | "noembed" | "noframes" | "object" | "canvas" | "audio"
        | "video" | "datalist" | "rp" | "col" | "colgroup" | "param" => return Some(Hidden::NoText),
        "template" | "noscript" => return Some(Hidden::Text),
        "dialog" if tree.attribute(id, "open").is_none() => return Some(Hidden::Text),
        "input" if tree.attribute(id, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("hidden")) => {
            return Some(Hidden::NoText);
        }
        _ => {}
    }
    // KaTeX shows a formula and holds it a second time, as MathML.
    if tree.attribute(id, "class").is_some_and(|class| class.split_ascii_whitespace().any(|one| one == "katex-html")) {
        return Some(Hidden::NoText);
    }
    let until_found = |value: &str| value.eq_ignore_ascii_case("until-found");
    let by_attribute = tree.attribute(id, "hidden").is_some_and(|value| !until_found(value));
    (by_attribute || tree.attribute(id, "style").is_some_and(by_style)).then_some(Hidden::Text)
}

/// Whether a style attribute hides its element.
pub(super) fn by_style(style: &str) -> bool {
    declarations(style).any(|(name, value)| match name.as_str() {
        "display" => value == "none",
        "visibility" => matches!(&*value, "hidden" | "collapse"),
        "font-size" | "opacity" => is_zero(&value),
        "mso-hide" => value == "all",
        _ => false,
    })
}

/// A style attribute's names and values, in lower case.
pub(super) fn declarations(style: &str) -> impl Iterator<Item = (String, String)> + '_ {
    style.split(';').filter_map(|declaration| declaration.split_once(':')).map(|(name, value)| {
        let value = value.trim().to_ascii_lowercase();
        (name.trim().to_ascii_lowercase(), value.trim_end_matches("!important").trim_end().to_owned())
    })
}

fn is_zero(value: &str) -> bool {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f32>().is_ok_and(|number| number == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_may_hide() {
        for style in ["display:none", "color:red; DISPLAY : None !important", "visibility:hidden", "font-size:0px"] {
            assert!(by_style(style), "{style}");
        }
        for style in ["display:block", "font-size:0.5em", "opacity:1", "none", ""] {
            assert!(!by_style(style), "{style}");
        }
    }
}
