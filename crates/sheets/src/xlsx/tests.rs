use crate::tests::{LIMITS, archive, markdown};
use domain::document::{Document, LeftOut, Notice};
use reading::fault::Fault;

const RELS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

fn rels(links: &[(&str, &str, &str)]) -> String {
    let links = links.iter().map(|(id, kind, target)| {
        let mode = if target.contains("://") { " TargetMode=\"External\"" } else { "" };
        format!("<Relationship Id=\"{id}\" Type=\"{RELS}/{kind}\" Target=\"{target}\"{mode}/>")
    });
    format!("<Relationships>{}</Relationships>", links.collect::<String>())
}

/// A workbook of one sheet with this content, styles, and further parts.
fn read_with(sheet: &str, styles: &str, links: &[(&str, &str, &str)], more: &[(&str, &str)]) -> Document {
    let root = rels(&[("r1", "officeDocument", "/book/main.xml")]);
    let book =
        rels(&[("s1", "worksheet", "one.xml"), ("r2", "styles", "styles.xml"), ("r3", "sharedStrings", "texts.xml")]);
    let own = rels(links);
    let mut parts = vec![
        ("_rels/.rels", &*root),
        ("book/_rels/main.xml.rels", &*book),
        ("book/_rels/one.xml.rels", &*own),
        ("book/main.xml", "<x:workbook><x:sheets><x:sheet name=\"One\" r:id=\"s1\"/></x:sheets></x:workbook>"),
        ("book/one.xml", sheet),
        ("book/styles.xml", styles),
        (
            "book/texts.xml",
            "<sst><si><t>plain</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>reading</t></rPh></si></sst>",
        ),
    ];
    parts.extend(more);
    super::read(&archive(&parts), &LIMITS).unwrap()
}

fn read(sheet: &str) -> String {
    markdown(&read_with(sheet, "<styleSheet/>", &[], &[]))
}

#[test]
fn cells_of_each_type_show_what_they_hold() {
    let text = read(
        "<x:worksheet><x:sheetData><x:row><x:c t=\"s\"><x:v>0</x:v></x:c><x:c t=\"s\"><x:v>1</x:v></x:c></x:row>\
         <x:row><x:c t=\"inlineStr\"><x:is><x:t>in &amp; line_x000D_</x:t></x:is></x:c><x:c t=\"b\"><x:v>1</x:v></x:c></x:row>\
         <x:row r=\"3\"><x:c r=\"A3\" t=\"e\"><x:v>#N/A</x:v></x:c><x:c t=\"str\"><x:f>A1</x:f><x:v>cached</x:v></x:c></x:row>\
         <x:row r=\"4\"><x:c r=\"A4\"><x:f>B2*C2</x:f><x:v></x:v></x:c><x:c t=\"d\"><x:v>2031-05-04T00:00:00</x:v></x:c></x:row>\
         <x:row r=\"5\"><x:c t=\"s\"><x:v>9</x:v></x:c><x:c t=\"str\"><x:f>A9</x:f><x:v></x:v></x:c></x:row>\
         </x:sheetData></x:worksheet>",
    );
    let expected = "<!-- page 1 -->\n\n## One\n\n| plain | rich text |\n| --- | --- |\n| in & line | TRUE |\n\
                    | #N/A | cached |\n| =B2\\*C2 | 2031-05-04 |\n";
    assert_eq!(text, expected);
}

#[test]
fn styles_give_formats() {
    let styles = "<styleSheet><numFmts><numFmt numFmtId=\"8\" formatCode=\"0.0&quot; kg&quot;\"/></numFmts>\
                  <cellStyleXfs><xf numFmtId=\"9\"/></cellStyleXfs>\
                  <cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"8\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>";
    let sheet = "<worksheet><sheetData><row><c s=\"1\"><v>2</v></c><c s=\"2\"><v>46096</v></c><c><v>0.5</v></c></row></sheetData></worksheet>";
    let text = markdown(&read_with(sheet, styles, &[], &[]));
    assert!(text.contains("| 2.0 kg | 2026-03-15 | 0.5 |"), "{text}");
}

