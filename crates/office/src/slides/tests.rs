use domain::{
    document::{Document, LeftOut, Notice},
    ports::ParseLimits,
};

use super::read;
use crate::testing::{archive, relationships};
use reading::{fault::Fault, render::tidy_markdown};

const LIMITS: ParseLimits =
    ParseLimits { max_pages: 3, memory_bytes: 0, time: std::time::Duration::ZERO, output_bytes: 0 };

/// A presentation of these slides, each the attributes of the slide and its shapes. Slide 1 is related to `parts`, the
/// kinds, names and texts of other parts.
fn presentation(slides: &[(&str, String)], parts: &[(&str, &str, &str)]) -> Vec<u8> {
    let ids: String = (0..slides.len()).map(|at| format!("<p:sldId id='25{at}' r:id='r{at}'/>")).collect();
    let main = format!("<p:presentation><p:sldIdLst>{ids}</p:sldIdLst><p:sldSz cx='1000' cy='1000'/></p:presentation>");
    let mut files = vec![
        ("_rels/.rels".to_owned(), relationships(&[("officeDocument", "deck/main.xml")])),
        ("deck/main.xml".to_owned(), main),
    ];
    let names: Vec<String> = (1..=slides.len()).map(|number| format!("slide{number}.xml")).collect();
    let mut links: Vec<(&str, &str)> = names.iter().map(|name| ("slide", name.as_str())).collect();
    links.extend(parts.iter().filter(|(kind, ..)| *kind == "commentAuthors").map(|(kind, name, _)| (*kind, *name)));
    files.push(("deck/_rels/main.xml.rels".into(), relationships(&links)));
    for (name, (attributes, shapes)) in names.iter().zip(slides) {
        let xml = format!("<p:sld {attributes}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>");
        files.push((format!("deck/{name}"), xml));
    }
    let links: Vec<(&str, &str)> = parts.iter().map(|(kind, name, _)| (*kind, *name)).collect();
    files.push(("deck/_rels/slide1.xml.rels".into(), relationships(&links)));
    files.extend(parts.iter().map(|(_, name, text)| (format!("deck/{name}"), (*text).to_owned())));
    archive(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

fn read_slide(shapes: &str, parts: &[(&str, &str, &str)]) -> Document {
    read(&presentation(&[("", shapes.to_owned())], parts), &LIMITS).unwrap()
}

fn markdown(shapes: &str) -> String {
    tidy_markdown(&read_slide(shapes, &[]))
}

fn frame(left: u32, top: u32) -> String {
    format!("<a:xfrm><a:off x='{left}' y='{top}'/><a:ext cx='100' cy='100'/></a:xfrm>")
}

fn paragraph(properties: &str, text: &str) -> String {
    format!("<a:p>{properties}<a:r><a:t>{text}</a:t></a:r></a:p>")
}

fn shape(placeholder: &str, place: &str, paragraphs: &str) -> String {
    format!(
        "<p:sp><p:nvSpPr><p:cNvPr id='2' name='S'/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr><p:spPr>{place}</p:spPr>\
         <p:txBody>{paragraphs}</p:txBody></p:sp>"
    )
}

#[test]
fn shapes_are_read_by_their_places_and_the_title_first() {
    let shapes = [
        shape("", &frame(500, 300), &paragraph("", "right")),
        shape("", &frame(0, 700), &paragraph("", "bottom")),
        shape("<p:ph type='title'/>", &frame(0, 900), &paragraph("", "Plan")),
        shape("", &frame(0, 301), &paragraph("", "left")),
        shape("<p:ph type='sldNum'/>", &frame(900, 900), &paragraph("", "1")),
    ];
    let document = read_slide(&shapes.concat(), &[]);
    assert_eq!(tidy_markdown(&document), "<!-- page 1 -->\n\n## Plan\n\nleft\n\nright\n\nbottom\n");
    let place = document.blocks[1].boxes[0];
    assert_eq!((place.page, place.left, place.top, place.right), (1, 0.0, 0.9, 0.1));
}

#[test]
fn a_group_is_read_as_one_where_it_stands() {
    let place = "<a:xfrm><a:off x='0' y='500'/><a:ext cx='400' cy='400'/><a:chOff x='0' y='0'/><a:chExt cx='200' cy='200'/></a:xfrm>";
    let group = format!(
        "<p:grpSp><p:nvGrpSpPr><p:cNvPr id='1' name=''/></p:nvGrpSpPr><p:grpSpPr>{place}</p:grpSpPr>{}{}</p:grpSp>",
        shape("", &frame(0, 100), &paragraph("", "second")),
        shape("", &frame(0, 0), &paragraph("", "first"))
    );
    let above = shape("", &frame(0, 100), &paragraph("", "above"));
    assert_eq!(markdown(&format!("{group}{above}")), "<!-- page 1 -->\n\nabove\n\nfirst\n\nsecond\n");
}

#[test]
fn bullets_come_from_the_paragraph_the_layout_or_the_master() {
    let numbered = |text| paragraph("<a:pPr lvl='1'><a:buAutoNum type='alphaLcParenR'/></a:pPr>", text);
    let body = [
        paragraph("", "a"),
        numbered("b"),
        numbered("c"),
        paragraph("<a:pPr><a:buNone/></a:pPr>", "plain"),
        paragraph("", "d"),
    ];
    let shapes = shape("<p:ph idx='1'/>", "", &body.concat());
    let layout = format!(
        "<p:sldLayout><p:cSld><p:spTree>{}{}</p:spTree></p:cSld></p:sldLayout>",
        shape(
            "<p:ph idx='1'/>",
            &frame(0, 0),
            "<a:lstStyle><a:lvl1pPr><a:buChar char='x'/></a:lvl1pPr></a:lstStyle><a:p/>"
        ),
        shape("", "", &paragraph("", "Company"))
    );
    let prompt = layout.replace("<a:p/>", &paragraph("", "Click to edit"));
    let document = read_slide(&shapes, &[("slideLayout", "layout.xml", &prompt)]);
    assert_eq!(tidy_markdown(&document), "<!-- page 1 -->\n\n- a\n  - a) b\n  - b) c\n\nplain\n\n- d\n\nCompany\n");
}

#[test]
fn hidden_slides_and_shapes_are_left_out_and_counted() {
    let text = |words| shape("", "", &paragraph("", words));
    let away = shape("", &frame(2000, 0), &paragraph("", "away"));
    let slides = [("", text("one")), ("show='0'", text("draft")), ("", text("three") + &away)];
    let document = read(&presentation(&slides, &[]), &LIMITS).unwrap();
    assert_eq!(tidy_markdown(&document), "<!-- page 1 -->\n\none\n\n<!-- page 3 -->\n\nthree\n");
    assert_eq!(document.pages, 3);
    let left_out = |what| Notice::LeftOut { what, count: 1 };
    assert_eq!(document.notices, [left_out(LeftOut::HiddenSlides), left_out(LeftOut::HiddenText)]);
    let limits = ParseLimits { max_pages: 2, ..LIMITS };
    assert_eq!(read(&presentation(&slides, &[]), &limits), Err(Fault::PageLimit { limit: 2, actual: 3 }));
}

#[test]
fn a_missing_slide_is_a_failed_page() {
    let main = "<p:presentation><p:sldIdLst><p:sldId r:id='r0'/></p:sldIdLst></p:presentation>";
    let links = relationships(&[("slide", "gone.xml")]);
    let package = relationships(&[("officeDocument", "main.xml")]);
    let bytes = archive(&[("_rels/.rels", &package), ("main.xml", main), ("_rels/main.xml.rels", &links)]);
    let document = read(&bytes, &LIMITS).unwrap();
    assert_eq!(document.notices, [Notice::FailedPages { pages: vec![1], count: 1 }]);
}

#[test]
fn cells_notes_and_comments_are_read() {
    let cell = |attributes: &str, text: &str| {
        format!("<a:tc {attributes}><a:txBody>{}</a:txBody></a:tc>", paragraph("", text))
    };
    let table = format!(
        "<p:graphicFrame><p:xfrm/><a:graphic><a:graphicData><a:tbl><a:tr>{}{}</a:tr><a:tr>{}{}</a:tr></a:tbl></a:graphicData>\
         </a:graphic></p:graphicFrame>",
        cell("gridSpan='2'", "Score"),
        cell("hMerge='1'", ""),
        cell("", "3"),
        cell("", "1")
    );
    let notes = format!(
        "<p:notes><p:cSld><p:spTree>{}{}</p:spTree></p:cSld></p:notes>",
        shape("<p:ph type='body' idx='1'/>", "", &paragraph("", "Smile.")),
        shape("<p:ph type='sldNum'/>", "", &paragraph("", "1"))
    );
    let comments = "<p:cmLst><p:cm authorId='0'><p:text>Cap it.</p:text></p:cm></p:cmLst>";
    let authors = "<p:cmAuthorLst><p:cmAuthor id='0' name='Ann'/></p:cmAuthorLst>";
    let parts = [
        ("notesSlide", "n.xml", notes.as_str()),
        ("comments", "c.xml", comments),
        ("commentAuthors", "a.xml", authors),
    ];
    assert_eq!(
        tidy_markdown(&read_slide(&table, &parts)),
        "<!-- page 1 -->\n\nScore\n\n| 3 | 1 |\n| --- | --- |\n\n> Comment (Ann): Cap it.\n\n> Notes: Smile.\n"
    );
}
