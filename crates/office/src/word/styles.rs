//! Styles of a Word document, each with what it inherits.

use std::collections::HashMap;

use reading::xml::Node;

/// A style rests on another one, and that on a third, at most this many times.
const MAX_CHAIN: usize = 30;

/// What a run's properties say; `None` where they say nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct RunProperties {
    pub(super) bold: Option<bool>,
    pub(super) italic: Option<bool>,
    pub(super) struck: Option<bool>,
    pub(super) hidden: Option<bool>,
    /// `superscript`, `subscript` or `baseline`.
    pub(super) raised: Option<String>,
    pub(super) font: Option<String>,
}

impl RunProperties {
    /// The properties in an `rPr` element.
    pub(super) fn of(properties: Node<'_>) -> Self {
        let owned = |value: Option<std::borrow::Cow<'_, str>>| value.map(std::borrow::Cow::into_owned);
        Self {
            bold: properties.on("b"),
            italic: properties.on("i"),
            struck: properties.on("strike").or_else(|| properties.on("dstrike")),
            hidden: properties.on("vanish"),
            raised: owned(properties.val("vertAlign")),
            font: owned(
                properties.child("rFonts").and_then(|fonts| fonts.attr("ascii").or_else(|| fonts.attr("hAnsi"))),
            ),
        }
    }

    /// These, and where they say nothing, those of `base`.
    pub(super) fn over(self, base: &Self) -> Self {
        Self {
            bold: self.bold.or(base.bold),
            italic: self.italic.or(base.italic),
            struck: self.struck.or(base.struck),
            hidden: self.hidden.or(base.hidden),
            raised: self.raised.or_else(|| base.raised.clone()),
            font: self.font.or_else(|| base.font.clone()),
        }
    }
}

/// What a style says, with what it inherits.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// The level of its headings, from 1.
    pub(super) heading: Option<u8>,
    /// The id of its numbering; `0` switches numbering off.
    pub(super) numbering: Option<String>,
    /// The level in the numbering, if the style names one.
    pub(super) level: Option<u8>,
    /// The style of this chain that names the numbering.
    pub(super) numbered_by: String,
    /// The level that the name says: 1 for `List Bullet 2`.
    pub(super) named_level: Option<u8>,
    pub(super) run: RunProperties,
}

/// A style as the file has it.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    numbering: Option<String>,
    level: Option<u8>,
    run: RunProperties,
}

/// All styles by their ids.
#[derive(Debug, Default)]
pub(super) struct Styles {
    by_id: HashMap<String, Style>,
    /// What a paragraph without a style has.
    normal: Style,
}

impl Styles {
    /// The styles of a styles part.
    pub(super) fn of(part: Node<'_>) -> Self {
        let defaults = part.path(&["docDefaults", "rPrDefault", "rPr"]).map(RunProperties::of).unwrap_or_default();
        let mut entries = HashMap::new();
        let mut normal = None;
        for style in part.all("style") {
            let id = style.attr("styleId").unwrap_or_default().into_owned();
            let is_paragraph = style.attr("type").is_none_or(|kind| kind == "paragraph");
            if is_paragraph && style.flag("default") == Some(true) {
                normal = Some(id.clone());
            }
            entries.insert(id, Entry::of(style));
        }
        let by_id: HashMap<String, Style> =
            entries.keys().map(|id| (id.clone(), resolved(id, &entries, &defaults))).collect();
        let normal = normal.and_then(|id| by_id.get(&id).cloned());
        Self { normal: normal.unwrap_or_else(|| Style { run: defaults, ..Style::default() }), by_id }
    }

    /// The style with this id. A paragraph without a known style has the default one.
    pub(super) fn paragraph(&self, id: Option<&str>) -> Style {
        id.and_then(|id| self.by_id.get(id)).unwrap_or(&self.normal).clone()
    }

    /// What the style with this id says about runs.
    pub(super) fn run(&self, id: &str) -> RunProperties {
        self.by_id.get(id).map(|style| style.run.clone()).unwrap_or_default()
    }
}

impl Entry {
    fn of(style: Node<'_>) -> Self {
        let paragraph = style.child("pPr");
        let numbering = paragraph.and_then(|properties| properties.child("numPr"));
        Self {
            name: style.val("name").unwrap_or_default().to_lowercase(),
            based_on: style.val("basedOn").map(|id| id.into_owned()),
            outline: paragraph.and_then(|properties| properties.child("outlineLvl")?.number("val")),
            numbering: numbering.and_then(|numbering| Some(numbering.val("numId")?.into_owned())),
            level: numbering.and_then(|numbering| numbering.child("ilvl")?.number("val")),
            run: style.child("rPr").map(RunProperties::of).unwrap_or_default(),
        }
    }

