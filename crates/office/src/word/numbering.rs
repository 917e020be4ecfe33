//! Numbers of lists, headings and clauses, as the page shows them.

use std::collections::{HashMap, HashSet};

use reading::{building::number::Format, xml::Node};

/// Levels of a list, in Word.
const LEVELS: usize = 9;

/// The numbering of a document, and how far it has counted.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    lists: HashMap<String, [Level; LEVELS]>,
    numbers: HashMap<String, Number>,
    counts: HashMap<String, [Option<u32>; LEVELS]>,
    /// The numbers and levels that have begun: a number that restarts does it once.
    begun: HashSet<(String, usize)>,
}

#[derive(Debug, Clone)]
struct Level {
    start: u32,
    format: Format,
    /// The text with `%1` for the number of the first level.
    text: String,
    /// The level, from 1, after which this one begins again; 0: never.
    restart: Option<usize>,
    /// All numbers in its text are decimal.
    legal: bool,
    /// The paragraph style that has this level.
    style: Option<String>,
}

impl Default for Level {
    fn default() -> Self {
        Self { start: 1, format: Format::None, text: String::new(), restart: None, legal: false, style: None }
    }
}

/// A use of a list.
#[derive(Debug, Default)]
struct Number {
    list: String,
    starts: [Option<u32>; LEVELS],
    levels: HashMap<usize, Level>,
}

/// The mark in front of a paragraph.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Bullet,
    Number(String),
}

impl Numbering {
    /// The numbering of a numbering part.
    pub(super) fn of(part: Node<'_>) -> Self {
        let mut lists = HashMap::new();
        let (mut by_style, mut links) = (HashMap::new(), Vec::new());
        for list in part.all("abstractNum") {
            let id = list.attr("abstractNumId").unwrap_or_default().into_owned();
            let mut levels: [Level; LEVELS] = Default::default();
            for level in list.all("lvl") {
                if let Some(at) = level_of(level) {
                    levels[at] = Level::of(level);
                }
            }
            if let Some(style) = list.val("styleLink") {
                by_style.insert(style.into_owned(), id.clone());
            }
            if let Some(style) = list.val("numStyleLink") {
                links.push((id.clone(), style.into_owned()));
            }
            lists.insert(id, levels);
        }
        for (id, style) in links {
            if let Some(levels) = by_style.get(&style).and_then(|linked| lists.get(linked)).cloned() {
                lists.insert(id, levels);
            }
        }
        let numbers =
            part.all("num").map(|number| (number.attr("numId").unwrap_or_default().into_owned(), Number::of(number)));
        Self { numbers: numbers.collect(), lists, ..Self::default() }
    }

    /// Counts on in `number` at `level` and returns the level and the mark; `None` if nothing is shown. Without a level,
    /// it is that of the paragraph style.
    pub(super) fn next(&mut self, number: &str, level: Option<u8>, style: &str) -> Option<(u8, Mark)> {
        let used = self.numbers.get(number)?;
        let list = self.lists.get(&used.list)?;
        let of_style = || list.iter().position(|level| level.style.as_deref() == Some(style));
        let level = level.map(usize::from).or_else(of_style).unwrap_or(0).min(LEVELS - 1);
        let of = |at: usize| used.levels.get(&at).unwrap_or(&list[at]);
        let counts = self.counts.entry(used.list.clone()).or_default();
        let restart = used.starts[level].filter(|_| self.begun.insert((number.to_owned(), level)));
        let next = counts[level].map_or(of(level).start, |count| count.saturating_add(1));
        counts[level] = Some(restart.unwrap_or(next));
        // A level that was skipped counts as begun.
        for (above, count) in counts.iter_mut().enumerate().take(level) {
            count.get_or_insert(of(above).start);
        }
        for (below, count) in counts.iter_mut().enumerate().skip(level + 1) {
            // Level `below` begins again after every higher level, or after the one that it names.
            if of(below).restart.is_none_or(|after| level < after) {
                *count = None;
            }
        }
        let shown = u8::try_from(level).unwrap_or(0);
        let own = of(level);
        if own.format == Format::Bullet {
            return (!own.text.is_empty()).then_some((shown, Mark::Bullet));
        }
        let mut text = String::new();
        let mut chars = own.text.chars().peekable();
        while let Some(c) = chars.next() {
            let at = chars.peek().filter(|_| c == '%').and_then(|digit| digit.to_digit(10)).filter(|at| *at > 0);
            let Some(at) = at.and_then(|at| usize::try_from(at - 1).ok()).filter(|at| *at < LEVELS) else {
                text.push(c);
                continue;
            };
            chars.next();
            let count = counts[at].unwrap_or(of(at).start);
            let format = if own.legal && of(at).format != Format::None { Format::Decimal } else { of(at).format };
            text.push_str(&format.write(count));
        }
        let text = text.trim();
        (!text.is_empty()).then(|| (shown, Mark::Number(text.to_owned())))
    }
}

