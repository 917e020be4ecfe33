//! Prepares the text: removes page markers but keeps the pages and boxes, and shortens leaders and runs of blank lines.

use std::ops::Range;

use domain::{document::PageBox, layout::Place, ports::page_marker};

/// A passage with more boxes gets one a page.
const MAX_BOXES: usize = 64;

/// Runs of at least this many fill characters are shortened.
const MIN_FILL_RUN: usize = 6;
/// Fill characters: those of leaders, which may be separated by spaces, and of rules.
const FILL: [char; 6] = ['.', '…', '·', '_', '-', '='];
const LEADERS: [char; 3] = ['.', '…', '·'];
/// The length of a shortened run, with which markdown keeps its meaning (`---`, `===`, `...`).
const KEPT_FILL: usize = 3;

/// A document's text without page markers, and the page of each byte.
pub(super) struct Source {
    /// Lines joined by `\n`, with at most one blank line in a row and none at either end.
    pub text: String,
    /// The start and the number of each page, in the order of the text. Empty if the format has no pages.
    pages: Vec<(usize, i32)>,
    /// Parts of the text that stand in one box, by their starts and by their ends.
    places: Vec<(Range<usize>, PageBox)>,
}

impl Source {
    /// Reads `markdown`. Removes page markers, all but one of a run of blank lines, and all but three of a run of fill
    /// characters. In a table of contents, the model would read every dot before a page number as a word. `places` are
    /// those of its lines.
    pub fn new(markdown: &str, places: &[Place]) -> Self {
        let mut source = Self { text: String::with_capacity(markdown.len()), pages: Vec::new(), places: Vec::new() };
        // Where each line that is not blank begins.
        let mut starts = Vec::new();
        let mut blank = false;
        let mut page = None;
        let mut last_line = 0;
        for line in markdown.lines() {
            if let Some(number) = marked_page(line) {
                page = Some(number);
                blank = true;
                starts.push(source.text.len());
            } else if line.trim().is_empty() {
                blank = true;
            } else {
                if !source.text.is_empty() {
                    let joins = page.is_some() && continues(&source.text[last_line..], line);
                    source.text.push_str(if blank && !joins { "\n\n" } else { "\n" });
                }
                last_line = source.text.len();
                starts.push(last_line);
                source.pages.extend(page.take().map(|number| (last_line, number)));
                push_shortened(&mut source.text, line);
                blank = false;
            }
        }
        let end = source.text.len();
        let start = |line: u32| starts.get(line as usize).copied().unwrap_or(end);
        let part = |place: &Place| (start(place.first)..start(place.first.saturating_add(place.lines)), place.place);
        source.places = places.iter().map(part).collect();
        source
    }

    /// Where `range` stands: the boxes of the blocks that it holds, or holds a part of.
    pub fn boxes(&self, range: &Range<usize>) -> Vec<PageBox> {
        let first = self.places.partition_point(|(place, _)| place.end <= range.start);
        let places = self.places[first..].iter().take_while(|(place, _)| place.start < range.end);
        let mut boxes: Vec<PageBox> = Vec::new();
        for (_, place) in places {
            if !boxes.contains(place) {
                boxes.push(*place);
            }
        }
        if boxes.len() > MAX_BOXES { one_a_page(&boxes) } else { boxes }
    }

    /// The lowest and the highest page number in `range`.
    pub fn pages(&self, range: &Range<usize>) -> Option<(i32, i32)> {
        let first = self.pages.partition_point(|&(start, _)| start <= range.start).saturating_sub(1);
        let past = self.pages.partition_point(|&(start, _)| start < range.end);
        // A text may number its pages in any order, so the first one may not be the lowest.
        let numbers = || self.pages.get(first..past).unwrap_or_default().iter().map(|&(_, page)| page);
        Some((numbers().min()?, numbers().max()?))
    }
}

