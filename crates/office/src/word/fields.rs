//! Fields: their cached results are text, their codes are not.

use super::Reader;
use reading::{
    building::line::{Line, Look, PAGE_NUMBER},
    symbols,
    xml::Node,
};

/// A field that has begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Field {
    code: String,
    /// Whether the code is complete and the result has begun.
    in_result: bool,
    /// Whether the result is left out: the number of a page.
    silent: bool,
    /// Whether the result is a link.
    linked: bool,
    /// What a form field without a result shows.
    form_value: Option<String>,
}

/// What a field does.
enum Effect {
    Nothing,
    /// Its result is left out.
    Silent,
    Link(String),
    /// It shows this, whatever its result.
    Shows(String),
}

impl Reader<'_, '_> {
    /// Whether text belongs to the page: not to a field's code, nor to a page number.
    pub(super) fn is_shown(&self) -> bool {
        self.fields.iter().all(|field| field.in_result && !field.silent)
    }

    /// A mark of a field: `begin`, `separate` or `end`.
    pub(super) fn field_mark(&mut self, mark: Node<'_>, line: &mut Line) {
        match mark.attr("fldCharType").as_deref() {
            Some("begin") => {
                let form_value = mark.child("ffData").and_then(form_value);
                self.fields.push(Field { form_value, ..Field::default() });
            }
            Some("separate") => {
                let Some(field) = self.fields.last_mut().filter(|field| !field.in_result) else { return };
                field.in_result = true;
                let code = std::mem::take(&mut field.code);
                self.apply(effect(&code, self.at_edge), line);
            }
            Some("end") => {
                if let Some(field) = self.fields.last().filter(|field| !field.in_result) {
                    // A field without a result.
                    let code = field.code.clone();
                    self.apply(effect(&code, self.at_edge), line);
                }
                let Some(field) = self.fields.pop() else { return };
                if field.linked {
                    self.targets.pop();
                }
                line.link = self.targets.last().cloned();
                if let Some(value) = field.form_value.filter(|_| self.is_shown()) {
                    line.text(Look::default(), &value);
                }
            }
            _ => {}
        }
    }

    /// A piece of a field's code.
    pub(super) fn field_code(&mut self, code: &str) {
        if let Some(field) = self.fields.last_mut().filter(|field| !field.in_result) {
            field.code.push_str(code);
        }
    }

    /// Forgets fields that did not come to their result within their paragraph: a damaged field must not hide the rest.
    pub(super) fn end_fields(&mut self) {
        self.fields.retain(|field| field.in_result);
    }

    /// A field in one element, whose result `read` reads.
    pub(super) fn simple_field(&mut self, code: &str, line: &mut Line) {
        self.fields.push(Field { in_result: true, ..Field::default() });
        self.apply(effect(code, self.at_edge), line);
    }

    /// The end of a field in one element.
    pub(super) fn end_simple_field(&mut self, line: &mut Line) {
        if self.fields.pop().is_some_and(|field| field.linked) {
            self.targets.pop();
        }
        line.link = self.targets.last().cloned();
    }

    fn apply(&mut self, effect: Effect, line: &mut Line) {
        let Some(field) = self.fields.last_mut() else { return };
        match effect {
            Effect::Nothing => {}
            Effect::Silent => {
                field.silent = true;
                if self.at_edge {
                    line.text(Look::default(), PAGE_NUMBER);
                }
            }
            Effect::Link(target) => {
                field.linked = true;
                self.targets.push(target.into());
                line.link = self.targets.last().cloned();
            }
            Effect::Shows(text) => {
                field.silent = true;
                field.form_value = Some(text);
            }
        }
    }
}

fn effect(code: &str, at_edge: bool) -> Effect {
    let words = words(code);
    let argument = |at: usize| words.get(at).cloned().unwrap_or_default();
    let switch = |name: &str| words.iter().position(|word| word.eq_ignore_ascii_case(name)).map(|at| argument(at + 1));
    match argument(0).to_ascii_uppercase().as_str() {
        "PAGE" => Effect::Silent,
        "NUMPAGES" | "SECTIONPAGES" | "SECTION" if at_edge => Effect::Silent,
        "HYPERLINK" => {
            let target = argument(1);
            let anchor = switch("\\l").map(|anchor| format!("#{anchor}")).unwrap_or_default();
            Effect::Link(if target.starts_with('\\') { anchor } else { format!("{target}{anchor}") })
        }
        "SYMBOL" => {
            let code = argument(1);
            let code = match code.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => code.parse().ok(),
            };
            let font = switch("\\f").unwrap_or_default();
            let sign = code.and_then(|code| symbols::shown(&font, code).or_else(|| char::from_u32(code)));
            sign.map_or(Effect::Nothing, |sign| Effect::Shows(sign.into()))
        }
        "MACROBUTTON" | "GOTOBUTTON" => Effect::Shows(words.get(2..).unwrap_or_default().join(" ")),
        _ => Effect::Nothing,
    }
}

/// The words of a field's code; one in quotes may hold blanks.
fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if first == '"' {
            rest[1..].split_once('"').unwrap_or((&rest[1..], ""))
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// What a form field shows that has no text of its own: a box that is ticked or not, the chosen entry of a list.
fn form_value(data: Node<'_>) -> Option<String> {
    if let Some(check) = data.child("checkBox") {
        let ticked = check.on("checked").or_else(|| check.on("default")).unwrap_or(false);
        return Some(if ticked { "☒" } else { "☐" }.into());
    }
    let list = data.child("ddList")?;
    let at = |name| list.child(name).and_then(|chosen| chosen.number::<usize>("val"));
    let chosen = at("result").or_else(|| at("default")).unwrap_or(0);
    list.all("listEntry").nth(chosen).and_then(|entry| entry.attr("val")).map(|entry| entry.into_owned())
}
