//! What stands in a paragraph: runs of text, links, equations, marks of notes.

use domain::document::{AsideKind, Block, BlockKind, Inline};

use super::{Reader, styles::RunProperties};
use crate::ooxml::{self, math};
use reading::{
    building::{
        line::{Line, Look, Raised},
        number::Format,
    },
    fault::Fault,
    symbols,
    xml::Node,
};

/// A paragraph under construction.
#[derive(Default)]
pub(super) struct Paragraph {
    pub(super) line: Line,
    /// Text boxes, pictures and charts that are anchored in it.
    pub(super) anchored: Vec<Block>,
    /// What its style says about runs.
    pub(super) style: RunProperties,
    /// Text that was left out.
    pub(super) hidden: usize,
}

impl Reader<'_, '_> {
    /// Reads the runs in `node`.
    pub(super) fn runs(&mut self, node: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        if self.deeper() {
            for child in node.children() {
                self.inline(child, to)?;
            }
        } else {
            to.line.text(Look::default(), &node.text());
        }
        self.depth -= 1;
        Ok(())
    }

    fn inline(&mut self, node: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        match node.name() {
            "r" => self.run(node, to)?,
            "pPr" | "del" | "moveFrom" | "sdtPr" | "sdtEndPr" | "rPr" | "smartTagPr" | "customXmlPr" => {}
            "hyperlink" => {
                let link = node.attr("id").and_then(|id| self.link(&id)).map(|link| link.target);
                let anchor = node.attr("anchor").map(|anchor| format!("#{anchor}")).unwrap_or_default();
                self.targets.push(format!("{}{anchor}", link.unwrap_or_default()).into());
                to.line.link = self.targets.last().cloned();
                self.runs(node, to)?;
                self.targets.pop();
                to.line.link = self.targets.last().cloned();
            }
            "fldSimple" => {
                self.simple_field(&node.attr("instr").unwrap_or_default(), &mut to.line);
                self.runs(node, to)?;
                self.end_simple_field(&mut to.line);
            }
            "oMath" => {
                let latex = math::latex(node);
                if !latex.is_empty() && self.is_shown() {
                    to.line.push(Inline::Formula(latex));
                }
            }
            "oMathPara" => {
                for (at, math) in node.all("oMath").enumerate() {
                    if at > 0 {
                        to.line.push(Inline::LineBreak);
                    }
                    self.inline(math, to)?;
                }
            }
            "commentRangeEnd" => self.comment(&node.attr("id").unwrap_or_default()),
            "AlternateContent" => self.alternate(node, to, Self::runs)?,
            _ => self.runs(node, to)?,
        }
        Ok(())
    }

    /// Reads the first branch that gives something.
    pub(super) fn alternate(
        &mut self,
        node: Node<'_>,
        to: &mut Paragraph,
        read: fn(&mut Self, Node<'_>, &mut Paragraph) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut done = Ok(());
        ooxml::choose(node, |branch| {
            let before = (to.line.additions, to.anchored.len());
            done = read(self, branch, to);
            done.is_err() || before != (to.line.additions, to.anchored.len())
        });
        done
    }

    fn run(&mut self, run: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        let own = run.child("rPr").map(|properties| {
            let of_style = properties.val("rStyle").map(|id| self.styles.run(&id)).unwrap_or_default();
            RunProperties::of(properties).over(&of_style)
        });
        let own = own.unwrap_or_default();
        let look = Look {
            bold: own.bold.unwrap_or(false),
            italic: own.italic.unwrap_or(false),
            struck: own.struck.or(to.style.struck).unwrap_or(false),
            raised: match own.raised.as_deref() {
                Some("superscript") => Raised::Up,
                Some("subscript") => Raised::Down,
                _ => Raised::No,
            },
        };
        let hidden = own.hidden.or(to.style.hidden).unwrap_or(false);
        let font = own.font.as_deref().or(to.style.font.as_deref()).unwrap_or_default().to_owned();
        let mut left_out = false;
        for child in run.children() {
            match child.name() {
                "fldChar" => self.field_mark(child, &mut to.line),
                "instrText" => self.field_code(&child.text()),
                "rPr" | "delText" | "delInstrText" => {}
                _ if !self.is_shown() => {}
                _ if hidden => left_out |= matches!(child.name(), "t" | "drawing" | "pict" | "object" | "sym"),
                _ => self.part_of_run(child, run, look, &font, to)?,
            }
        }
        to.hidden += usize::from(left_out);
        Ok(())
    }

    fn part_of_run(
        &mut self,
        node: Node<'_>,
        run: Node<'_>,
        look: Look,
        font: &str,
        to: &mut Paragraph,
    ) -> Result<(), Fault> {
        match node.name() {
            "t" => to.line.text(look, &symbols::text_shown(font, &node.text())),
            "tab" | "ptab" => to.line.text(look, "\t"),
            "br" | "cr" => to.line.push(Inline::LineBreak),
            "noBreakHyphen" => to.line.text(look, "\u{2011}"),
            "sym" => {
                let code = node.attr("char").and_then(|code| u32::from_str_radix(&code, 16).ok()).unwrap_or(0);
                let font = node.attr("font").unwrap_or_default();
                let sign = symbols::shown(&font, code).or_else(|| char::from_u32(code)).map(String::from);
                to.line.text(look, &sign.unwrap_or_default());
            }
            "ruby" => {
                let runs = |name| node.child(name).map(Node::text).unwrap_or_default();
                let (words, above) = (runs("rubyBase"), runs("rt"));
                to.line.text(look, &if above.is_empty() { words } else { format!("{words}({above})") });
            }
            "footnoteReference" | "endnoteReference" => self.note(node, run, to),
            "commentReference" => self.comment(&node.attr("id").unwrap_or_default()),
            "drawing" | "pict" | "object" => self.drawing(node, to)?,
            "AlternateContent" => self.alternate(node, to, Self::drawing)?,
            _ => {}
        }
        Ok(())
    }

    /// The mark of a footnote or endnote; the note waits for the end of its block.
    fn note(&mut self, mark: Node<'_>, run: Node<'_>, to: &mut Paragraph) {
        let id = mark.attr("id").unwrap_or_default();
        let is_footnote = mark.is("footnoteReference");
        let notes = if is_footnote { &mut self.footnotes } else { &mut self.endnotes };
        let Some(note) = notes.remove(&*id) else { return };
        let own_mark = mark.flag("customMarkFollows") == Some(true);
        let label = match run.child("t").map(Node::text).filter(|_| own_mark) {
            Some(sign) => sign.trim().to_owned(),
            None if is_footnote => {
                self.footnotes_seen += 1;
                self.footnotes_seen.to_string()
            }
            None => {
                self.endnotes_seen += 1;
                Format::LowerRoman.write(self.endnotes_seen)
            }
        };
        to.line.push(Inline::NoteRef(label.clone()));
        self.waiting.push(BlockKind::Footnote { label, blocks: note.blocks }.into());
    }

    /// The mark of a comment, which has several; the comment is read at the first.
    pub(super) fn comment(&mut self, id: &str) {
        if let Some(note) = self.comments.remove(id) {
            self.waiting.push(BlockKind::Aside { kind: AsideKind::Comment, by: note.by, blocks: note.blocks }.into());
        }
    }
}
