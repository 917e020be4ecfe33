//! Charts: title, names of the axes, and the values of their series as a table.

use super::plain_text;
use domain::document::{Block, BlockKind, Cell, Inline, Table};
use reading::xml::Node;

/// The most categories of a chart that are read.
const MAX_POINTS: usize = 20_000;

/// The most series of a chart that are read; Office draws no more.
const MAX_SERIES: usize = 255;
/// The most levels of categories.
const MAX_LEVELS: usize = 10;
/// The most cells of a table.
const MAX_CELLS: usize = 200_000;

/// A series: its name, its categories and its values, each as shown.
struct Series {
    name: String,
    categories: Vec<String>,
    values: Vec<String>,
}

/// The blocks of a chart part (`chartSpace`).
pub(crate) fn blocks(space: Node<'_>) -> Vec<Block> {
    let Some(chart) = space.child("chart") else { return Vec::new() };
    let mut blocks = Vec::new();
    let series = all_series(space, chart);
    let title = title(chart).or_else(|| match series.as_slice() {
        // A chart of one series without a title of its own shows the name of the series.
        [one] if !one.name.is_empty() && chart.on("autoTitleDeleted") != Some(true) => Some(one.name.clone()),
        _ => None,
    });
    let (mut category_axis, mut value_axes) = (String::new(), Vec::new());
    for axis in chart.child("plotArea").into_iter().flat_map(Node::children) {
        match (axis.name(), title_of_axis(axis)) {
            ("catAx" | "dateAx", Some(name)) => category_axis = name,
            ("valAx" | "serAx" | "axis", Some(name)) => value_axes.push(name),
            _ => {}
        }
    }
    if !value_axes.is_empty() {
        blocks.push(Block::paragraph(format!("Axis: {}", value_axes.join("; "))));
    }
    let mut tables: Vec<(Vec<String>, Vec<Series>)> = Vec::new();
    for one in series {
        match tables.iter_mut().find(|(categories, _)| *categories == one.categories) {
            Some((_, series)) => series.push(one),
            None => tables.push((one.categories.clone(), vec![one])),
        }
    }
    let mut caption = title.unwrap_or_default();
    if tables.is_empty() && !caption.is_empty() {
        blocks.insert(0, Block::paragraph(std::mem::take(&mut caption)));
    }
    for (categories, series) in tables {
        let table = table(&category_axis, &categories, &series, std::mem::take(&mut caption));
        blocks.push(BlockKind::Table(table).into());
    }
    // The title stands above the names of the axes.
    if let [Block { kind: BlockKind::Paragraph(_), .. }, Block { kind: BlockKind::Table(table), .. }, ..] =
        blocks.as_mut_slice()
    {
        let caption = std::mem::take(&mut table.caption);
        blocks.insert(0, BlockKind::Paragraph(caption).into());
    }
    blocks
}

fn title(chart: Node<'_>) -> Option<String> {
    text_of_title(chart.child("title")?)
}

fn title_of_axis(axis: Node<'_>) -> Option<String> {
    text_of_title(axis.child("title")?)
}