    /// The level of a heading; `Some(None)`: the style says that it is none.
    fn heading(&self) -> Option<Option<u8>> {
        match (heading_of_name(&self.name), self.outline) {
            (_, Some(outline @ 0..=8)) => Some(Some(outline + 1)),
            (Some(level), _) => Some(Some(level)),
            (None, Some(_)) => Some(None),
            (None, None) => None,
        }
    }
}

fn resolved(id: &str, entries: &HashMap<String, Entry>, defaults: &RunProperties) -> Style {
    let mut style = Style::default();
    let mut heading = None;
    let mut next = Some(id);
    for _ in 0..MAX_CHAIN {
        let Some((id, entry)) = next.and_then(|id| entries.get_key_value(id)) else { break };
        heading = heading.or_else(|| entry.heading());
        style.level = style.level.or(entry.level);
        style.named_level = style.named_level.or_else(|| list_level_of_name(&entry.name));
        if style.numbering.is_none() && entry.numbering.is_some() {
            style.numbering.clone_from(&entry.numbering);
            style.numbered_by.clone_from(id);
        }
        style.run = style.run.over(&entry.run);
        next = entry.based_on.as_deref();
    }
    style.run = style.run.over(defaults);
    style.heading = heading.flatten();
    style
}

/// Names of heading styles, in small letters, before their number.
const HEADING_NAMES: [&str; 30] = [
    "heading",
    "überschrift",
    "titre",
    "título",
    "titulo",
    "titolo",
    "kop",
    "rubrik",
    "overskrift",
    "otsikko",
    "nagłówek",
    "nadpis",
    "заголовок",
    "başlık",
    "címsor",
    "titlu",
    "επικεφαλίδα",
    "заглавие",
    "naslov",
    "antraštė",
    "virsraksts",
    "pealkiri",
    "标题",
    "標題",
    "見出し",
    "제목",
    "כותרת",
    "عنوان",
    "tiêu đề",
    "encabezado",
];

/// The level of a heading style by its name in small letters, in any language that Word has it in.
fn heading_of_name(name: &str) -> Option<u8> {
    match name {
        "title" | "toc heading" => return Some(1),
        _ => {}
    }
    let words = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let level: u8 = name[words.len()..].parse().ok()?;
    ((1..=9).contains(&level) && HEADING_NAMES.contains(&words.trim_end())).then_some(level)
}

/// Lists of Word's own styles have a numbering for each level; their names say the level.
fn list_level_of_name(name: &str) -> Option<u8> {
    let rest = name.strip_prefix("list bullet").or_else(|| name.strip_prefix("list number"))?;
    match rest.trim() {
        "" => Some(0),
        number => number.parse::<u8>().ok()?.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reading::xml::Tree;

    #[test]
    fn styles_inherit_and_headings_are_known_by_name_or_outline() {
        let xml = "<w:styles><w:docDefaults><w:rPrDefault><w:rPr><w:i/></w:rPr></w:rPrDefault></w:docDefaults>\
            <w:style w:type='paragraph' w:default='1' w:styleId='N'><w:name w:val='Normal'/></w:style>\
            <w:style w:styleId='b1'><w:name w:val='Überschrift 1'/><w:rPr><w:vanish/></w:rPr></w:style>\
            <w:style w:styleId='mine'><w:name w:val='Mine'/><w:basedOn w:val='b1'/><w:rPr><w:i w:val='0'/></w:rPr></w:style>\
            <w:style w:styleId='o'><w:name w:val='Clause'/><w:pPr><w:outlineLvl w:val='2'/></w:pPr></w:style>\
            <w:style w:styleId='off'><w:basedOn w:val='o'/><w:pPr><w:outlineLvl w:val='9'/></w:pPr></w:style>\
            <w:style w:styleId='c'><w:basedOn w:val='c'/></w:style></w:styles>";
        let styles = Styles::of(Tree::parse(xml).unwrap().root());
        let mine = styles.paragraph(Some("mine"));
        assert_eq!((mine.heading, mine.run.hidden, mine.run.italic), (Some(1), Some(true), Some(false)));
        assert_eq!(styles.paragraph(Some("o")).heading, Some(3));
        assert_eq!(styles.paragraph(Some("off")).heading, None);
        assert_eq!(styles.paragraph(Some("c")).heading, None);
        assert_eq!(styles.paragraph(None).run.italic, Some(true));
    }
}
