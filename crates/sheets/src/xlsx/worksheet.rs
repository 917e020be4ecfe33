//! The cells of a worksheet, row by row.

use std::{collections::HashMap, io::BufRead};

use super::{Shared, Sheet, is_true, strings::unescaped};
use crate::{Area, Budget, Cell, area_of, cell_at};
use quick_xml::events::BytesStart;
use reading::fault::Fault;
use reading::package::{Relationship, Xml, attribute, walk};

/// A link over more cells than this stands at its first one only.
const MAX_LINKED: u32 = 1000;

/// Reads the part.
pub(super) fn read(
    part: impl BufRead,
    shared: &Shared,
    relationships: &[Relationship],
    budget: &mut Budget,
) -> Result<Sheet, Fault> {
    let targets = relationships.iter().filter(|link| link.external).map(|link| (&*link.id, &*link.target)).collect();
    let mut reader = Reader {
        shared,
        targets,
        budget,
        sheet: Sheet::default(),
        row: 0,
        next_row: 0,
        next_column: 0,
        cell: None,
        text: Text::None,
        zeros: true,
    };
    walk(part, |piece| match piece {
        Xml::Start(name, element) => {
            reader.start(name, element);
            Ok(())
        }
        Xml::End(name) => reader.end(name),
        Xml::Text(text) => {
            reader.text(text);
            Ok(())
        }
    })?;
    Ok(reader.sheet)
}

struct Reader<'a> {
    shared: &'a Shared,
    /// Link targets outside, by relationship.
    targets: HashMap<&'a str, &'a str>,
    budget: &'a mut Budget,
    sheet: Sheet,
    row: u32,
    next_row: u32,
    next_column: u32,
    cell: Option<Raw>,
    text: Text,
    /// Whether zeros are shown.
    zeros: bool,
}

/// A cell as the file has it.
#[derive(Default)]
struct Raw {
    column: u32,
    kind: String,
    style: usize,
    value: String,
    inline: String,
    formula: String,
}

/// Where text belongs.
#[derive(PartialEq)]
enum Text {
    None,
    Value,
    Inline,
    Formula,
    /// Within a reading beside a text.
    Reading,
}

