//! OpenDocument spreadsheets. Their cells keep what they show beside their values.

mod cell;

use std::collections::HashSet;

use super::{Area, Budget, Comment, Placed, Sheet, Workbook};
use cell::Open;
use domain::{
    document::{Block, BlockKind, Document},
    ports::ParseLimits,
};
use quick_xml::events::BytesStart;
use reading::fault::Fault;
use reading::package::{Package, Xml, attribute, walk};

/// How many cells may come from repetitions: a few bytes can repeat a cell a million times.
const MAX_REPEATED: u32 = 200_000;

/// Reads a spreadsheet.
pub fn read(bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    if package.xml("META-INF/manifest.xml")?.is_some_and(|manifest| manifest.contains("encryption-data")) {
        return Err(Fault::Encrypted);
    }
    let mut budget = Budget::new(limits);
    let tables = tables(&mut package, "content.xml", &mut budget)?;
    let hidden = tables.iter().filter(|table| table.hidden).count();
    let mut out = Workbook::new(tables.len() - hidden, hidden, limits)?;
    for (number, table) in (1..).zip(tables.into_iter().filter(|table| !table.hidden)) {
        let mut sheet = table.sheet;
        for (row, column, object) in table.objects {
            let blocks = chart(&mut package, &object, &mut budget)?;
            sheet.placed.push(Placed { row, column, blocks });
        }
        out.add(number, &table.name, Ok(sheet))?;
    }
    out.finish()
}

/// A sheet with its name.
#[derive(Default)]
struct Table {
    name: String,
    hidden: bool,
    sheet: Sheet,
    /// Embedded objects: row, column, folder.
    objects: Vec<(u32, u32, String)>,
}

/// The tables of a content part.
fn tables(package: &mut Package<'_>, part: &str, budget: &mut Budget) -> Result<Vec<Table>, Fault> {
    let xml = package.stream(part)?.ok_or(Fault::Corrupt)?;
    let mut reader = Reader {
        budget,
        tables: Vec::new(),
        hidden_styles: HashSet::new(),
        style: String::new(),
        depth: 0,
        skipped: 0,
        row: 0,
        rows: 1,
        column: 0,
        line: Vec::new(),
        open: Open::default(),
        repeated: 0,
    };
    walk(xml, |piece| match piece {
        Xml::Start(name, element) => {
            reader.start(name, element);
            Ok(())
        }
        Xml::End(name) => reader.end(name),
        Xml::Text(text) => {
            reader.open.text(text);
            Ok(())
        }
    })?;
    Ok(reader.tables)
}

/// The titles of an embedded chart, and its own table.
fn chart(package: &mut Package<'_>, folder: &str, budget: &mut Budget) -> Result<Vec<Block>, Fault> {
    let part = format!("{}/content.xml", folder.trim_start_matches("./").trim_end_matches('/'));
    let Some(xml) = package.xml(&part)? else { return Ok(Vec::new()) };
    let (mut blocks, mut title): (Vec<Block>, Option<String>) = (Vec::new(), None);
    walk(xml.as_bytes(), |piece| {
        match piece {
            Xml::Start("title" | "subtitle", _) => title = Some(String::new()),
            Xml::Text(text) => title.iter_mut().for_each(|title| title.push_str(text)),
            Xml::End("title" | "subtitle") => blocks.extend(title.take().map(Block::paragraph)),
            Xml::Start(..) | Xml::End(_) => {}
        }
        Ok(())
    })?;
    for table in tables(package, &part, budget)? {
        blocks.extend(super::blocks::lay_out(table.sheet));
    }
    Ok(blocks)
}

struct Reader<'a> {
    budget: &'a mut Budget,
    tables: Vec<Table>,
    /// Styles of tables that are hidden.
    hidden_styles: HashSet<String>,
    style: String,
    /// Tables around the place; those within cells are not sheets.
    depth: usize,
    /// Elements around the place whose content is not shown.
    skipped: usize,
    row: u32,
    /// How often the row stands.
    rows: u32,
    column: u32,
    /// The cells of the row.
    line: Vec<super::Cell>,
    open: Open,
    repeated: u32,
}

