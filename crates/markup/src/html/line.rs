//! The words of a page: text, styles, links, pictures within a line.

use domain::document::Inline;

use super::{flow::Reader, form, hidden, math, tree::Kind};

/// The styles that words stand in.
const STRONG: u8 = 1;
const EMPHASIS: u8 = 2;
const DELETED: u8 = 4;
const LINK: u8 = 8;

impl Reader<'_> {
    /// The words of all that is in a node, on one line.
    pub(super) fn words(&mut self, id: u32) -> Vec<Inline> {
        let mut line = Vec::new();
        self.children_into(id, &mut line);
        line
    }

    fn children_into(&mut self, id: u32, line: &mut Vec<Inline>) {
        if self.too_deep() {
            return push(line, &self.text(id));
        }
        let tree = self.tree;
        self.depth += 1;
        for child in tree.children(id) {
            self.inline(child, line);
        }
        self.depth -= 1;
    }

    /// Adds a node's words.
    pub(super) fn inline(&mut self, id: u32, line: &mut Vec<Inline>) {
        match self.tree.kind(id) {
            Kind::Text(text) => push(line, &collapsed(text)),
            Kind::Html(name) if !self.is_hidden(id) => self.element(id, name, line),
            Kind::Html(_) => {}
            Kind::Math(_) => {
                let latex = math::latex(self.tree, id);
                if !latex.trim().is_empty() {
                    line.push(Inline::Formula(latex));
                }
            }
            Kind::Svg(_) => apart(line, &self.drawing(id)),
            Kind::Other => self.children_into(id, line),
        }
    }

    fn element(&mut self, id: u32, name: &str, line: &mut Vec<Inline>) {
        let tree = self.tree;
        match name {
            "br" => line.push(Inline::LineBreak),
            "wbr" => {}
            "img" => {
                let alt = self.alternative(id);
                push(line, &alt);
            }
            "b" | "strong" => self.styled(id, line, STRONG, Inline::Strong),
            "i" | "em" => self.styled(id, line, EMPHASIS, Inline::Emphasis),
            "s" | "strike" | "del" => self.styled(id, line, DELETED, Inline::Deleted),
            "a" => {
                let target = tree.attribute(id, "href").map(str::trim).filter(|href| is_absolute(href));
                match target {
                    Some(target) => {
                        let target = target.to_owned();
                        self.styled(id, line, LINK, |text| Inline::Link { target, text });
                    }
                    None => self.children_into(id, line),
                }
            }
            "code" => {
                let code = collapsed(&self.text(id));
                if !code.trim().is_empty() {
                    line.push(Inline::Code(code));
                }
            }
            "sup" | "sub" => {
                let mut inner = self.words(id);
                match inner.as_mut_slice() {
                    [Inline::Text(text)] => {
                        let text = std::mem::take(text);
                        line.push(if name == "sup" { Inline::Superscript(text) } else { Inline::Subscript(text) });
                    }
                    _ => extend(line, inner),
                }
            }
            "q" => {
                push(line, "“");
                self.children_into(id, line);
                push(line, "”");
            }
            "rt" => {
                push(line, " (");
                self.children_into(id, line);
                push(line, ")");
            }
            "input" | "select" | "textarea" => apart(line, &form::value(tree, id)),
            "button" => {
                push(line, " ");
                self.children_into(id, line);
                push(line, " ");
            }
            _ => {
                // A block within a line, for example a paragraph in a heading.
                let block = super::flow::is_block(name);
                let breaks = |line: &mut Vec<Inline>| {
                    if block && line.last().is_some_and(|last| *last != Inline::LineBreak) {
                        line.push(Inline::LineBreak);
                    }
                };
                breaks(line);
                self.children_into(id, line);
                breaks(line);
            }
        }
    }

    /// Adds a node's words in a style; what stands in the same style already stays as it is.
    fn styled(&mut self, id: u32, line: &mut Vec<Inline>, mark: u8, style: impl FnOnce(Vec<Inline>) -> Inline) {
        if self.styles & mark != 0 {
            return self.children_into(id, line);
        }
        self.styles |= mark;
        let inner = self.words(id);
        self.styles &= !mark;
        if is_blank(&inner) {
            return extend(line, inner);
        }
        line.push(style(inner));
    }

    /// A picture's description; without one, the picture is counted.
    pub(super) fn alternative(&mut self, id: u32) -> String {
        let alt = self.tree.attribute(id, "alt");
        if alt.is_none() {
            self.pictures += 1;
        }
        one_line(alt.unwrap_or_default())
    }

    /// The words of a drawing: its title and its labels.
    fn drawing(&self, id: u32) -> String {
        let mut words = Vec::new();
        let mut next = Some(id);
        while let Some(at) = next {
            let hidden = matches!(self.tree.kind(at), Kind::Svg("style" | "script" | "defs" | "metadata"))
                || self.tree.attribute(at, "style").is_some_and(hidden::by_style);
            if let Kind::Text(text) = self.tree.kind(at) {
                words.extend(text.split_ascii_whitespace());
            }
            next = self.tree.after(at, id, !hidden);
        }
        words.join(" ")
    }

    /// The text of all that is shown in a node, as it is in the source.
    pub(super) fn text(&self, top: u32) -> String {
        let mut text = String::new();
        let mut next = Some(top);
        while let Some(id) = next {
            let hidden = id != top && hidden::of(self.tree, id).is_some();
            match self.tree.kind(id) {
                Kind::Text(words) => text.push_str(&words.replace('\u{ad}', "")),
                Kind::Html("br") => text.push('\n'),
                Kind::Html(name) if super::flow::is_block(name) && id != top && !text.ends_with('\n') => {
                    text.push('\n')
                }
                _ => {}
            }
            next = self.tree.after(id, top, !hidden);
        }
        text
    }
}

/// Adds words, which join those before them.
pub(super) fn push(line: &mut Vec<Inline>, words: &str) {
    match line.last_mut() {
        _ if words.is_empty() => {}
        Some(Inline::Text(before)) => before.push_str(words),
        _ => line.push(Inline::text(words)),
    }
}

/// Adds words that stand apart from those around them.
fn apart(line: &mut Vec<Inline>, words: &str) {
    if !words.is_empty() {
        push(line, &format!(" {words} "));
    }
}

fn extend(line: &mut Vec<Inline>, more: Vec<Inline>) {
    for inline in more {
        match inline {
            Inline::Text(words) => push(line, &words),
            other => line.push(other),
        }
    }
}

/// Whether nothing in it can be seen.
pub(super) fn is_blank(line: &[Inline]) -> bool {
    line.iter().all(|inline| match inline {
        Inline::LineBreak => true,
        Inline::Text(words) => words.trim().is_empty(),
        _ => false,
    })
}

/// Runs of blanks as one space; soft hyphens dropped.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\u{c}' if out.ends_with(' ') => {}
            ' ' | '\t' | '\n' | '\r' | '\u{c}' => out.push(' '),
            '\u{ad}' => {}
            c => out.push(c),
        }
    }
    out
}

/// The words of `text` with one space between.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\u{ad}', "")
}

fn is_absolute(href: &str) -> bool {
    let scheme = |scheme: &str| href.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    ["https://", "http://", "mailto:"].into_iter().any(scheme)
}