impl Reader<'_> {
    fn start(&mut self, name: &str, element: &BytesStart<'_>) {
        match name {
            "row" => {
                let number = attribute(element, "r").and_then(|row| row.trim().parse::<u32>().ok());
                self.row = number.and_then(|row| row.checked_sub(1)).unwrap_or(self.next_row);
                self.next_row = self.row.saturating_add(1);
                self.next_column = 0;
                let flat = attribute(element, "ht").and_then(|height| height.parse().ok()) == Some(0.0);
                if flat || is_true(attribute(element, "hidden")) {
                    self.sheet.hidden.rows.push((self.row, self.row));
                }
            }
            "c" => self.start_cell(element),
            "v" if self.cell.is_some() => self.text = Text::Value,
            "f" if self.cell.is_some() => self.text = Text::Formula,
            "rPh" => self.text = Text::Reading,
            "t" if self.cell.is_some() && self.text != Text::Reading => self.text = Text::Inline,
            "col" => {
                let number = |name| attribute(element, name).and_then(|at| at.parse::<u32>().ok())?.checked_sub(1);
                let flat = attribute(element, "width").and_then(|width| width.parse().ok()) == Some(0.0);
                if let (true, Some(first), Some(last)) =
                    (flat || is_true(attribute(element, "hidden")), number("min"), number("max"))
                {
                    self.sheet.hidden.columns.push((first, last));
                }
            }
            "mergeCell" => {
                let area = attribute(element, "ref").and_then(|reference| area_of(&reference));
                self.sheet.merged.extend(area);
            }
            "hyperlink" => self.hyperlink(element),
            "sheetView" => {
                self.zeros = attribute(element, "showZeros").is_none_or(|shown| is_true(Some(shown)));
            }
            _ => {}
        }
    }

    fn start_cell(&mut self, element: &BytesStart<'_>) {
        let mut cell = Raw { column: self.next_column, ..Raw::default() };
        for attribute in element.attributes().with_checks(false).flatten() {
            let value = &*attribute.value;
            match attribute.key.local_name().as_ref() {
                "r" => {
                    if let Some((row, column)) = cell_at(value) {
                        (self.row, cell.column) = (row, column);
                    }
                }
                "t" => value.clone_into(&mut cell.kind),
                "s" => cell.style = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        self.next_column = cell.column.saturating_add(1);
        self.cell = Some(cell);
    }

    fn text(&mut self, text: &str) {
        let Some(cell) = &mut self.cell else { return };
        match self.text {
            Text::Value => cell.value.push_str(text),
            Text::Inline => cell.inline.push_str(text),
            Text::Formula => cell.formula.push_str(text),
            Text::None | Text::Reading => {}
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Fault> {
        match name {
            "v" | "f" | "rPh" => self.text = Text::None,
            "t" if self.text == Text::Inline => self.text = Text::None,
            "c" => {
                let Some(raw) = self.cell.take() else { return Ok(()) };
                let (format, bold) = self.shared.styles.get(raw.style);
                let column = raw.column;
                let target = link_of_formula(&raw.formula);
                let (text, is_text) = self.shown(raw, format);
                if text.is_empty() {
                    return Ok(());
                }
                self.budget.take(&text)?;
                if let Some(target) = target {
                    self.sheet.links.insert((self.row, column), target);
                }
                self.sheet.cells.push(Cell { row: self.row, column, text, is_text, bold });
            }
            _ => {}
        }
        Ok(())
    }

    /// What the cell shows, and whether that is a text.
    fn shown(&self, raw: Raw, format: &super::super::format::Format) -> (String, bool) {
        let text = |text: &str| (format.text(unescaped(text)), true);
        let value = raw.value.trim();
        match &*raw.kind {
            "inlineStr" => text(&raw.inline),
            "s" => text(value.parse().ok().and_then(|at| self.shared.strings.get(at)).unwrap_or_default()),
            "str" => text(&raw.value),
            "b" => (if matches!(value, "1" | "true") { "TRUE" } else { "FALSE" }.to_owned(), false),
            _ if value.is_empty() && !raw.inline.is_empty() => text(&raw.inline),
            // A formula that was never calculated shows itself.
            _ if value.is_empty() && !raw.formula.trim().is_empty() => (format!("={}", raw.formula.trim()), false),
            "e" => (value.to_owned(), false),
            "d" => (iso_date(value, format), false),
            _ => match value.parse::<f64>() {
                Ok(0.0) if !self.zeros => (String::new(), false),
                Ok(number) => (format.number(number, self.shared.since_1904), false),
                Err(_) => (raw.value, true),
            },
        }
    }

    fn hyperlink(&mut self, element: &BytesStart<'_>) {
        let Some(area) = attribute(element, "ref").and_then(|reference| area_of(&reference)) else { return };
        let id = attribute(element, "id").unwrap_or_default();
        let Some(target) = self.targets.get(&*id) else { return };
        let (rows, columns) = ((area.bottom - area.top).saturating_add(1), (area.right - area.left).saturating_add(1));
        let Area { top, left, mut bottom, mut right } = area;
        if rows.saturating_mul(columns) > MAX_LINKED {
            (bottom, right) = (top, left);
        }
        for row in top..=bottom {
            for column in left..=right {
                self.sheet.links.insert((row, column), (*target).to_owned());
            }
        }
    }
}

/// A date in ISO's form, in the cell's format if that is one for dates.
fn iso_date(value: &str, format: &super::super::format::Format) -> String {
    let tidy = value.trim_end_matches('Z').trim_end_matches(".000").trim_end_matches("T00:00:00");
    let shown = || {
        let (date, time) = value.split_once('T').unwrap_or((value, ""));
        let part = |text: &str, mark: char, at: usize| text.split(mark).nth(at)?.parse::<f64>().ok();
        let (year, month, day) = (part(date, '-', 0)?, part(date, '-', 1)?, part(date, '-', 2)?);
        let days = days_since_1900(year, month, day)?;
        let time = time.trim_end_matches('Z');
        let seconds = [3600.0, 60.0, 1.0].iter().enumerate();
        let of_day: f64 = seconds.map(|(at, unit)| part(time, ':', at).unwrap_or(0.0) * unit).sum();
        Some(format.number(days + of_day / 86_400.0, false))
    };
    let shown = if format.is_date() { shown() } else { None };
    shown.unwrap_or_else(|| tidy.replace('T', " "))
}

/// Excel's number of a day from March 1900 on.
fn days_since_1900(year: f64, month: f64, day: f64) -> Option<f64> {
    if !(1900.0..=9999.0).contains(&year) || !(1.0..=12.0).contains(&month) || !(1.0..=31.0).contains(&day) {
        return None;
    }
    // Years that begin in March.
    let (year, month) = if month > 2.0 { (year, month - 3.0) } else { (year - 1.0, month + 9.0) };
    let leap = (year / 4.0).floor() - (year / 100.0).floor() + (year / 400.0).floor();
    Some(365.0 * year + leap + ((153.0 * month + 2.0) / 5.0).floor() + day - 1.0 - 693_899.0)
}

/// The target of a formula that makes a link of a literal address.
fn link_of_formula(formula: &str) -> Option<String> {
    let formula = formula.trim();
    let name = formula.get(..10)?;
    let rest = name.eq_ignore_ascii_case("HYPERLINK(").then(|| &formula[10..])?;
    let (target, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    Some(target.to_owned())
}