/// A box a page around all its boxes.
fn one_a_page(boxes: &[PageBox]) -> Vec<PageBox> {
    let mut pages: Vec<PageBox> = Vec::new();
    for part in boxes {
        match pages.iter_mut().find(|whole| whole.page == part.page) {
            Some(whole) => {
                whole.left = whole.left.min(part.left);
                whole.top = whole.top.min(part.top);
                whole.right = whole.right.max(part.right);
                whole.bottom = whole.bottom.max(part.bottom);
            }
            None => pages.push(*part),
        }
    }
    pages.truncate(MAX_BOXES);
    pages
}

/// The page number of `line`, if it is exactly a line that [`page_marker`] writes.
fn marked_page(line: &str) -> Option<i32> {
    let line = line.trim();
    let number: u32 = line.strip_prefix("<!-- page ")?.strip_suffix(" -->")?.parse().ok()?;
    (page_marker(number) == line).then(|| i32::try_from(number).ok()).flatten()
}

/// Whether `next`, the first line of a page, continues the sentence of `last`.
fn continues(last: &str, next: &str) -> bool {
    let end = last.trim_end_matches(|c: char| c.is_whitespace() || "*_\"'”’)".contains(c));
    let open = end.chars().next_back().is_some_and(|c| c.is_alphanumeric() || ",-–".contains(c));
    let prose = !last.trim_start().starts_with(['#', '|', '<', '`', '~']);
    open && prose && next.chars().next().is_some_and(char::is_lowercase)
}

/// Appends `line` to `out`, with long runs of fill characters shortened.
fn push_shortened(out: &mut String, line: &str) {
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = line[at..].find(FILL) {
        at += found;
        let run = FillRun::at(line, at);
        if run.is_fill(line) {
            out.push_str(&line[copied..run.kept_end]);
            copied = run.end;
        }
        at = run.end;
    }
    out.push_str(&line[copied..]);
}

/// A run of one fill character. Each may be escaped, and those of leaders may be separated by spaces.
struct FillRun {
    leader: bool,
    count: usize,
    start: usize,
    end: usize,
    /// The end of the first three characters.
    kept_end: usize,
}

impl FillRun {
    /// Reads the run whose first character is at `start` in `line`.
    fn at(line: &str, start: usize) -> Self {
        let fill = line[start..].chars().next().unwrap_or(' ');
        let leader = LEADERS.contains(&fill);
        let start = if line[..start].ends_with('\\') { start - 1 } else { start };
        let mut run = Self { leader, count: 0, start, end: start, kept_end: start };
        let mut at = start;
        loop {
            let rest = line[at..].strip_prefix('\\').unwrap_or(&line[at..]);
            let Some(after) = rest.strip_prefix(fill) else { return run };
            run.end = line.len() - after.len();
            run.count += 1;
            if run.count <= KEPT_FILL {
                run.kept_end = run.end;
            }
            let gap = if leader { after.bytes().take(2).take_while(|&byte| byte == b' ').count() } else { 0 };
            at = run.end + gap;
        }
    }

