//! Lists: the numbers that a browser would show, and terms with their definitions.

use domain::document::{Block, BlockKind, Inline, ListItem};

use super::{flow::Reader, hidden, line, tree::Kind};

impl Reader<'_> {
    /// The list that an element holds.
    pub(super) fn list(&mut self, id: u32) -> BlockKind {
        let tree = self.tree;
        let ordered = tree.name(id) == "ol";
        let style = tree.attribute(id, "type").map(str::to_owned).or_else(|| style_of(tree.attribute(id, "style")?));
        let count = || tree.children(id).filter(|&child| tree.name(child) == "li").count();
        let reversed = tree.attribute(id, "reversed").is_some();
        let first = number(tree.attribute(id, "start"));
        let mut next = first.unwrap_or_else(|| if reversed { i64::try_from(count()).unwrap_or(1) } else { 1 });
        let mut items: Vec<ListItem> = Vec::new();
        for child in tree.children(id) {
            if matches!(tree.kind(child), Kind::Html(_)) && self.is_hidden(child) {
                continue;
            }
            if tree.name(child) == "li" {
                let style = tree.attribute(child, "type").or(style.as_deref());
                next = number(tree.attribute(child, "value")).unwrap_or(next);
                let marker = if ordered { marker(next, style.unwrap_or("1")) } else { None };
                next = next.saturating_add(if reversed { -1 } else { 1 });
                let item = self.item(child, marker);
                items.push(item);
                continue;
            }
            // What stands in a list and in no item belongs to the item above.
            let blocks = match tree.kind(child) {
                Kind::Text(text) if text.trim().is_empty() => continue,
                Kind::Text(text) => vec![Block::paragraph(line::one_line(text))],
                Kind::Html("ul" | "ol" | "menu" | "dir") => vec![self.list(child).into()],
                _ => self.blocks(child),
            };
            match items.last_mut() {
                Some(item) => item.blocks.extend(blocks),
                None => items.push(ListItem { marker: None, blocks }),
            }
        }
        BlockKind::List(items)
    }

    /// A list's item.
    pub(super) fn item(&mut self, id: u32, marker: Option<String>) -> ListItem {
        ListItem { marker, blocks: self.blocks(id) }
    }

    /// Terms with their definitions, as items.
    pub(super) fn definitions(&mut self, id: u32) -> BlockKind {
        let mut items = Vec::new();
        self.definitions_into(id, &mut items);
        BlockKind::List(items)
    }

    fn definitions_into(&mut self, id: u32, items: &mut Vec<ListItem>) {
        let tree = self.tree;
        // Whether the last item has no definition yet.
        let mut open = false;
        for child in tree.children(id) {
            if matches!(tree.kind(child), Kind::Html(_)) && self.is_hidden(child) {
                continue;
            }
            match tree.name(child) {
                "dt" => {
                    let words = self.words(child);
                    let term = BlockKind::Paragraph(vec![Inline::Strong(words)]).into();
                    match items.last_mut().filter(|_| open) {
                        Some(item) => item.blocks.push(term),
                        None => items.push(ListItem { marker: None, blocks: vec![term] }),
                    }
                    open = true;
                }
                // A group of a term and its definitions.
                "div" => self.definitions_into(child, items),
                _ => {
                    let blocks = if tree.name(child).is_empty() { self.loose(child) } else { self.blocks(child) };
                    if blocks.is_empty() {
                        continue;
                    }
                    open = false;
                    match items.last_mut() {
                        Some(item) => add_definition(item, blocks),
                        None => items.push(ListItem { marker: None, blocks }),
                    }
                }
            }
        }
    }

    /// The words of a node that stands where none should.
    fn loose(&mut self, id: u32) -> Vec<Block> {
        let mut words = Vec::new();
        self.inline(id, &mut words);
        if line::is_blank(&words) { Vec::new() } else { vec![BlockKind::Paragraph(words).into()] }
    }
}

/// A definition of one paragraph stands on the line below its term.
fn add_definition(item: &mut ListItem, mut blocks: Vec<Block>) {
    if let ([.., Block { kind: BlockKind::Paragraph(term), .. }], [Block { kind: BlockKind::Paragraph(words), .. }]) =
        (item.blocks.as_mut_slice(), blocks.as_mut_slice())
    {
        term.push(Inline::LineBreak);
        term.append(words);
        return;
    }
    item.blocks.append(&mut blocks);
}

fn number(value: Option<&str>) -> Option<i64> {
    let value = value?.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: i64 = digits.get(..end)?.parse().ok()?;
    Some(if value.starts_with('-') { -number } else { number })
}

/// The list style that a style attribute names.
fn style_of(style: &str) -> Option<String> {
    let mut named = hidden::declarations(style).filter(|(name, _)| name == "list-style-type" || name == "list-style");
    named.next().map(|(_, value)| value)
}

/// What a browser shows in front of item `number`.
fn marker(number: i64, style: &str) -> Option<String> {
    let word = style.split_ascii_whitespace().next().unwrap_or_default();
    let text = match word {
        "none" => return None,
        "a" | "lower-alpha" | "lower-latin" => letters(number),
        "A" | "upper-alpha" | "upper-latin" => letters(number).map(|text| text.to_uppercase()),
        "i" | "lower-roman" => roman(number),
        "I" | "upper-roman" => roman(number).map(|text| text.to_uppercase()),
        "decimal-leading-zero" => Some(format!("{number:02}")),
        "disc" | "circle" | "square" => return None,
        _ => None,
    };
    Some(format!("{}.", text.unwrap_or_else(|| number.to_string())))
}

/// a to z, aa, ab, …
fn letters(number: i64) -> Option<String> {
    let mut rest = u64::try_from(number).ok().filter(|&number| number > 0)?;
    let mut text = Vec::new();
    while rest > 0 {
        rest -= 1;
        text.push(char::from(b'a' + u8::try_from(rest % 26).ok()?));
        rest /= 26;
    }
    Some(text.into_iter().rev().collect())
}

fn roman(number: i64) -> Option<String> {
    const PARTS: [(i64, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let mut rest = (1..4000).contains(&number).then_some(number)?;
    let mut text = String::new();
    for (value, letters) in PARTS {
        while rest >= value {
            text.push_str(letters);
            rest -= value;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_a_browser_shows_them() {
        assert_eq!(marker(28, "a").as_deref(), Some("ab."));
        assert_eq!(marker(1994, "upper-roman inside").as_deref(), Some("MCMXCIV."));
        assert_eq!(marker(7, "decimal-leading-zero").as_deref(), Some("07."));
        assert_eq!(marker(0, "a").as_deref(), Some("0."));
        assert_eq!(marker(1, "none"), None);
        assert_eq!((number(Some(" -3px")), number(Some("x"))), (Some(-3), None));
    }
}