impl Reader<'_> {
    fn start(&mut self, name: &str, element: &BytesStart<'_>) {
        if self.skipped > 0 || matches!(name, "tracked-changes" | "dde-links" | "forms") {
            self.skipped += 1;
            return;
        }
        match name {
            "style" => self.style = attribute(element, "name").unwrap_or_default(),
            "table-properties" if attribute(element, "display").as_deref() == Some("false") => {
                self.hidden_styles.insert(self.style.clone());
            }
            "table" => {
                self.depth += 1;
                if self.depth == 1 {
                    let hidden =
                        attribute(element, "style-name").is_some_and(|name| self.hidden_styles.contains(&name));
                    let name = attribute(element, "name").unwrap_or_default();
                    self.tables.push(Table { name, hidden, ..Table::default() });
                    (self.row, self.column) = (0, 0);
                }
            }
            _ if self.depth != 1 => self.open.start(name, element),
            "table-column" => {
                let count = number(element, "number-columns-repeated");
                let last = self.column.saturating_add(count - 1);
                if is_hidden(element) {
                    let column = self.column;
                    self.table().into_iter().for_each(|table| table.sheet.hidden.columns.push((column, last)));
                }
                self.column = last.saturating_add(1);
            }
            "table-row" => {
                self.rows = number(element, "number-rows-repeated");
                let (row, last) = (self.row, self.row.saturating_add(self.rows - 1));
                if is_hidden(element) {
                    self.table().into_iter().for_each(|table| table.sheet.hidden.rows.push((row, last)));
                }
                self.column = 0;
            }
            "table-cell" | "covered-table-cell" => self.open = Open::cell(element, name == "covered-table-cell"),
            _ => self.open.start(name, element),
        }
    }

    fn table(&mut self) -> Option<&mut Table> {
        self.tables.last_mut()
    }

    fn end(&mut self, name: &str) -> Result<(), Fault> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match name {
            "table" => self.depth = self.depth.saturating_sub(1),
            "table-cell" | "covered-table-cell" if self.depth == 1 => return self.end_cell(),
            "table-row" if self.depth == 1 => return self.end_row(),
            // Drawn on the sheet and not in a cell.
            "shapes" if self.depth == 1 => {
                let open = std::mem::take(&mut self.open);
                self.add_drawn(open, 0, 0);
            }
            name => self.open.end(name),
        }
        Ok(())
    }

    fn add_drawn(&mut self, open: Open, row: u32, column: u32) {
        let Some(table) = self.tables.last_mut() else { return };
        table.sheet.pictures += open.pictures();
        let mut blocks: Vec<Block> = open.boxes.into_iter().map(Block::paragraph).collect();
        blocks.extend(open.descriptions.into_iter().map(|description| BlockKind::Picture(description).into()));
        if !blocks.is_empty() {
            table.sheet.placed.push(Placed { row, column, blocks });
        }
        table.objects.extend(open.objects.into_iter().map(|object| (row, column, object)));
        table.sheet.comments.extend(open.comments.into_iter().map(|(by, text)| Comment { row, column, by, text }));
    }

    fn end_cell(&mut self) -> Result<(), Fault> {
        let mut open = std::mem::take(&mut self.open);
        let (row, column) = (self.row, self.column);
        let count = open.repeated;
        self.column = column.saturating_add(count);
        let (text, is_text) = open.shown();
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        if !text.is_empty() && !open.covered {
            if open.columns > 1 || open.rows > 1 {
                let (bottom, right) = (row.saturating_add(open.rows - 1), column.saturating_add(open.columns - 1));
                table.sheet.merged.push(Area { top: row, left: column, bottom, right });
            }
            if let Some(target) = open.link.take() {
                table.sheet.links.insert((row, column), target);
            }
            for column in (column..).take(self.times(count)) {
                self.budget.take(&text)?;
                self.line.push(super::Cell { row, column, text: text.clone(), is_text, bold: false });
            }
        }
        self.add_drawn(open, row, column);
        Ok(())
    }

    /// How often to repeat something that the file says to repeat.
    fn times(&mut self, count: u32) -> usize {
        let times = count.min(MAX_REPEATED.saturating_sub(self.repeated)).max(1);
        self.repeated = self.repeated.saturating_add(times - 1);
        usize::try_from(times).unwrap_or(1)
    }

    fn end_row(&mut self) -> Result<(), Fault> {
        let (row, count) = (self.row, self.rows);
        self.row = row.saturating_add(count);
        let line = std::mem::take(&mut self.line);
        let cells = u32::try_from(line.len()).unwrap_or(u32::MAX).max(1);
        let times = if line.is_empty() {
            0
        } else {
            count.min((MAX_REPEATED - self.repeated.min(MAX_REPEATED)) / cells).max(1)
        };
        self.repeated = self.repeated.saturating_add(times.saturating_sub(1).saturating_mul(cells));
        for at in (row.saturating_add(1)..).take(usize::try_from(times.saturating_sub(1)).unwrap_or(0)) {
            for cell in &line {
                self.budget.take(&cell.text)?;
                let copy = super::Cell { row: at, ..cell.clone() };
                self.tables.last_mut().into_iter().for_each(|table| table.sheet.cells.push(copy.clone()));
            }
        }
        self.tables.last_mut().into_iter().for_each(|table| table.sheet.cells.extend(line.iter().cloned()));
        Ok(())
    }
}

/// A count in an attribute, 1 if there is none.
fn number(element: &BytesStart<'_>, name: &str) -> u32 {
    attribute(element, name).and_then(|count| count.parse().ok()).unwrap_or(1).max(1)
}

fn is_hidden(element: &BytesStart<'_>) -> bool {
    attribute(element, "visibility").is_some_and(|visibility| visibility != "visible")
}

#[cfg(test)]
mod tests;
