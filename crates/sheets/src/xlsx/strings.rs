//! The texts that cells share.

use std::io::BufRead;

use reading::fault::Fault;
use reading::package::{Xml, walk};

/// The texts, one after the other.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    /// Reads the part. Readings of characters beside a text (`rPh`) are left out.
    pub(super) fn read(part: impl BufRead) -> Result<Self, Fault> {
        let mut strings = Self::default();
        let (mut in_text, mut readings) = (false, 0_usize);
        walk(part, |piece| {
            match piece {
                Xml::Start("t", _) => in_text = readings == 0,
                Xml::End("t") => in_text = false,
                Xml::Start("rPh", _) => readings += 1,
                Xml::End("rPh") => readings = readings.saturating_sub(1),
                Xml::End("si") => strings.ends.push(strings.text.len()),
                Xml::Text(text) if in_text => strings.text.push_str(text),
                Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(strings)
    }

    /// Text number `at`, from 0.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..end)
    }
}

/// `text` with the characters that XML can't hold, which Excel writes as `_x000D_`.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let code = rest.get(at + 2..at + 7).filter(|code| code.ends_with('_'));
        let c = code.and_then(|code| u32::from_str_radix(&code[..4], 16).ok()).and_then(char::from_u32);
        out.push_str(&rest[..at]);
        match c {
            Some(c) => out.push(c),
            None => out.push_str("_x"),
        }
        rest = rest.get(at + if c.is_some() { 7 } else { 2 }..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
