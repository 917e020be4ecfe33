//! Charts of Office files: their titles, and their values as a table, from what the chart keeps of its source.

use std::collections::BTreeMap;

use super::format::Format;
use domain::document::{Block, BlockKind, Cell, Inline, Table};
use reading::{
    fault::Fault,
    package::{Xml, attribute, walk},
};

/// The most values of a chart that are read.
const MAX_POINTS: usize = 100_000;

/// Labels or values, by their place.
type Points = BTreeMap<u32, String>;

#[derive(Default)]
struct Series {
    name: String,
    /// Levels of labels, the nearest to the values first.
    labels: Vec<Points>,
    values: Points,
}

/// What was read so far.
#[derive(Default)]
struct Chart {
    title: String,
    /// Titles of the axes: of labels, of values.
    labels_title: String,
    values_title: String,
    series: Vec<Series>,
    points: usize,
    /// The names of the elements around the place.
    path: Vec<String>,
    /// The place of the value being read, and the format of numbers.
    at: u32,
    format: Format,
    text: String,
}

/// The blocks of a chart.
///
/// # Errors
///
/// The part is damaged.
pub(super) fn blocks(xml: &str) -> Result<Vec<Block>, Fault> {
    let mut chart = Chart::default();
    walk(xml.as_bytes(), |piece| {
        match piece {
            Xml::Start(name, element) => {
                match name {
                    "ser" => chart.series.push(Series::default()),
                    "pt" => chart.at = attribute(element, "idx").and_then(|at| at.parse().ok()).unwrap_or(0),
                    "lvl" | "strCache" | "numCache" | "strLit" | "numLit" => {
                        chart.format = Format::default();
                        if chart.within("ser") && (chart.within("cat") || chart.within("xVal")) {
                            chart.series.last_mut().into_iter().for_each(|series| series.labels.push(Points::new()));
                        }
                    }
                    "p" => chart.paragraph(),
                    _ => {}
                }
                chart.text.clear();
                chart.path.push(name.to_owned());
            }
            Xml::Text(text) => chart.text.push_str(text),
            Xml::End(name) => {
                if let Some(at) = chart.path.iter().rposition(|open| open == name) {
                    chart.path.truncate(at);
                }
                chart.end(name);
                chart.text.clear();
            }
        }
        Ok(())
    })?;
    Ok(chart.into_blocks())
}

impl Chart {
    fn within(&self, name: &str) -> bool {
        self.path.iter().rev().take(12).any(|open| open == name)
    }

    /// The title that the place is in.
    fn title(&mut self) -> Option<&mut String> {
        let at = self.path.iter().rposition(|open| open == "title")?;
        match self.path.get(at.checked_sub(1)?).map(String::as_str) {
            Some("chart") => Some(&mut self.title),
            Some("catAx" | "dateAx" | "serAx") => Some(&mut self.labels_title),
            Some("valAx") => Some(&mut self.values_title),
            _ => None,
        }
    }

    fn paragraph(&mut self) {
        if let Some(title) = self.title().filter(|title| !title.is_empty()) {
            title.push('\n');
        }
    }