fn level_of(node: Node<'_>) -> Option<usize> {
    node.number("ilvl").filter(|level| *level < LEVELS)
}

impl Level {
    fn of(level: Node<'_>) -> Self {
        Self {
            start: level.child("start").and_then(|start| start.number("val")).unwrap_or(0),
            format: level
                .find("numFmt")
                .and_then(|format| format.attr("val"))
                .map_or(Format::Decimal, |f| Format::of_word(&f)),
            text: level.val("lvlText").unwrap_or_default().into_owned(),
            restart: level.child("lvlRestart").and_then(|restart| restart.number("val")),
            legal: level.on("isLgl").unwrap_or(false),
            style: level.val("pStyle").map(|style| style.into_owned()),
        }
    }
}

impl Number {
    fn of(number: Node<'_>) -> Self {
        let mut used = Self { list: number.val("abstractNumId").unwrap_or_default().into_owned(), ..Self::default() };
        for changed in number.all("lvlOverride") {
            let Some(at) = level_of(changed) else { continue };
            used.starts[at] = changed.child("startOverride").and_then(|start| start.number("val"));
            if let Some(level) = changed.child("lvl") {
                used.levels.insert(at, Level::of(level));
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reading::xml::Tree;

    fn numbering(levels: &str, numbers: &str) -> Numbering {
        let xml =
            format!("<w:numbering><w:abstractNum w:abstractNumId='0'>{levels}</w:abstractNum>{numbers}</w:numbering>");
        Numbering::of(Tree::parse(&xml).unwrap().root())
    }

    fn level(at: u8, format: &str, text: &str, more: &str) -> String {
        format!(
            "<w:lvl w:ilvl='{at}'><w:start w:val='1'/><w:numFmt w:val='{format}'/><w:lvlText w:val='{text}'/>{more}</w:lvl>"
        )
    }

    const ONE: &str = "<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>";

    fn marks(numbering: &mut Numbering, steps: &[(&str, u8)]) -> Vec<String> {
        let mark = |(number, level): &(&str, u8)| match numbering.next(number, Some(*level), "") {
            Some((_, Mark::Number(text))) => text,
            Some((_, Mark::Bullet)) => "-".into(),
            None => String::new(),
        };
        steps.iter().map(mark).collect()
    }

    #[test]
    fn levels_count_and_begin_again() {
        let levels = format!(
            "{}{}{}",
            level(0, "upperRoman", "Article %1.", ""),
            level(1, "decimal", "%1.%2", "<w:isLgl/>"),
            level(2, "lowerLetter", "(%3)", "<w:lvlRestart w:val='0'/>")
        );
        let mut numbering = numbering(&levels, ONE);
        let steps = [("1", 0), ("1", 1), ("1", 2), ("1", 1), ("1", 2), ("1", 0), ("1", 1)];
        let expected = ["Article I.", "1.1", "(a)", "1.2", "(b)", "Article II.", "2.1"];
        assert_eq!(marks(&mut numbering, &steps), expected);
    }

    #[test]
    fn uses_of_a_list_count_together_unless_they_restart() {
        let numbers = format!(
            "{ONE}<w:num w:numId='2'><w:abstractNumId w:val='0'/></w:num><w:num w:numId='3'><w:abstractNumId w:val='0'/>\
             <w:lvlOverride w:ilvl='0'><w:startOverride w:val='1'/></w:lvlOverride></w:num>"
        );
        let mut numbering = numbering(&level(0, "decimal", "%1)", ""), &numbers);
        let steps = [("1", 0), ("2", 0), ("3", 0), ("3", 0), ("9", 0)];
        assert_eq!(marks(&mut numbering, &steps), ["1)", "2)", "1)", "2)", ""]);
    }

    #[test]
    fn a_level_that_was_skipped_counts_as_begun() {
        let levels = format!("{}{}", level(0, "decimal", "%1.", ""), level(1, "lowerLetter", "%1.%2", ""));
        let mut numbering = numbering(&levels, ONE);
        assert_eq!(marks(&mut numbering, &[("1", 1), ("1", 0), ("1", 1)]), ["1.a", "2.", "2.a"]);
    }

    #[test]
    fn a_style_finds_its_level() {
        let levels = format!(
            "{}{}",
            level(0, "decimal", "%1.", "<w:pStyle w:val='H1'/>"),
            level(1, "decimal", "%1.%2", "<w:pStyle w:val='H2'/>")
        );
        let mut numbering = numbering(&levels, ONE);
        assert_eq!(numbering.next("1", None, "H1"), Some((0, Mark::Number("1.".into()))));
        assert_eq!(numbering.next("1", None, "H2"), Some((1, Mark::Number("1.1".into()))));
        assert_eq!(numbering.next("0", None, "H2"), None);
    }
}
