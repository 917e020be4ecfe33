//! How cells show their values: number formats, and whether the font is bold.

use std::{collections::HashMap, io::BufRead};

use super::is_true;
use crate::format::Format;
use reading::fault::Fault;
use reading::package::{Xml, attribute, walk};

/// The styles of cells, by the number that a cell names.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: Vec<(u16, bool)>,
    formats: HashMap<u16, Format>,
    general: Format,
}

impl Styles {
    /// Reads the part.
    pub(super) fn read(part: impl BufRead) -> Result<Self, Fault> {
        let mut out = Self::default();
        let mut fonts: Vec<bool> = Vec::new();
        let mut codes: HashMap<u16, String> = HashMap::new();
        let mut within = String::new();
        walk(part, |piece| {
            match piece {
                Xml::Start(list @ ("numFmts" | "fonts" | "cellXfs" | "cellStyleXfs" | "dxfs"), _) => {
                    list.clone_into(&mut within);
                }
                Xml::Start("numFmt", element) if within == "numFmts" => {
                    let id = attribute(element, "numFmtId").and_then(|id| id.parse().ok());
                    if let (Some(id), Some(code)) = (id, attribute(element, "formatCode")) {
                        codes.insert(id, code);
                    }
                }
                Xml::Start("font", _) if within == "fonts" => fonts.push(false),
                Xml::Start("b", element) if within == "fonts" => {
                    let on = attribute(element, "val").is_none_or(|value| is_true(Some(value)));
                    fonts.last_mut().into_iter().for_each(|bold| *bold = on);
                }
                Xml::Start("xf", element) if within == "cellXfs" => {
                    let number = |name| attribute(element, name).and_then(|id| id.parse::<u16>().ok()).unwrap_or(0);
                    let bold = fonts.get(usize::from(number("fontId"))).copied().unwrap_or(false);
                    out.styles.push((number("numFmtId"), bold));
                }
                Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
            }
            Ok(())
        })?;
        for (id, _) in &out.styles {
            let format = || codes.get(id).map_or_else(|| Format::built_in(*id), |code| Format::parse(code));
            out.formats.entry(*id).or_insert_with(format);
        }
        Ok(out)
    }

    /// The number format of style `at`, and whether it is bold.
    pub(super) fn get(&self, at: usize) -> (&Format, bool) {
        let (format, bold) = self.styles.get(at).copied().unwrap_or_default();
        (self.formats.get(&format).unwrap_or(&self.general), bold)
    }
}