    fn end(&mut self, name: &str) {
        if !matches!(name, "v" | "t" | "formatCode") {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if name == "formatCode" {
            self.format = Format::parse(&text);
            return;
        }
        if !self.within("ser") {
            if let Some(title) = self.title() {
                title.push_str(&text);
            }
            return;
        }
        self.points += 1;
        if self.points > MAX_POINTS || name != "v" {
            return;
        }
        let (at, is_number) = (self.at, self.within("numCache") || self.within("numLit"));
        let shown = match text.trim().parse::<f64>() {
            Ok(number) if is_number => self.format.number(number, false),
            _ => text,
        };
        let (name, label) = (self.within("tx"), self.within("cat") || self.within("xVal"));
        let value = self.within("val") || self.within("yVal");
        let Some(series) = self.series.last_mut() else { return };
        if name {
            series.name.push_str(&shown);
        } else if label {
            series.labels.last_mut().into_iter().for_each(|points| drop(points.insert(at, shown.clone())));
        } else if value {
            series.values.insert(at, shown);
        }
    }

    fn into_blocks(self) -> Vec<Block> {
        let mut out: Vec<Block> = [&self.title, &self.values_title]
            .into_iter()
            .filter(|title| !title.trim().is_empty())
            .map(|title| Block::paragraph(title.trim()))
            .collect();
        let mut series: Vec<Series> = self.series;
        series.retain(|series| !series.values.is_empty());
        // Series with the same labels stand in one table.
        for group in series.chunk_by(|a, b| a.labels == b.labels || b.labels.is_empty()) {
            out.extend(table(group, self.labels_title.trim()));
        }
        out
    }
}

fn table(group: &[Series], corner: &str) -> Option<Block> {
    let labels = labels(&group.first()?.labels);
    let mut places: Vec<u32> = group.iter().flat_map(|series| series.values.keys().copied()).collect();
    places.sort_unstable();
    places.dedup();
    let mut head = vec![Cell::text(corner)];
    head.extend(group.iter().map(|series| Cell::text(series.name.trim())));
    let mut rows = vec![head];
    for place in places {
        let number = || (u64::from(place) + 1).to_string();
        let mut row = vec![Cell::text(labels.get(&place).cloned().unwrap_or_else(number))];
        row.extend(group.iter().map(|series| Cell::text(series.values.get(&place).cloned().unwrap_or_default())));
        rows.push(row);
    }
    let caption: Vec<Inline> = Vec::new();
    Some(BlockKind::Table(Table { caption, header_rows: 1, rows }).into())
}

/// One label a place: outer levels stand in front, and hold until the next one.
fn labels(levels: &[Points]) -> Points {
    let Some((inner, outer)) = levels.split_first() else { return Points::new() };
    let mut out = inner.clone();
    for (at, label) in &mut out {
        for level in outer {
            if let Some((_, group)) = level.range(..=*at).next_back() {
                *label = format!("{group} / {label}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::document::Document;
    use reading::render;

    fn markdown(xml: &str) -> String {
        render::tidy_markdown(&Document { blocks: blocks(xml).unwrap(), ..Document::default() })
    }

    #[test]
    fn a_chart_is_its_titles_and_a_table() {
        let points = |tag: &str, values: &[&str]| {
            let points: String =
                values.iter().enumerate().map(|(at, v)| format!("<c:pt idx=\"{at}\"><c:v>{v}</c:v></c:pt>")).collect();
            format!("<c:{tag}Cache>{points}</c:{tag}Cache>")
        };
        let title = |text: &str| {
            format!("<c:title><c:tx><c:rich><a:p><a:r><a:t>{text}</a:t></a:r></a:p></c:rich></c:tx></c:title>")
        };
        let series = |name: &str, values: &[&str]| {
            format!(
                "<c:ser><c:tx><c:strRef><c:f>x</c:f>{}</c:strRef></c:tx><c:cat>{}</c:cat><c:val>{}</c:val></c:ser>",
                points("str", &[name]),
                points("str", &["North", "South"]),
                points("num", values)
            )
        };
        let xml = format!(
            "<c:chartSpace><c:chart>{}<c:plotArea><c:barChart>{}{}</c:barChart><c:catAx>{}</c:catAx><c:valAx>{}</c:valAx>\
             </c:plotArea></c:chart></c:chartSpace>",
            title("Harvest"),
            series("2030", &["1.5", "2"]),
            series("2031", &["3", "4"]),
            title("Field"),
            title("Tonnes")
        );
        let expected = "Harvest\n\nTonnes\n\n| Field | 2030 | 2031 |\n| --- | --- | --- |\n| North | 1.5 | 3 |\n| South | 2 | 4 |\n";
        assert_eq!(markdown(&xml), expected);
    }

    #[test]
    fn outer_labels_hold_until_the_next() {
        let points = |pairs: &[(u32, &str)]| pairs.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
        let levels = [points(&[(0, "Q1"), (1, "Q2"), (2, "Q1")]), points(&[(0, "2030"), (2, "2031")])];
        let labels: Vec<String> = labels(&levels).into_values().collect();
        assert_eq!(labels, ["2030 / Q1", "2030 / Q2", "2031 / Q1"]);
    }
}
