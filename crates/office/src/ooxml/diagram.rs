//! Diagrams (SmartArt): their words as lists, in the order of the diagram.

use std::collections::{HashMap, HashSet};

use super::plain_text;
use domain::document::{Block, BlockKind, ListItem};
use reading::xml::Node;

/// Points nest down to this depth.
const MAX_DEPTH: usize = 50;

/// The points of a diagram.
struct Points<'t> {
    by_id: HashMap<String, Node<'t>>,
    children: HashMap<String, Vec<(u32, String)>>,
    seen: HashSet<String>,
}

/// The blocks of a diagram's data part.
pub(crate) fn blocks(model: Node<'_>) -> Vec<Block> {
    let mut by_id = HashMap::new();
    let mut ids = Vec::new();
    let mut roots = Vec::new();
    for point in model.path(&["ptLst"]).into_iter().flat_map(|list| list.all("pt")) {
        let id = point.attr("modelId").unwrap_or_default().into_owned();
        match point.attr("type").as_deref() {
            Some("doc") => roots.push(id.clone()),
            Some("pres" | "parTrans" | "sibTrans") => continue,
            _ => ids.push(id.clone()),
        }
        by_id.insert(id, point);
    }
    let mut children: HashMap<String, Vec<(u32, String)>> = HashMap::new();
    for link in model.path(&["cxnLst"]).into_iter().flat_map(|list| list.all("cxn")) {
        if matches!(link.attr("type").as_deref(), None | Some("parOf")) {
            let end = |name| link.attr(name).unwrap_or_default().into_owned();
            children.entry(end("srcId")).or_default().push((link.number("srcOrd").unwrap_or(0), end("destId")));
        }
    }
    let linked: HashSet<String> = children.values().flatten().map(|(_, id)| id.clone()).collect();
    children.values_mut().for_each(|points| points.sort_by_key(|(order, _)| *order));
    let mut points = Points { by_id, children, seen: HashSet::new() };
    let mut items: Vec<ListItem> = roots.iter().flat_map(|root| points.items(root, 0)).collect();
    // Points that no link leads to stand as the file has them.
    for id in ids.iter().filter(|id| !linked.contains(*id)) {
        items.extend(points.item(id, 0));
    }
    if items.is_empty() { Vec::new() } else { vec![BlockKind::List(items).into()] }
}

impl Points<'_> {
    /// The points below `parent`. Those of a point without words stand in its place.
    fn items(&mut self, parent: &str, depth: usize) -> Vec<ListItem> {
        let mut items = Vec::new();
        if depth > MAX_DEPTH || !self.seen.insert(parent.to_owned()) {
            return items;
        }
        for (_, id) in self.children.get(parent).cloned().unwrap_or_default() {
            items.extend(self.item(&id, depth + 1));
        }
        items
    }

    /// A point with those below it.
    fn item(&mut self, id: &str, depth: usize) -> Vec<ListItem> {
        let words = self.by_id.get(id).and_then(|point| point.child("t")).map(|body| {
            let lines: Vec<String> = body.all("p").map(plain_text).filter(|line| !line.trim().is_empty()).collect();
            lines.join("\n")
        });
        let below = self.items(id, depth);
        let Some(words) = words.filter(|words| !words.is_empty()) else { return below };
        let mut blocks = vec![Block::paragraph(words)];
        if !below.is_empty() {
            blocks.push(BlockKind::List(below).into());
        }
        vec![ListItem { marker: None, blocks }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reading::xml::Tree;

    #[test]
    fn points_stand_in_the_order_of_the_diagram_and_a_circle_ends() {
        let point = |id: &str, kind: &str, text: &str| {
            format!("<d:pt modelId='{id}' type='{kind}'><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>")
        };
        let link = |from: &str, to: &str, order: u32| format!("<d:cxn srcId='{from}' destId='{to}' srcOrd='{order}'/>");
        let xml = format!(
            "<d:dataModel><d:ptLst>{}{}{}{}{}</d:ptLst><d:cxnLst>{}{}{}{}</d:cxnLst></d:dataModel>",
            point("0", "doc", ""),
            point("b", "node", "second"),
            point("a", "node", "first"),
            point("c", "node", "below"),
            point("p", "pres", "no"),
            link("0", "b", 1),
            link("0", "a", 0),
            link("a", "c", 0),
            link("c", "a", 0)
        );
        let text = reading::render::tidy_markdown(&domain::document::Document {
            blocks: blocks(Tree::parse(&xml).unwrap().root()),
            ..Default::default()
        });
        assert!(text.starts_with("- first\n  - below\n"), "{text}");
        assert!(text.trim_end().ends_with("- second"), "{text}");
    }
}
