use domain::{
    document::{Document, LeftOut, Notice},
    ports::ParseLimits,
};

use super::read;
use crate::testing::archive;
use reading::{fault::Fault, render::tidy_markdown};

const LIMITS: ParseLimits =
    ParseLimits { max_pages: 0, memory_bytes: 0, time: std::time::Duration::ZERO, output_bytes: 0 };

fn read_content(automatic: &str, body: &str, styles: &str) -> Document {
    let content = format!(
        "<o:document-content><o:automatic-styles>{automatic}</o:automatic-styles><o:body>{body}</o:body></o:document-content>"
    );
    let styles = format!("<o:document-styles>{styles}</o:document-styles>");
    read(&archive(&[("content.xml", &content), ("styles.xml", &styles)]), &LIMITS).unwrap()
}

fn text(body: &str) -> String {
    tidy_markdown(&read_content("", &format!("<o:text>{body}</o:text>"), ""))
}

#[test]
fn paragraphs_keep_their_breaks_links_and_notes() {
    let body = "<text:h text:outline-level='2'>Tar</text:h><text:p>Pine<text:s text:c='3'/>wood<text:line-break/>two\
        <text:tab/>barrels <text:a xlink:href='https://a.example'>dry</text:a><text:note><text:note-citation>1</text:note-citation>\
        <text:note-body><text:p>Slowly.</text:p></text:note-body></text:note></text:p>\
        <text:tracked-changes><text:changed-region>gone</text:changed-region></text:tracked-changes>";
    assert_eq!(text(body), "## Tar\n\nPine wood\ntwo barrels [dry](https://a.example)[^1]\n\n[^1]: Slowly.\n");
}

#[test]
fn lists_have_their_marks() {
    let automatic = "<text:list-style style:name='L'><text:list-level-style-number text:level='1' style:num-format='1' \
        style:num-suffix='.'/><text:list-level-style-bullet text:level='2'/></text:list-style>";
    let list = "<text:list text:style-name='L'><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>dot\
        </text:p></text:list-item></text:list></text:list-item><text:list-item><text:p>two</text:p></text:list-item></text:list>";
    let document = read_content(automatic, &format!("<o:text>{list}<text:p>x</text:p>{list}</o:text>"), "");
    assert_eq!(tidy_markdown(&document), "1. one\n   - dot\n2. two\n\nx\n\n1. one\n   - dot\n2. two\n");
}

#[test]
fn tables_spans_and_boxes() {
    let cell = |attributes: &str, text: &str| {
        format!("<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>")
    };
    let table = format!(
        "<table:table><table:table-header-rows><table:table-row>{}{}</table:table-row></table:table-header-rows>\
         <table:table-row>{}<table:covered-table-cell/>{}</table:table-row><table:table-row>{}{}</table:table-row></table:table>",
        cell("", "Zone"),
        cell("", "Price"),
        cell("table:number-rows-spanned='2'", "Inner"),
        cell("", "4"),
        "<table:covered-table-cell/>",
        cell("", "5")
    );
    let boxed = "<text:p>Before <draw:frame><draw:text-box><text:p>Boxed.</text:p></draw:text-box></draw:frame>after.</text:p>\
        <text:p><draw:frame><draw:image/><svg:desc>A map</svg:desc></draw:frame></text:p>";
    assert_eq!(
        text(&format!("{boxed}{table}")),
        "Before after.\n\nBoxed.\n\nPicture: A map\n\n| Zone | Price |\n| --- | --- |\n| Inner | 4 |\n| Inner | 5 |\n"
    );
}

#[test]
fn headers_and_footers_stand_once_and_hidden_text_does_not() {
    let styles = "<o:master-styles><style:master-page style:name='Standard'><style:header><text:p>Policy 7</text:p></style:header>\
        <style:footer><text:p>Page <text:page-number>1</text:page-number></text:p><text:p>valid</text:p></style:footer>\
        </style:master-page><style:master-page style:name='Unused'><style:header><text:p>no</text:p></style:header>\
        </style:master-page></o:master-styles>";
    let automatic =
        "<style:style style:name='T1' style:family='text'><style:text-properties text:display='none'/></style:style>";
    let body = "<o:text><text:p>open<text:span text:style-name='T1'>secret</text:span></text:p></o:text>";
    let document = read_content(automatic, body, styles);
    assert_eq!(tidy_markdown(&document), "Policy 7\n\nopen\n\nvalid\n");
    assert_eq!(document.notices, [Notice::LeftOut { what: LeftOut::HiddenText, count: 1 }]);
}

#[test]
fn slides_are_pages_with_their_notes() {
    let frame = |class: &str, top: &str, text: &str| {
        format!(
            "<draw:frame presentation:class='{class}' svg:x='1cm' svg:y='{top}' svg:width='5cm' svg:height='1cm'>\
             <draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"
        )
    };
    let automatic = "<style:style style:name='dp1' style:family='drawing-page'><style:drawing-page-properties \
        presentation:visibility='hidden'/></style:style>";
    let notes = format!("<presentation:notes>{}</presentation:notes>", frame("notes", "0cm", "Smile."));
    let body = format!(
        "<o:presentation><draw:page>{}{}{}{notes}</draw:page><draw:page draw:style-name='dp1'>{}</draw:page><draw:page>{}</draw:page>\
         </o:presentation>",
        frame("outline", "60mm", "low"),
        frame("outline", "3cm", "high"),
        frame("title", "10cm", "Plan"),
        frame("title", "0cm", "draft"),
        frame("title", "0cm", "End")
    );
    let document = read_content(automatic, &body, "");
    assert_eq!(
        tidy_markdown(&document),
        "<!-- page 1 -->\n\n## Plan\n\nhigh\n\nlow\n\n> Notes: Smile.\n\n<!-- page 3 -->\n\n## End\n"
    );
    assert_eq!((document.pages, document.notices.len()), (3, 1));
}

#[test]
fn a_password_is_told() {
    let manifest = "<m:manifest><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>";
    let bytes = archive(&[("META-INF/manifest.xml", manifest), ("content.xml", "junk")]);
    assert_eq!(read(&bytes, &LIMITS), Err(Fault::Encrypted));
}
