use super::read;
use crate::testing::{archive, relationships};
use domain::document::{Document, LeftOut, Notice};
use reading::render::tidy_markdown;

/// A document with this body and these other parts. A part is related to the main part by the name of its file.
fn document(body: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let main = format!("<w:document><w:body>{body}</w:body></w:document>");
    let links: Vec<(&str, &str)> =
        parts.iter().map(|(file, _)| (file.split(['.', '1']).next().unwrap(), *file)).collect();
    let names: Vec<String> = parts.iter().map(|(file, _)| format!("word/{file}")).collect();
    let (packaged, related) = (relationships(&[("officeDocument", "word/main.xml")]), relationships(&links));
    let mut files: Vec<(&str, &str)> =
        vec![("_rels/.rels", &packaged), ("word/main.xml", &main), ("word/_rels/main.xml.rels", &related)];
    files.extend(names.iter().zip(parts).map(|(name, (_, text))| (name.as_str(), *text)));
    archive(&files)
}

fn read_with(body: &str, parts: &[(&str, &str)]) -> Document {
    read(&document(body, parts)).unwrap()
}

fn markdown(body: &str) -> String {
    tidy_markdown(&read_with(body, &[]))
}

fn p(runs: &str) -> String {
    format!("<w:p>{runs}</w:p>")
}

fn r(text: &str) -> String {
    format!("<w:r><w:t>{text}</w:t></w:r>")
}

#[test]
fn breaks_hyphens_and_signs_are_characters() {
    let runs = "<w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:tab/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t><w:softHyphen/>\
                <w:t>e</w:t><w:sym w:font='Wingdings' w:char='F0FC'/></w:r>";
    assert_eq!(markdown(&p(runs)), "a\nb c\u{2011}de✓\n");
}

#[test]
fn tracked_changes_are_accepted() {
    let deleted = "<w:del><w:r><w:delText>sixty</w:delText></w:r></w:del><w:ins><w:r><w:t>fourteen</w:t></w:r></w:ins>";
    let gone = "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>joined </w:t></w:r></w:p>";
    let moved = "<w:p><w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom></w:p>";
    let body = format!("{}{gone}{}{moved}", p(&format!("{} {deleted}", r("in"))), p(&r("up")));
    assert_eq!(markdown(&body), "infourteen\n\njoined up\n");
}

#[test]
fn hidden_text_is_left_out_and_counted() {
    let hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>";
    let document = read_with(&p(&format!("{}{hidden}", r("open"))), &[]);
    assert_eq!(tidy_markdown(&document), "open\n");
    assert_eq!(document.notices, [Notice::LeftOut { what: LeftOut::HiddenText, count: 1 }]);
}

#[test]
fn fields_show_their_results_and_page_numbers_do_not() {
    let field = |code: &str, result: &str| {
        format!(
            "<w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText>{code}</w:instrText></w:r>\
             <w:r><w:fldChar w:fldCharType='separate'/></w:r>{}<w:r><w:fldChar w:fldCharType='end'/></w:r>",
            r(result)
        )
    };
    let link = field(" HYPERLINK \"https://a.example/x\" ", "here");
    let body = p(&format!("{link}{}{}{}", r(" on "), field("PAGE", "7"), field(" REF a ", "clause 4")));
    assert_eq!(markdown(&body), "[here](https://a.example/x) on clause 4\n");
    let damaged = format!("{}{}", p("<w:r><w:fldChar w:fldCharType='begin'/></w:r>"), p(&r("rest")));
    assert_eq!(markdown(&damaged), "rest\n");
    let ticked = "<w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData>\
                  </w:fldChar></w:r><w:r><w:instrText>FORMCHECKBOX</w:instrText></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r>";
    assert_eq!(markdown(&p(&format!("{ticked}{}", r(" yes")))), "☒ yes\n");
}

