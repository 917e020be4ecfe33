//! Lists and their numbers.

use reading::{building::number::Format, xml::Node};

/// Levels of a list, in OpenDocument.
const LEVELS: usize = 10;

/// A list style.
#[derive(Debug, Clone, Default)]
pub(super) struct ListStyle {
    levels: [Option<Level>; LEVELS],
}

#[derive(Debug, Clone)]
struct Level {
    format: Format,
    before: String,
    after: String,
    start: u32,
    /// How many levels its number shows.
    shown: usize,
}

/// How far a list has counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    counts: [Option<u32>; LEVELS],
}

/// A list that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) style: String,
    /// The mark of the item that has begun, until its first paragraph takes it.
    pub(super) mark: Option<Mark>,
}

/// What stands in front of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Bullet,
    Number(String),
}

impl ListStyle {
    pub(super) fn of(style: Node<'_>) -> Self {
        let mut found = Self::default();
        for level in style.children() {
            let at = level.number::<usize>("level").and_then(|at| at.checked_sub(1));
            let Some(place) = at.and_then(|at| found.levels.get_mut(at)) else { continue };
            let text = |name| level.attr(name).unwrap_or_default().into_owned();
            let is_number = matches!(level.name(), "list-level-style-number" | "outline-level-style");
            *place = Some(Level {
                format: if is_number { Format::of_sample(&text("num-format")) } else { Format::Bullet },
                before: text("num-prefix"),
                after: text("num-suffix"),
                start: level.number("start-value").unwrap_or(1),
                shown: level.number("display-levels").unwrap_or(1),
            });
        }
        found
    }

    /// Counts on at a level, from 0, and returns the mark; `None` if nothing is shown. `number` sets the count.
    pub(super) fn next(&self, counter: &mut Counter, level: usize, number: Option<u32>) -> Option<Mark> {
        let level = level.min(LEVELS - 1);
        let start = |at: usize| self.levels[at].as_ref().map_or(1, |level| level.start);
        let next = counter.counts[level].map_or(start(level), |count| count.saturating_add(1));
        counter.counts[level] = Some(number.unwrap_or(next));
        counter.counts[level + 1..].fill(None);
        // A list without a style has bullets.
        let Some(own) = &self.levels[level] else { return Some(Mark::Bullet) };
        match own.format {
            Format::Bullet => return Some(Mark::Bullet),
            Format::None => return None,
            _ => {}
        }
        let first = (level + 1).saturating_sub(own.shown.max(1));
        let numbers: Vec<String> = (first..=level)
            .filter_map(|at| {
                let format = self.levels[at].as_ref().map_or(Format::Decimal, |level| level.format);
                let count = counter.counts[at].unwrap_or_else(|| start(at));
                (!matches!(format, Format::None | Format::Bullet)).then(|| format.write(count))
            })
            .collect();
        let text = format!("{}{}{}", own.before, numbers.join("."), own.after);
        Some(Mark::Number(text.trim().to_owned()))
    }

    /// Whether headings of this level show a number.
    pub(super) fn is_numbered(&self, level: usize) -> bool {
        self.levels.get(level).and_then(Option::as_ref).is_some_and(|level| level.format != Format::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reading::xml::Tree;

    #[test]
    fn levels_count_within_each_other() {
        let xml = "<s><text:list-level-style-number text:level='1' style:num-format='1' style:num-suffix='.'/>\
            <text:list-level-style-number text:level='2' style:num-format='a' style:num-suffix=')' text:display-levels='2'/>\
            <text:list-level-style-bullet text:level='3'/></s>";
        let style = ListStyle::of(Tree::parse(xml).unwrap().root());
        let mut counter = Counter::default();
        let steps = [(0, None), (1, None), (1, None), (2, None), (0, Some(5)), (1, None)];
        let marks: Vec<_> = steps
            .iter()
            .map(|(level, number)| match style.next(&mut counter, *level, *number) {
                Some(Mark::Number(text)) => text,
                Some(Mark::Bullet) => "-".into(),
                None => String::new(),
            })
            .collect();
        assert_eq!(marks, ["1.", "1.a)", "1.b)", "-", "5.", "5.a)"]);
    }
}
