use super::read;
use reading::render;

fn markdown(rtf: &str) -> String {
    render::tidy_markdown(&read(rtf.as_bytes()))
}

#[test]
fn words_come_out_in_their_letters() {
    let rtf = r"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial;}{\f2\fcharset128 MS;}}
\f0 Caf\'e9 \u8364?, \uc2\u27833\'b3\'ab x.\par \f1\'cf\'f0\'e8\'e2\'e5\'f2\par\f2\'83e\'83X\'83g \f0 \uc1\u-10179?\u-8704?\line 3\~km\par}";
    assert_eq!(markdown(rtf), "Café €, 油 x.\n\nПривет\n\nテスト 😀\n3\u{a0}km\n");
}

#[test]
fn what_is_no_text_or_hidden_is_left_out() {
    let rtf = r"{\rtf1{\fonttbl{\f0 Arial;}}{\*\generator X;}{\info{\title T}}A{\v secret} b{\deleted gone}.{\pict\pngblip 89504e47}\par}";
    assert_eq!(markdown(rtf), "A b.\n");
    let notices: Vec<String> = read(rtf.as_bytes()).notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["Left out: 1 hidden text.", "Left out: 1 picture without a description."]);
}

#[test]
fn headings_lists_links_and_styles() {
    let rtf = r#"{\rtf1{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 heading 2;}}{\s1\b Rules\par}\pard\s2 Water\par
\pard{\listtext 1.\tab}One\par{\listtext 2.\tab}Two\par\ilvl1{\listtext\'b7\tab}deep\par\pard
See {\field{\*\fldinst HYPERLINK "https://example.org/a"}{\fldrslt here}}, {\b bold} H{\sub 2}O {\i x}{\strike old}.\par}"#;
    let expected = "# Rules\n\n## Water\n\n1. One\n2. Two\n   - deep\n\nSee [here](https://example.org/a), **bold** H₂O *x*~~old~~.\n";
    assert_eq!(markdown(rtf), expected);
}

#[test]
fn tables_keep_merged_cells_and_tables_within() {
    let rtf = r"{\rtf1 Before\par\trowd\trhdr\cellx1000\cellx2000\cellx3000\pard\intbl A\cell B\cell C\cell\row
\trowd\clvmgf\cellx1000\cellx3000\pard\intbl x\cell wide\cell\row
\trowd\clvmrg\cellx1000\cellx2000\cellx3000\pard\intbl\cell 1\cell 2\cell\row\pard After\par}";
    let expected = "Before\n\n| A | B | C |\n| --- | --- | --- |\n| x | wide | wide |\n| x | 1 | 2 |\n\nAfter\n";
    assert_eq!(markdown(rtf), expected);
    let nested = r"{\rtf1\trowd\cellx1000\cellx2000\pard\intbl Out\cell\pard\intbl\itap2 a\nestcell b\nestcell
{\*\nesttableprops\trowd\cellx100\cellx200\nestrow}{\nonesttables\par}\pard\intbl end\cell\trowd\cellx1000\cellx2000\row\pard}";
    assert_eq!(markdown(nested), "| Out | end |\n| --- | --- |\n\n| a | b |\n| --- | --- |\n");
}

#[test]
fn notes_comments_and_running_heads_are_kept() {
    let rtf = r"{\rtf1{\header Society {\field{\*\fldinst PAGE}{\fldrslt 3}}\par}{\footer Draft\par}Fee{\super\chftn{\footnote \chftn  Per year.}} is 12.{\*\atnid A}{\*\atnauthor Ann}\chatn{\*\annotation Too low?}\par}";
    assert_eq!(markdown(rtf), "Society\n\nFee[^1] is 12.\n\n> Comment (Ann): Too low?\n\n[^1]: Per year.\n\nDraft\n");
}

#[test]
fn hostile_files_end() {
    for rtf in ["{".repeat(1 << 20), "{\\rtf1{\\footnote ".repeat(50_000), "\\itap99999999\\nestcell".repeat(1000)] {
        read(rtf.as_bytes());
    }
    assert_eq!(markdown("{\\rtf1 a\\bin99999999 b"), "a\n");
}