#[test]
fn a_text_box_is_read_once() {
    let inner = |text: &str| format!("<w:txbxContent>{}</w:txbxContent>", p(&r(text)));
    let both = format!(
        "<w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx>{}</wps:txbx></w:drawing></mc:Choice>\
         <mc:Fallback><w:pict><v:shape><v:textbox>{}</v:textbox></v:shape></w:pict></mc:Fallback></mc:AlternateContent></w:r>",
        inner("box"),
        inner("box")
    );
    assert_eq!(markdown(&p(&format!("{}{both}", r("before")))), "before\n\nbox\n");
    let empty = both.replacen(&inner("box"), "", 1);
    assert_eq!(markdown(&p(&empty)), "box\n");
}

#[test]
fn cells_stand_under_their_headings() {
    let cell = |properties: &str, text: &str| format!("<w:tc><w:tcPr>{properties}</w:tcPr>{}</w:tc>", p(&r(text)));
    let row = |cells: &str| format!("<w:tr>{cells}</w:tr>");
    let headings = [cell("<w:vMerge w:val='restart'/>", "Zone"), cell("<w:gridSpan w:val='2'/>", "Price")].concat();
    let ages = [cell("<w:vMerge/>", ""), cell("", "Adult"), cell("", "Child")].concat();
    let values = row(&["Inner", "4", "2"].map(|t| cell("", t)).concat());
    let table =
        format!("<w:tbl>{}{}<w:sdt><w:sdtContent>{values}</w:sdtContent></w:sdt></w:tbl>", row(&headings), row(&ages));
    assert_eq!(markdown(&table), "| Zone | Price / Adult | Price / Child |\n| --- | --- | --- |\n| Inner | 4 | 2 |\n");
}

#[test]
fn notes_comments_headers_and_footers_stand_once() {
    let notes = format!("<w:footnotes><w:footnote w:id='2'>{}</w:footnote></w:footnotes>", p(&r("a note")));
    let comments =
        format!("<w:comments><w:comment w:id='0' w:author='Ann'>{}</w:comment></w:comments>", p(&r("cap it")));
    let header = format!("<w:hdr>{}</w:hdr>", p(&r("Policy 7")));
    let footer = format!(
        "<w:ftr>{}</w:ftr>",
        p(&format!(
            "{}<w:fldSimple w:instr='PAGE'>{}</w:fldSimple>{}",
            r("valid<w:tab/>").replace("<w:tab/></w:t>", "</w:t><w:tab/>") + &r("Page "),
            r("1"),
            r(" of 3")
        ))
    );
    let section = "<w:sectPr><w:headerReference w:type='default' r:id='r2'/><w:footerReference w:type='default' r:id='r3'/></w:sectPr>";
    let marks = "<w:r><w:footnoteReference w:id='2'/></w:r><w:commentRangeEnd w:id='0'/><w:r><w:commentReference w:id='0'/></w:r>";
    let first = format!("<w:p><w:pPr>{section}</w:pPr>{}{marks}</w:p>", r("one"));
    let document = read_with(
        &format!("{first}{}{section}", p(&r("two"))),
        &[("footnotes.xml", &notes), ("comments.xml", &comments), ("header1.xml", &header), ("footer1.xml", &footer)],
    );
    assert_eq!(
        tidy_markdown(&document),
        "Policy 7\n\none[^1]\n\n[^1]: a note\n\n> Comment (Ann): cap it\n\ntwo\n\nvalid\n"
    );
}

