use crate::tests::{LIMITS, archive, markdown};
use domain::document::Document;

fn read(content: &str) -> Document {
    let content = format!("<office:document-content>{content}</office:document-content>");
    super::read(&archive(&[("content.xml", &content)]), &LIMITS).unwrap()
}

#[test]
fn cells_show_their_own_text() {
    let document = read(
        "<style:style style:name=\"gone\"><style:table-properties table:display=\"false\"/></style:style>\
         <table:tracked-changes><table:table-cell><text:p>old</text:p></table:table-cell></table:tracked-changes>\
         <table:table table:name=\"One\"><table:table-column table:number-columns-repeated=\"2\"/>\
         <table:table-column table:visibility=\"collapse\"/>\
         <table:table-row><table:table-cell office:value-type=\"string\"><text:p>Boat</text:p></table:table-cell>\
         <table:table-cell office:value-type=\"string\"><text:p>Share</text:p></table:table-cell>\
         <table:table-cell><text:p>hidden</text:p></table:table-cell></table:table-row>\
         <table:table-row table:number-rows-repeated=\"2\"><table:table-cell office:value-type=\"string\">\
         <office:annotation><dc:creator>Ann</dc:creator><dc:date>2031</dc:date><text:p>sure?</text:p></office:annotation>\
         <text:p>Zwaan<text:s text:c=\"2\"/>II</text:p></table:table-cell>\
         <table:table-cell office:value-type=\"percentage\" office:value=\"0.125\"/></table:table-row>\
         <table:table-row table:number-rows-repeated=\"1048000\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row>\
         </table:table><table:table table:name=\"Two\" table:style-name=\"gone\"/>",
    );
    let expected = "<!-- page 1 -->\n\n## One\n\n| Boat | Share |\n| --- | --- |\n| Zwaan II | 12.5% |\n| Zwaan II | 12.5% |\n\n\
                    > Comment (A2, Ann): sure?\n";
    assert_eq!(markdown(&document), expected);
    let notices: Vec<String> = document.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["Left out: 1 hidden sheet.", "Left out: 1 hidden row or column."]);
}

#[test]
fn values_without_a_text_and_merged_cells_show() {
    let document = read(
        "<table:table table:name=\"One\"><table:table-row>\
         <table:table-cell table:number-columns-spanned=\"2\"><text:p>Over both</text:p></table:table-cell><table:covered-table-cell/></table:table-row>\
         <table:table-row><table:table-cell office:value-type=\"date\" office:date-value=\"2031-05-04T00:00:00\"/>\
         <table:table-cell table:formula=\"of:=[.A1]*2\"/></table:table-row>\
         <table:table-row><table:table-cell office:value-type=\"boolean\" office:boolean-value=\"true\"/>\
         <table:table-cell office:value-type=\"float\" office:value=\"1.5\"><draw:frame><draw:text-box><text:p>A box</text:p></draw:text-box></draw:frame></table:table-cell>\
         </table:table-row></table:table>",
    );
    let text = markdown(&document);
    let table = "## One\n\nOver both\n\n| 2031-05-04 | =[.A1]\\*2 |\n| --- | --- |\n| TRUE | 1.5 |\n\nA box\n";
    assert!(text.ends_with(table), "{text}");
}

#[test]
fn a_repetition_is_bounded() {
    let row = "<table:table-row table:number-rows-repeated=\"1000000\"><table:table-cell table:number-columns-repeated=\"1000\">\
               <text:p>x</text:p></table:table-cell></table:table-row>";
    let content = format!("<a><table:table table:name=\"One\">{row}</table:table></a>");
    let bytes = archive(&[("content.xml", &content)]);
    assert!(super::read(&bytes, &domain::ports::ParseLimits { output_bytes: 64 << 20, ..LIMITS }).is_ok());
    assert!(super::read(&bytes, &LIMITS).is_ok_and(|document| markdown(&document).len() < 4 << 20));
}
