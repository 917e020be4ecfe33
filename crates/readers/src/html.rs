//! Converts HTML to markdown.

use htmd::{
    Element, HtmlToMarkdown,
    element_handler::{HandlerResult, Handlers},
    options::{BulletListMarker, Options},
};

use domain::markdown;

/// Elements whose content is not shown.
const HIDDEN: [&str; 8] = ["script", "style", "noscript", "template", "iframe", "svg", "object", "canvas"];

/// The page's markdown. A picture becomes its alternative text; a link keeps its target if that is absolute.
pub(super) fn to_markdown(html: &str) -> String {
    let options = Options {
        bullet_list_marker: BulletListMarker::Dash,
        ul_bullet_spacing: 1,
        ol_number_spacing: 1,
        ..Options::default()
    };
    let has_heading = html.contains("<h1") || html.contains("<H1");
    let converter = HtmlToMarkdown::builder()
        .options(options)
        .skip_tags(HIDDEN.to_vec())
        .add_handler(vec!["title"], move |handlers: &dyn Handlers, element: Element<'_>| {
            title(handlers, &element, has_heading)
        })
        .add_handler(vec!["img"], picture)
        .add_handler(vec!["a"], link)
        .build();
    // The conversion fails only if a write to memory does.
    converter.convert(html).map(|markdown| markdown::tidy(&markdown)).unwrap_or_default()
}

/// The page's blocks.
pub(crate) fn document(html: &str) -> domain::document::Document {
    let blocks = to_markdown(html).split("\n\n").map(domain::document::Block::paragraph).collect();
    domain::document::Document { blocks, ..Default::default() }
}

/// The title replaces a missing main heading; otherwise it would only repeat it.
fn title(handlers: &dyn Handlers, element: &Element<'_>, has_heading: bool) -> Option<HandlerResult> {
    let text = handlers.walk_children(element.node).content;
    let words: Vec<&str> = text.split_whitespace().collect();
    (!has_heading && !words.is_empty()).then(|| format!("# {}\n\n", words.join(" ")).into())
}

fn picture(_: &dyn Handlers, element: Element<'_>) -> Option<HandlerResult> {
    let alt = attribute(&element, "alt")?;
    let words: Vec<&str> = alt.split_whitespace().collect();
    Some(words.join(" ").into())
}

fn link(handlers: &dyn Handlers, element: Element<'_>) -> Option<HandlerResult> {
    let target = attribute(&element, "href").filter(|href| is_absolute(href) && !href.contains(char::is_whitespace));
    let text = handlers.walk_children(element.node).content;
    match target {
        Some(target) if !text.trim().is_empty() => {
            let target = target.replace('(', "%28").replace(')', "%29");
            Some(format!("[{}]({target})", text.trim()).into())
        }
        _ => Some(text.into()),
    }
}

fn is_absolute(href: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| href.starts_with(scheme))
}

fn attribute(element: &Element<'_>, name: &str) -> Option<String> {
    element.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| attribute.value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_styles_are_left_out() {
        let html = "<style>p{}</style><script>alert(1)</script><h1>Title</h1><p>One <b>bold</b> word.</p>";
        assert_eq!(to_markdown(html), "# Title\n\nOne **bold** word.");
    }

    #[test]
    fn the_title_replaces_a_missing_heading() {
        assert_eq!(to_markdown("<title>A\n page</title><p>Text"), "# A page\n\nText");
        assert_eq!(to_markdown("<title>A page</title><h1>Head</h1>"), "# Head");
    }

    #[test]
    fn only_absolute_link_targets_stay() {
        let html = "<p><a href='https://example.org/a(b)'>out</a> <a href='#top'>up</a> <a href='javascript:x()'>x</a>";
        assert_eq!(to_markdown(html), "[out](https://example.org/a%28b%29) up x");
    }

    #[test]
    fn a_picture_becomes_its_alternative_text() {
        assert_eq!(to_markdown("<p>A <img alt='red\n fox' src='data:image/png;base64,AAAA'> runs"), "A red fox runs");
    }

    #[test]
    fn a_table_keeps_its_rows() {
        let markdown =
            to_markdown("<table><tr><th>Year</th><th>Ducks</th></tr><tr><td>2019</td><td>120</td></tr></table>");
        assert!(markdown.lines().any(|line| line.split_whitespace().eq(["|", "2019", "|", "120", "|"])), "{markdown}");
    }
}