#[test]
fn links_and_comments_are_kept() {
    let sheet = "<worksheet><sheetData><row><c t=\"s\"><v>0</v></c><c><f>HYPERLINK(\"https://example.org/b\",\"b\")</f><v>7</v></c></row></sheetData>\
                 <hyperlinks><hyperlink ref=\"A1\" r:id=\"h\"/></hyperlinks></worksheet>";
    let notes = "<comments><authors><author>Ann</author><author>tc={1}</author></authors><commentList>\
                 <comment ref=\"B1\" authorId=\"0\"><text><r><t>Ann:</t></r><r><t>\ncheck this</t></r></text></comment>\
                 <comment ref=\"A1\" authorId=\"1\"><text><t>[Threaded comment]</t></text></comment></commentList></comments>";
    let threads = "<ThreadedComments><threadedComment ref=\"A1\" dT=\"2031-05-04T10:20:30.00\" personId=\"p\"><text>why?</text></threadedComment></ThreadedComments>";
    let links = [
        ("h", "hyperlink", "https://example.org/a"),
        ("c", "comments", "notes.xml"),
        ("t", "threadedComment", "threads.xml"),
    ];
    let document =
        read_with(sheet, "<styleSheet/>", &links, &[("book/notes.xml", notes), ("book/threads.xml", threads)]);
    let text = markdown(&document);
    assert!(text.contains("| [plain](https://example.org/a) | [7](https://example.org/b) |"), "{text}");
    assert!(text.contains("> Comment (A1, 2031-05-04 10:20): why?\n\n> Comment (B1, Ann): check this\n"), "{text}");
}

#[test]
fn what_is_drawn_stands_at_its_place() {
    let sheet = "<worksheet><sheetData><row r=\"5\"><c r=\"A5\" t=\"s\"><v>0</v></c></row></sheetData></worksheet>";
    let at = |row: u32| format!("<xdr:from><xdr:col>0</xdr:col><xdr:row>{row}</xdr:row></xdr:from>");
    let drawing = format!(
        "<xdr:wsDr><xdr:twoCellAnchor>{}<xdr:graphicFrame><a:graphicData><c:chart r:id=\"c\"/></a:graphicData></xdr:graphicFrame></xdr:twoCellAnchor>\
         <xdr:twoCellAnchor>{}<xdr:sp><xdr:txBody><a:p><a:r><a:t>A box</a:t></a:r></a:p></xdr:txBody></xdr:sp></xdr:twoCellAnchor>\
         <xdr:oneCellAnchor>{}<xdr:pic><xdr:nvPicPr><xdr:cNvPr descr=\"A boat.\"/></xdr:nvPicPr></xdr:pic></xdr:oneCellAnchor>\
         <xdr:oneCellAnchor>{}<xdr:pic><xdr:nvPicPr><xdr:cNvPr name=\"x\"/></xdr:nvPicPr></xdr:pic></xdr:oneCellAnchor>\
         <mc:AlternateContent><mc:Fallback><xdr:sp><a:p><a:t>cannot show</a:t></a:p></xdr:sp></mc:Fallback></mc:AlternateContent></xdr:wsDr>",
        at(20),
        at(0),
        at(9),
        at(9)
    );
    let chart = "<c:chartSpace><c:chart><c:title><a:p><a:t>Harvest</a:t></a:p></c:title></c:chart></c:chartSpace>";
    let drawing_rels = rels(&[("c", "chart", "chart.xml")]);
    let more =
        [("book/drawing.xml", &*drawing), ("book/_rels/drawing.xml.rels", &*drawing_rels), ("book/chart.xml", chart)];
    let document = read_with(sheet, "<styleSheet/>", &[("d", "drawing", "drawing.xml")], &more);
    let text = markdown(&document);
    assert!(text.ends_with("## One\n\nA box\n\nplain\n\nPicture: A boat.\n\nHarvest\n"), "{text}");
    assert_eq!(document.notices, [Notice::left_out(LeftOut::Pictures, 1).unwrap()]);
}

#[test]
fn hidden_sheets_are_counted_and_broken_ones_fail() {
    let root = rels(&[("r1", "officeDocument", "main.xml")]);
    let book = rels(&[("s1", "worksheet", "one.xml"), ("s2", "worksheet", "two.xml")]);
    let read = |one: &str| {
        super::read(
            &archive(&[
                ("_rels/.rels", &root),
                ("_rels/main.xml.rels", &book),
                (
                    "main.xml",
                    "<workbook><sheets><sheet name=\"A\" r:id=\"s1\"/><sheet name=\"B\" state=\"veryHidden\" r:id=\"s2\"/></sheets></workbook>",
                ),
                ("one.xml", one),
            ]),
            &LIMITS,
        )
    };
    let document = read("<worksheet/>").unwrap();
    assert_eq!(markdown(&document), "<!-- page 1 -->\n\n## A\n");
    assert_eq!(document.notices, [Notice::left_out(LeftOut::HiddenSheets, 1).unwrap()]);
    assert_eq!(read("<worksheet><c r=<"), Err(Fault::Corrupt));
}