fn text_of_title(title: Node<'_>) -> Option<String> {
    let body = title.find("rich");
    let lines: Vec<String> = match body {
        Some(body) => body.all("p").map(plain_text).collect(),
        None => title.find("v").or_else(|| title.find("p")).map(Node::text).into_iter().collect(),
    };
    let text = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

fn all_series(space: Node<'_>, chart: Node<'_>) -> Vec<Series> {
    let mut found = Vec::new();
    for series in chart.descendants().filter(|node| node.is("ser")).take(MAX_SERIES) {
        let name = series.child("tx").map(|name| name.find("v").map_or_else(|| name.text(), Node::text));
        let first = |names: [&str; 2]| names.iter().find_map(|name| series.child(name));
        let categories = first(["cat", "xVal"]).map(points).unwrap_or_default();
        let values = first(["val", "yVal"]).map(points).unwrap_or_default();
        found.push(Series { name: name.unwrap_or_default().trim().to_owned(), categories, values });
    }
    // Newer kinds of charts keep their data apart from their series.
    for series in chart.descendants().filter(|node| node.is("series")).take(MAX_SERIES) {
        let id = series.child("dataId").and_then(|id| id.attr("val"));
        let data = space.path(&["chartData"]).and_then(|data| data.all("data").find(|data| data.attr("id") == id));
        let levels = |name| {
            let level = data?.child(name)?.child("lvl")?;
            Some(level.all("pt").take(MAX_POINTS).map(|point| shown(&point.text(), "")).collect::<Vec<_>>())
        };
        let name = series.find("v").map(Node::text).unwrap_or_default();
        found.push(Series {
            name,
            categories: levels("strDim").unwrap_or_default(),
            values: levels("numDim").unwrap_or_default(),
        });
    }
    found
}

/// The cached points of a reference, each at its place.
fn points(reference: Node<'_>) -> Vec<String> {
    // Categories of several levels stand one level after the other, the innermost first.
    let levels: Vec<Node<'_>> = reference.descendants().filter(|node| node.is("lvl")).take(MAX_LEVELS).collect();
    if !levels.is_empty() {
        let levels: Vec<Vec<String>> = levels.into_iter().rev().map(|level| listed(level, level, true)).collect();
        let count = levels.iter().map(Vec::len).max().unwrap_or(0);
        let at = |at: usize| levels.iter().filter_map(move |level| level.get(at).filter(|text| !text.is_empty()));
        return (0..count).map(|n| at(n).map(String::as_str).collect::<Vec<_>>().join(" / ")).collect();
    }
    let cache = reference.descendants().find(|node| node.name().ends_with("Cache") || node.name().ends_with("Lit"));
    cache.map(|cache| listed(cache, cache, false)).unwrap_or_default()
}

/// The points in `list`. With `fill`, a place without a point says what the one before says, as a group's name does.
fn listed(list: Node<'_>, cache: Node<'_>, fill: bool) -> Vec<String> {
    let format = cache.child("formatCode").map(Node::text).unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    for point in list.all("pt") {
        let at: usize = point.number("idx").unwrap_or(texts.len());
        if at >= MAX_POINTS {
            continue;
        }
        if texts.len() <= at {
            let gap = if fill { texts.last().cloned().unwrap_or_default() } else { String::new() };
            texts.resize(at + 1, gap);
        }
        let own = point.attr("formatCode").unwrap_or_default();
        let format = if own.is_empty() { format.as_str() } else { &own };
        texts[at] = shown(&point.child("v").map(Node::text).unwrap_or_default(), format);
    }
    texts
}

/// A value by its number format: percents and dates as such, other numbers without the noise of binary fractions.
fn shown(raw: &str, format: &str) -> String {
    let raw = raw.trim();
    let Ok(number) = raw.parse::<f64>() else { return raw.to_owned() };
    let decimals = format.split_once('.').map(|(_, rest)| rest.chars().take_while(|c| matches!(c, '0' | '#')).count());
    if format.contains('%') {
        return format!("{:.*}%", decimals.unwrap_or(0).min(6), number * 100.0);
    }
    let pattern = pattern(format);
    if pattern.contains("yy") || pattern.contains('d') && pattern.contains('m') {
        return date(number, &pattern).unwrap_or_else(|| raw.to_owned());
    }
    let rounded: f64 = format!("{number:.10e}").parse().unwrap_or(number);
    if number.abs() < 1e15 { rounded.to_string() } else { raw.to_owned() }
}

/// The letters of a number format that mean something: no words in quotes, no colours in brackets.
fn pattern(format: &str) -> String {
    let mut quoted = false;
    let mut bracketed = false;
    let mut pattern = String::new();
    for c in format.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' => bracketed = true,
            ']' => bracketed = false,
            c if !quoted && !bracketed => pattern.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    pattern
}

/// The date of a serial number that counts days from 1899-12-30.
fn date(serial: f64, pattern: &str) -> Option<String> {
    if !(1.0..2_958_466.0).contains(&serial) {
        return None;
    }
    let epoch = time::Date::from_calendar_date(1899, time::Month::December, 30).ok()?;
    let seconds = time::Duration::checked_seconds_f64((serial.floor()) * 86_400.0)?;
    let date = epoch.checked_add(seconds)?;
    let month = u8::from(date.month());
    Some(if pattern.contains('d') {
        format!("{}-{month:02}-{:02}", date.year(), date.day())
    } else if pattern.contains('m') {
        format!("{}-{month:02}", date.year())
    } else {
        date.year().to_string()
    })
}

fn table(corner: &str, categories: &[String], series: &[Series], caption: String) -> Table {
    let with_categories = categories.iter().any(|category| !category.is_empty());
    let count = series.iter().map(|one| one.values.len()).chain([categories.len()]).max().unwrap_or(0);
    let count = count.min(MAX_CELLS / (series.len() + 1));
    let text = |text: Option<&String>| Cell::text(text.cloned().unwrap_or_default());
    let mut head: Vec<Cell> = if with_categories { vec![Cell::text(corner)] } else { Vec::new() };
    head.extend(series.iter().map(|one| Cell::text(one.name.clone())));
    let mut rows = vec![head];
    for at in 0..count {
        let mut row: Vec<Cell> = if with_categories { vec![text(categories.get(at))] } else { Vec::new() };
        row.extend(series.iter().map(|one| text(one.values.get(at))));
        rows.push(row);
    }
    let caption = if caption.is_empty() { Vec::new() } else { vec![Inline::text(caption)] };
    Table { caption, header_rows: 1, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reading::xml::Tree;

    fn markdown(xml: &str) -> String {
        let blocks = blocks(Tree::parse(xml).unwrap().root());
        reading::render::tidy_markdown(&domain::document::Document { blocks, ..Default::default() })
    }

    #[test]
    fn a_chart_is_a_table_under_its_title() {
        let series = |name: &str, values: &str| {
            format!(
                "<c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>{name}</c:v></c:pt></c:strCache></c:strRef></c:tx>\
                 <c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>North</c:v></c:pt><c:pt idx='1'><c:v>South</c:v></c:pt>\
                 </c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:formatCode>0.0%</c:formatCode>{values}\
                 </c:numCache></c:numRef></c:val></c:ser>"
            )
        };
        let xml = format!(
            "<c:chartSpace><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Share</a:t></a:r></a:p></c:rich></c:tx></c:title>\
             <c:plotArea><c:barChart>{}{}</c:barChart><c:catAx><c:title><c:tx><c:rich><a:p><a:r><a:t>Region</a:t></a:r></a:p>\
             </c:rich></c:tx></c:title></c:catAx></c:plotArea></c:chart></c:chartSpace>",
            series("2030", "<c:pt idx='0'><c:v>0.1</c:v></c:pt><c:pt idx='1'><c:v>0.25</c:v></c:pt>"),
            series("2031", "<c:pt idx='1'><c:v>0.30000000000000004</c:v></c:pt>")
        );
        assert_eq!(
            markdown(&xml),
            "Share\n\n| Region | 2030 | 2031 |\n| --- | --- | --- |\n| North | 10.0% |  |\n| South | 25.0% | 30.0% |\n"
        );
    }

    #[test]
    fn values_are_shown_by_their_format() {
        assert_eq!(shown("0.30000000000000004", "General"), "0.3");
        assert_eq!(shown("44197", "m/d/yyyy"), "2021-01-01");
        assert_eq!(shown("12.5", "0.00"), "12.5");
        assert_eq!(shown("n/a", ""), "n/a");
    }
}
