//! Styles of an OpenDocument file, each with what it inherits.

use std::collections::{HashMap, HashSet};

use super::lists::ListStyle;
use reading::{
    building::line::{Look, Raised},
    xml::Node,
};

/// A style rests on another one, and that on a third, at most this many times.
const MAX_CHAIN: usize = 30;

/// What a style says about text; `None` where it says nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    parent: Option<String>,
    bold: Option<bool>,
    italic: Option<bool>,
    struck: Option<bool>,
    raised: Option<Raised>,
    pub(super) hidden: Option<bool>,
    /// Whether it is the style of the document's title, or rests on it.
    pub(super) is_title: bool,
    pub(super) list: Option<String>,
    /// Whether a slide is hidden, and whether it shows its footer.
    pub(super) hides_slide: Option<bool>,
    pub(super) shows_footer: Option<bool>,
}

/// All styles.
#[derive(Debug, Default)]
pub(super) struct Styles {
    /// By family and name.
    by_name: HashMap<(String, String), Style>,
    pub(super) lists: HashMap<String, ListStyle>,
    pub(super) outline: ListStyle,
}

impl Styles {
    /// The styles in these elements; a later one wins.
    pub(super) fn of(groups: &[Option<Node<'_>>]) -> Self {
        let mut styles = Self::default();
        for style in groups.iter().flatten().flat_map(|group| group.children()) {
            let name = style.attr("name").unwrap_or_default().into_owned();
            match style.name() {
                "style" => {
                    let family = style.attr("family").unwrap_or_default().into_owned();
                    styles.by_name.insert((family, name), Style::of(style));
                }
                "list-style" => drop(styles.lists.insert(name, ListStyle::of(style))),
                "outline-style" => styles.outline = ListStyle::of(style),
                _ => {}
            }
        }
        styles
    }

    /// The style with what it inherits.
    pub(super) fn get(&self, family: &str, name: &str) -> Style {
        let mut found = Style::default();
        let mut next = Some(name.to_owned());
        for _ in 0..MAX_CHAIN {
            let Some(style) = next.take().and_then(|name| self.by_name.get(&(family.to_owned(), name))) else { break };
            found = found.over(style);
            next.clone_from(&style.parent);
        }
        found
    }
}

impl Style {
    fn of(style: Node<'_>) -> Self {
        let text = style.child("text-properties");
        let said = |name| text.and_then(|text| text.attr(name));
        let page = style.child("drawing-page-properties");
        Self {
            parent: style.attr("parent-style-name").map(|name| name.into_owned()),
            bold: said("font-weight")
                .map(|weight| weight == "bold" || weight.parse().is_ok_and(|weight: u32| weight > 500)),
            italic: said("font-style").map(|style| style != "normal"),
            struck: said("text-line-through-style")
                .or_else(|| said("text-line-through-type"))
                .map(|style| style != "none"),
            raised: said("text-position").map(|position| {
                match position.split_whitespace().next().unwrap_or_default() {
                    "super" => Raised::Up,
                    "sub" => Raised::Down,
                    part if part.starts_with('-') => Raised::Down,
                    part if part.trim_end_matches('%').parse().is_ok_and(|part: f64| part > 0.0) => Raised::Up,
                    _ => Raised::No,
                }
            }),
            is_title: style.attr("name").as_deref() == Some("Title"),
            hidden: said("display").map(|display| display == "none"),
            list: style.attr("list-style-name").map(|name| name.into_owned()),
            hides_slide: page.and_then(|page| page.attr("visibility")).map(|visibility| visibility == "hidden"),
            shows_footer: page.and_then(|page| page.flag("display-footer")),
        }
    }

    fn over(self, base: &Self) -> Self {
        Self {
            parent: None,
            bold: self.bold.or(base.bold),
            italic: self.italic.or(base.italic),
            struck: self.struck.or(base.struck),
            raised: self.raised.or(base.raised),
            hidden: self.hidden.or(base.hidden),
            is_title: self.is_title || base.is_title,
            list: self.list.or_else(|| base.list.clone()),
            hides_slide: self.hides_slide.or(base.hides_slide),
            shows_footer: self.shows_footer.or(base.shows_footer),
        }
    }

    /// How text in this style looks within text that looks like `around`.
    pub(super) fn look(&self, around: Look) -> Look {
        Look {
            bold: self.bold.unwrap_or(around.bold),
            italic: self.italic.unwrap_or(around.italic),
            struck: self.struck.unwrap_or(around.struck),
            raised: self.raised.unwrap_or(around.raised),
        }
    }
}

/// The page styles that the text uses: the first, those that its styles name, and those that follow them.
pub(super) fn used_pages<'t>(content: Node<'_>, styles: Node<'t>) -> Vec<Node<'t>> {
    let pages: Vec<Node<'t>> =
        styles.child("master-styles").into_iter().flat_map(|pages| pages.all("master-page")).collect();
    let named = |page: &Node<'_>| page.attr("name").unwrap_or_default().into_owned();
    let groups = [content.child("automatic-styles"), styles.child("styles")];
    let mut used: HashSet<String> = groups
        .iter()
        .flatten()
        .flat_map(|group| group.children())
        .filter_map(|style| style.attr("master-page-name").map(|name| name.into_owned()))
        .collect();
    let standard = pages.iter().find(|page| named(page) == "Standard").or_else(|| pages.first());
    used.extend(standard.map(named));
    let mut follow: Vec<String> = used.iter().cloned().collect();
    while let Some(name) = follow.pop() {
        let page = pages.iter().find(|page| named(page) == name);
        if let Some(next) = page.and_then(|page| page.attr("next-style-name")).map(|next| next.into_owned())
            && used.insert(next.clone())
        {
            follow.push(next);
        }
    }
    pages.into_iter().filter(|page| used.contains(&named(page))).collect()
}