    /// Whether the run has no meaning: it is long, and not a part of a name, as underscores may be.
    fn is_fill(&self, line: &str) -> bool {
        let named =
            line[..self.start].ends_with(char::is_alphanumeric) && line[self.end..].starts_with(char::is_alphanumeric);
        self.count >= MIN_FILL_RUN && (self.leader || !named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(line: &str) -> String {
        let mut out = String::new();
        push_shortened(&mut out, line);
        out
    }

    #[test]
    fn markers_become_pages_and_are_removed() {
        let source = Source::new("<!-- page 1 -->\n\n# A\n\n<!-- page 2 -->\n<!-- page 3 -->\n\n\n\nThe end.\n", &[]);
        assert_eq!(source.text, "# A\n\nThe end.");
        assert_eq!(source.pages(&(0..3)), Some((1, 1)));
        assert_eq!(source.pages(&(5..9)), Some((3, 3)));
        assert_eq!(source.pages(&(0..9)), Some((1, 3)));
    }

    #[test]
    fn boxes_are_those_of_the_lines_in_the_range() {
        let place = |first, page, top: u8| Place {
            first,
            lines: 1,
            place: PageBox { page, left: 0.0, top: f32::from(top) / 100.0, right: 1.0, bottom: 1.0 },
        };
        let tops = |source: &Source, range: Range<usize>| -> Vec<f32> {
            source.boxes(&range).iter().map(|place| place.top).collect()
        };
        // The lines: marker, A, one, marker, two.
        let source = Source::new(
            "<!-- page 1 -->\n\n# A\n\none\n\n<!-- page 2 -->\n\ntwo.",
            &[place(1, 1, 10), place(2, 1, 20), place(4, 2, 30)],
        );
        assert_eq!(source.text, "# A\n\none\ntwo.");
        assert_eq!(tops(&source, 0..4), [0.1]);
        assert_eq!(tops(&source, 5..8), [0.2]);
        assert_eq!(tops(&source, 0..13), [0.1, 0.2, 0.3]);
        assert_eq!(tops(&source, 10..13), [0.3]);
        let many: Vec<Place> =
            (0..80).map(|line| place(line, 1 + line / 50, 90 - u8::try_from(line).unwrap())).collect();
        let source = Source::new(&"a\n".repeat(80), &many);
        assert_eq!(tops(&source, 0..9).len(), 5);
        assert_eq!(tops(&source, 0..source.text.len()), [0.41, 0.11]);
    }

    #[test]
    fn a_text_without_markers_has_no_pages() {
        assert_eq!(Source::new("one\n\ntwo", &[]).pages(&(0..3)), None);
    }

    #[test]
    fn text_before_the_first_marker_has_no_page() {
        let source = Source::new("Cover.\n\n<!-- page 2 -->\n\nText.", &[]);
        assert_eq!(source.pages(&(0..6)), None);
        assert_eq!(source.pages(&(0..10)), Some((2, 2)));
    }

    #[test]
    fn lines_that_only_look_like_markers_are_kept() {
        let text = "see <!-- page 4 -->\n<!-- page 04 -->\n<!-- page 99999999999 -->\n<!-- page x -->";
        assert_eq!(Source::new(text, &[]).text, text);
    }

    #[test]
    fn only_a_sentence_that_continues_is_joined_across_pages() {
        assert_eq!(Source::new("the plan\n\n<!-- page 2 -->\n\npays half.", &[]).text, "the plan\npays half.");
        assert_eq!(Source::new("the plan.\n\n<!-- page 2 -->\n\npays half.", &[]).text, "the plan.\n\npays half.");
        assert_eq!(Source::new("the plan\n\n<!-- page 2 -->\n\nPays half.", &[]).text, "the plan\n\nPays half.");
        assert_eq!(Source::new("# the plan\n\n<!-- page 2 -->\n\npays half.", &[]).text, "# the plan\n\npays half.");
    }

    #[test]
    fn leaders_and_rules_are_shortened_and_words_are_not() {
        assert_eq!(shortened("Drugs  . . . . . . . . . 12 |"), "Drugs  . . . 12 |");
        assert_eq!(shortened("Drugs.........12"), "Drugs...12");
        assert_eq!(shortened("| -------- | :------: |"), "| --- | :---: |");
        assert_eq!(shortened(r"Name \_\_\_\_\_\_\_\_ Date ________"), r"Name \_\_\_ Date ___");
        assert_eq!(
            shortened("a________b, 1.2.3.4.5.6.7, x-y-z-a-b-c-d, ..... wait…"),
            "a________b, 1.2.3.4.5.6.7, x-y-z-a-b-c-d, ..... wait…"
        );
        assert_eq!(shortened(r"C:\dir\__init__ \\\\\\\\"), r"C:\dir\__init__ \\\\\\\\");
    }
}
