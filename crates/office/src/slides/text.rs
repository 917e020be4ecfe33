//! The text of a shape: paragraphs and list items.

use domain::document::{Block, BlockKind, Inline};

use super::{
    Reader,
    layouts::{Bullet, Bullets},
};
use crate::ooxml::{self, math};
use reading::{
    building::{
        flow::Flow,
        line::{Line, Look, Raised},
    },
    symbols,
    xml::Node,
};

impl Reader<'_, '_> {
    /// The blocks of a text body. `inherited` are the bullets that it inherits, the nearest first.
    pub(super) fn text(&self, body: Node<'_>, inherited: &[Bullets]) -> Vec<Block> {
        let own = Bullets::of(body.child("lstStyle"));
        let mut flow = Flow::default();
        let mut counts = Counts::default();
        for paragraph in body.all("p") {
            let properties = paragraph.child("pPr");
            let level = properties.and_then(|properties| properties.number("lvl")).unwrap_or(0_u8).min(8);
            let at = usize::from(level);
            let line = self.line(paragraph);
            if line.is_blank() {
                continue;
            }
            let bullet = properties.and_then(Bullet::of);
            let bullet = bullet
                .as_ref()
                .or_else(|| own.at(at))
                .or_else(|| inherited.iter().find_map(|bullets| bullets.at(at)))
                .unwrap_or(&Bullet::None);
            let block = Block::from(BlockKind::Paragraph(line.finish()));
            match bullet {
                Bullet::None => {
                    counts.stop(at);
                    flow.push(block);
                }
                Bullet::Sign => {
                    counts.stop(at);
                    flow.item(level, None, vec![block]);
                }
                Bullet::Number { format, before, after, start } => {
                    let number = counts.next(at, bullet, *start);
                    flow.item(level, Some(format!("{before}{}{after}", format.write(number))), vec![block]);
                }
            }
        }
        flow.finish()
    }

    /// The text of a body on one line, as a title has it.
    pub(super) fn title(&self, body: Node<'_>) -> Vec<Inline> {
        let mut text: Vec<Inline> = Vec::new();
        for paragraph in body.all("p") {
            let line = self.line(paragraph);
            if line.is_blank() {
                continue;
            }
            if !text.is_empty() {
                text.push(Inline::LineBreak);
            }
            text.extend(line.without_emphasis().finish());
        }
        text
    }

    fn line(&self, paragraph: Node<'_>) -> Line {
        let mut line = Line::default();
        self.runs(paragraph, &mut line);
        line
    }

    fn runs(&self, node: Node<'_>, line: &mut Line) {
        for run in node.children() {
            match run.name() {
                "r" => self.run(run, line),
                "fld" if run.attr("type").as_deref() == Some("slidenum") => {}
                "fld" => self.run(run, line),
                "br" => line.push(Inline::LineBreak),
                "m" => {
                    for math in run.descendants().filter(|node| node.is("oMath")) {
                        line.push(Inline::Formula(math::latex(math)));
                    }
                }
                "AlternateContent" => ooxml::choose(run, |branch| {
                    let before = line.additions;
                    // Branches hold no other alternatives, so this ends.
                    for child in branch.children().filter(|child| !child.is("AlternateContent")) {
                        match child.name() {
                            "r" | "fld" => self.run(child, line),
                            _ => child.descendants().filter(|node| node.is("oMath")).for_each(|math| {
                                line.push(Inline::Formula(math::latex(math)));
                            }),
                        }
                    }
                    line.additions != before
                }),
                _ => {}
            }
        }
    }

    fn run(&self, run: Node<'_>, line: &mut Line) {
        let Some(text) = run.child("t").map(Node::text) else { return };
        let properties = run.child("rPr");
        let flag = |name| properties.and_then(|properties| properties.flag(name)).unwrap_or(false);
        let raised: i64 = properties
            .and_then(|properties| properties.attr("baseline"))
            .map_or(0, |value| value.trim_end_matches('%').parse().unwrap_or(0));
        let struck = properties.and_then(|properties| properties.attr("strike")).is_some_and(|kind| kind != "noStrike");
        let look = Look {
            bold: flag("b"),
            italic: flag("i"),
            struck,
            raised: match raised {
                0 => Raised::No,
                1.. => Raised::Up,
                _ => Raised::Down,
            },
        };
        let child = |name| properties.and_then(|properties| properties.child(name));
        let font = |name| child(name).and_then(|font| font.attr("typeface")).unwrap_or_default();
        // The font for symbols holds only for characters of the private area.
        let private = |c: char| ('\u{f000}'..='\u{f0ff}').contains(&c);
        let font = if text.contains(private) && child("sym").is_some() { font("sym") } else { font("latin") };
        let target = child("hlinkClick").and_then(|link| link.prefixed("id"));
        let target = target.and_then(|id| self.link(&id)).filter(|link| link.external);
        line.link = target.map(|link| link.target.as_str().into());
        // Some programs write line ends within a run.
        for (at, part) in symbols::text_shown(&font, &text).split(['\n', '\u{b}']).enumerate() {
            if at > 0 {
                line.push(Inline::LineBreak);
            }
            line.text(look, part);
        }
        line.link = None;
    }
}

/// The numbers of automatic numbering in one text.
#[derive(Default)]
struct Counts {
    /// The last number of each level and its kind.
    levels: [Option<(Bullet, u32)>; 9],
}

impl Counts {
    /// The next number at a level. Another kind of number begins again.
    fn next(&mut self, level: usize, bullet: &Bullet, start: u32) -> u32 {
        self.levels.iter_mut().skip(level + 1).for_each(|deeper| *deeper = None);
        let Some(place) = self.levels.get_mut(level) else { return start };
        let next = match place {
            Some((kind, last)) if kind == bullet => last.saturating_add(1),
            _ => start,
        };
        *place = Some((bullet.clone(), next));
        next
    }

    /// A paragraph without a number at a level ends the count there and below.
    fn stop(&mut self, level: usize) {
        self.levels.iter_mut().skip(level).for_each(|deeper| *deeper = None);
    }
}
