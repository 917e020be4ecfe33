//! Presentations: each slide a page, its shapes by their places, the title first.

use std::{collections::HashSet, rc::Rc};

use domain::{
    document::{AsideKind, Block, BlockKind, Inline},
    ports::ParseLimits,
};

use super::{Reader, styles::Styles};
use crate::slides::order::{Frame, sorted};
use reading::{fault::Fault, limits::check_pages, xml::Node};

impl Reader<'_, '_> {
    /// The blocks of a presentation and the number of its slides.
    pub(super) fn presentation(
        &mut self,
        presentation: Node<'_>,
        styles: Node<'_>,
        master_styles: &Rc<Styles>,
        limits: &ParseLimits,
    ) -> Result<(Vec<Block>, u32), Fault> {
        let slides: Vec<Node<'_>> = presentation.all("page").collect();
        let pages = check_pages(limits, slides.len())?;
        let masters: Vec<Node<'_>> =
            styles.child("master-styles").into_iter().flat_map(|masters| masters.all("master-page")).collect();
        let mut shown = HashSet::new();
        let mut blocks = Vec::new();
        for (number, slide) in (1..).zip(slides) {
            let style = self.styles.get("drawing-page", &slide.attr("style-name").unwrap_or_default());
            if style.hides_slide == Some(true) {
                self.hidden_slides += 1;
                continue;
            }
            blocks.push(Block::page(number));
            blocks.extend(self.slide(slide)?);
            let master = slide.attr("master-page-name");
            let master = masters.iter().find(|own| own.attr("name") == master);
            if style.shows_footer == Some(true) {
                let name = slide.attr("use-footer-name");
                let named =
                    presentation.all("footer-decl").find(|footer| name.is_some() && footer.attr("name") == name);
                let is_footer = |shape: &Node<'_>| shape.attr("class").as_deref() == Some("footer");
                let footer = named.or_else(|| master?.children().find(is_footer));
                blocks.extend(footer.map(|footer| Block::paragraph(footer.text())));
            }
            if let Some(master) = master
                && shown.insert(master.attr("name"))
            {
                let own = std::mem::replace(&mut self.styles, master_styles.clone());
                for shape in master.children().filter(|shape| shape.attr("class").is_none() && !shape.is("notes")) {
                    blocks.extend(self.placed(shape)?.1);
                }
                self.styles = own;
            }
            blocks.append(&mut self.waiting);
            if let Some(notes) = slide.child("notes") {
                blocks.extend(self.notes(notes)?);
            }
        }
        Ok((blocks, pages))
    }

    fn slide(&mut self, slide: Node<'_>) -> Result<Vec<Block>, Fault> {
        let mut title = Vec::new();
        let mut shapes = Vec::new();
        for shape in slide.children() {
            match shape.name() {
                "notes" | "forms" | "animations" | "par" => continue,
                "annotation" => {
                    self.annotation(shape)?;
                    continue;
                }
                _ => {}
            }
            let class = shape.attr("class").unwrap_or_default();
            if shape.flag("placeholder") == Some(true) || class == "page-number" {
                continue;
            }
            let (frame, blocks) = self.placed(shape)?;
            if class == "title" && title.is_empty() {
                title.extend(heading(blocks));
            } else if !blocks.is_empty() {
                shapes.push((frame, blocks));
            }
        }
        title.extend(sorted(shapes).into_iter().flatten());
        Ok(title)
    }

    /// The blocks of a shape and its place.
    fn placed(&mut self, shape: Node<'_>) -> Result<(Option<Frame>, Vec<Block>), Fault> {
        let frame = frame_of(shape).or_else(|| shape.descendants().filter_map(frame_of).reduce(Frame::around));
        Ok((frame, self.shape(shape)?))
    }

    fn notes(&mut self, notes: Node<'_>) -> Result<Option<Block>, Fault> {
        let mut blocks = Vec::new();
        for frame in notes.all("frame") {
            let is_notes = frame.attr("class").is_none_or(|class| class == "notes");
            if is_notes && frame.flag("placeholder") != Some(true) {
                blocks.extend(self.shape(frame)?);
            }
        }
        let notes = |blocks| BlockKind::Aside { kind: AsideKind::SpeakerNotes, by: String::new(), blocks }.into();
        Ok((!blocks.is_empty()).then(|| notes(blocks)))
    }
}

/// The paragraphs of a title as one heading, and what else the title holds.
fn heading(blocks: Vec<Block>) -> Vec<Block> {
    let (mut text, mut rest): (Vec<Inline>, Vec<Block>) = (Vec::new(), Vec::new());
    for block in blocks {
        match block.kind {
            BlockKind::Paragraph(line) | BlockKind::Heading { text: line, .. } => {
                if !text.is_empty() {
                    text.push(Inline::LineBreak);
                }
                text.extend(line);
            }
            _ => rest.push(block),
        }
    }
    if !text.is_empty() {
        rest.insert(0, BlockKind::Heading { level: 2, text }.into());
    }
    rest
}

/// Where a shape stands, in millimetres.
fn frame_of(shape: Node<'_>) -> Option<Frame> {
    let length = |name| millimetres(&shape.attr(name)?);
    let (left, top) = (length("x")?, length("y")?);
    Some(Frame {
        left,
        top,
        right: left + length("width").unwrap_or(0.0),
        bottom: top + length("height").unwrap_or(0.0),
    })
}

fn millimetres(length: &str) -> Option<f64> {
    let number = length.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &length[number.len()..] {
        "cm" => 10.0,
        "in" => 25.4,
        "pt" => 25.4 / 72.0,
        "pc" => 25.4 / 6.0,
        "px" => 25.4 / 96.0,
        _ => 1.0,
    };
    Some(number.trim().parse::<f64>().ok()? * unit)
}