#[test]
fn numbers_of_headings_and_clauses_are_text() {
    let level = |at: u8, text: &str, style: &str| {
        format!(
            "<w:lvl w:ilvl='{at}'><w:start w:val='1'/><w:numFmt w:val='decimal'/><w:lvlText w:val='{text}'/>{style}</w:lvl>"
        )
    };
    let numbering = format!(
        "<w:numbering><w:abstractNum w:abstractNumId='0'>{}{}</w:abstractNum>\
         <w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num></w:numbering>",
        level(0, "%1.", "<w:pStyle w:val='H'/>"),
        level(1, "%1.%2", "")
    );
    let styles = "<w:styles><w:style w:styleId='H'><w:name w:val='heading 1'/><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr>\
                  </w:pPr></w:style></w:styles>";
    let heading = format!("<w:p><w:pPr><w:pStyle w:val='H'/></w:pPr>{}</w:p>", r("Terms"));
    let clause =
        format!("<w:p><w:pPr><w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr></w:pPr>{}</w:p>", r("Pay."));
    let document =
        read_with(&format!("{heading}{clause}{clause}"), &[("numbering.xml", &numbering), ("styles.xml", styles)]);
    assert_eq!(tidy_markdown(&document), "# 1. Terms\n\n- 1.1 Pay.\n- 1.2 Pay.\n");
}

#[test]
fn equations_alone_are_blocks_and_a_drop_cap_belongs_to_its_word() {
    let equation = |text: &str| format!("<m:oMath><m:r><m:t>{text}</m:t></m:r></m:oMath>");
    assert_eq!(markdown(&p(&format!("{}{}", equation("a=b"), equation("c=d")))), "$$\na=b\n$$\n\n$$\nc=d\n$$\n");
    assert_eq!(markdown(&p(&format!("{}{}", r("so "), equation("a=b")))), "so $a=b$\n");
    let cap = format!("<w:p><w:pPr><w:framePr w:dropCap='drop'/></w:pPr>{}</w:p>", r("T"));
    assert_eq!(markdown(&format!("{cap}{}", p(&r("he fox")))), "The fox\n");
}

#[test]
fn pictures_charts_and_diagrams_stand_after_their_paragraph() {
    let drawing = |inner: &str| format!("<w:r><w:drawing>{inner}</w:drawing></w:r>");
    let runs = [
        r("see"),
        drawing("<wp:docPr descr='A map'/><pic:pic><pic:cNvPr descr='A map'/></pic:pic>"),
        drawing("<wp:docPr id='1'/><pic:pic/>"),
        drawing("<c:chart r:id='r0'/>"),
        drawing("<dgm:relIds r:dm='r1'/>"),
    ];
    let cached = |name: &str, text: &str| {
        format!("<c:{name}><c:x><c:xCache><c:pt idx='0'><c:v>{text}</c:v></c:pt></c:xCache></c:x></c:{name}>")
    };
    let series = format!("{}{}{}", cached("tx", "Rain"), cached("cat", "North"), cached("val", "4"));
    let chart = format!("<c:chartSpace><c:chart><c:ser>{series}</c:ser></c:chart></c:chartSpace>");
    let point =
        |text: &str| format!("<d:pt modelId='{text}'><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>");
    let diagram = format!("<d:dataModel><d:ptLst>{}{}</d:ptLst></d:dataModel>", point("weigh"), point("publish"));
    let document = read_with(&p(&runs.concat()), &[("chart.xml", &chart), ("diagramData.xml", &diagram)]);
    assert_eq!(
        tidy_markdown(&document),
        "see\n\nPicture: A map\n\nRain\n\n|  | Rain |\n| --- | --- |\n| North | 4 |\n\n- weigh\n- publish\n"
    );
    assert_eq!(document.notices, [Notice::LeftOut { what: LeftOut::Pictures, count: 1 }]);
}

#[test]
fn hostile_nesting_keeps_its_text() {
    let deep = format!("{}{}{}", "<w:sdt>".repeat(5000), p(&r("core")), "</w:sdt>".repeat(5000));
    let document =
        std::thread::Builder::new().stack_size(64 << 20).spawn(move || read_with(&deep, &[])).unwrap().join().unwrap();
    assert_eq!(tidy_markdown(&document), "core\n");
    assert_eq!(document.notices, [Notice::LeftOut { what: LeftOut::DeepParts, count: 1 }]);
}
