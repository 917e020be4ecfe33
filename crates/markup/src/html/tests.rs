use super::document;
use reading::render;

fn markdown(html: &str) -> String {
    render::tidy_markdown(&document(html))
}

#[test]
fn scripts_and_styles_are_left_out() {
    let html = "<style>p{}</style><script>alert(1)</script><h1>Title</h1><p>One <b>bold</b> word.</p>";
    assert_eq!(markdown(html), "# Title\n\nOne **bold** word.\n");
}

#[test]
fn the_title_replaces_a_missing_heading() {
    assert_eq!(markdown("<title>A\n page</title><p>Text"), "# A page\n\nText\n");
    assert_eq!(markdown("<title>A page</title><h1>Head</h1>"), "# Head\n");
}

#[test]
fn only_absolute_link_targets_stay() {
    let html = "<p><a href='https://example.org/a(b)'>out</a> <a href='#top'>up</a> <a href='javascript:x()'>x</a>";
    assert_eq!(markdown(html), "[out](https://example.org/a%28b%29) up x\n");
}

#[test]
fn a_picture_becomes_its_alternative_text() {
    let html = "<p>A <img alt='red\n fox' src='data:image/png;base64,AAAA'> runs<figure><a href=/x><img alt=Owl></a>";
    assert_eq!(markdown(html), "A red fox runs\n\nPicture: Owl\n");
}

#[test]
fn a_table_keeps_row_headings_spans_and_order() {
    let html = "<table><caption>Ducks</caption><tfoot><tr><th>Sum<td>3<td>7</tfoot><thead><tr><th>Year<th>Teal<th>Eider\
                </thead><tr><th rowspan=9>2031<td>1<td>2<tr><td>2<td>5<tbody><tr><th scope=row>2032<td colspan=2>none";
    let expected = "Ducks\n\n| Year | Teal | Eider |\n| --- | --- | --- |\n| 2031 | 1 | 2 |\n| 2031 | 2 | 5 |\n\
                    | 2032 | none | none |\n| Sum | 3 | 7 |\n";
    assert_eq!(markdown(html), expected);
}

#[test]
fn lists_have_the_numbers_that_a_browser_shows() {
    let html = "<ol start=3 type=a><li>three<li value=7>seven<ul><li>deep</ul></ol><ol reversed><li>two<li>one</ol>";
    assert_eq!(markdown(html), "- c. three\n- g. seven\n  - deep\n\n2. two\n1. one\n");
    let terms = "<dl><dt>Bolt<dd>A pin.<dt>Nut<dt>Ring<dd><p>Turns.<p>Holds.</dl>";
    assert_eq!(markdown(terms), "- **Bolt**\n  A pin.\n- **Nut**\n\n  **Ring**\n\n  Turns.\n\n  Holds.\n");
}

#[test]
fn preformatted_text_is_code() {
    assert_eq!(markdown("<pre>\na  b\n  <b>c</b>\n</pre>"), "```\na  b\n  c\n```\n");
    assert_eq!(markdown("<p>Run <code>a | b</code>."), "Run `a | b`.\n");
}

#[test]
fn what_the_page_does_not_show_is_left_out_and_counted() {
    let html = "<p>Seen</p><p hidden>A</p><div style='display: none'>B</div><dialog>C</dialog><template>D</template>\
                <noscript>E</noscript><p style='visibility:hidden'></p><!-- F --><details><summary>Fold</summary>G</details>";
    assert_eq!(markdown(html), "Seen\n\n**Fold**\n\nG\n");
    assert_eq!(document(html).notices[0].to_string(), "Left out: 5 hidden texts.");
}

#[test]
fn forms_show_their_values() {
    let html = "<label>Name <input value=Ada></label><input type=hidden value=x><select><option>a<option selected>b</select>\
                <p><input type=checkbox checked> yes <input type=radio> no<p><textarea>long\ntext</textarea><button>Go</button>";
    assert_eq!(markdown(html), "Name Ada b\n\n\\[x] yes [ ] no\n\nlong text Go\n".replace("\\[x]", "[x]"));
}

#[test]
fn formulas_are_latex() {
    let html = "<p>So <math alttext='E=mc^2'><mi>E</mi></math> and <math><msup><mi>x</mi><mn>2</mn></msup><mo>+</mo>\
                <mfrac><mn>1</mn><mi>n</mi></mfrac></math>.";
    assert_eq!(markdown(html), "So $E=mc^2$ and $x^2 + \\frac{1}{n}$.\n");
}

#[test]
fn a_block_in_a_link_or_in_strong_text_stays_a_block() {
    let html = "<a href='https://example.org/'><h2>Head</h2><p>Text</p></a><b>bold<p>more</b> tail<br>next";
    let expected =
        "## [Head](https://example.org/)\n\n[Text](https://example.org/)\n\n**bold**\n\n**more** tail\nnext\n";
    assert_eq!(markdown(html), expected);
    assert_eq!(markdown("<p><b>a<strong>b<i><b>c</b></i></strong></b>"), "**ab*c***\n");
}

#[test]
fn a_table_that_sets_the_page_becomes_its_blocks() {
    let html = "<table role=presentation><tr><td><p>Menu</p><td><h2>Head</h2><p>Text</table>";
    assert_eq!(markdown(html), "Menu\n\n## Head\n\nText\n");
}

#[test]
fn an_empty_tag_of_xml_swallows_nothing() {
    let html = "<?xml version='1.0'?><html><head><title/><script src='x'/></head><body><div/><p>Text</p></body></html>";
    assert_eq!(markdown(html), "Text\n");
}

#[test]
fn hostile_pages_take_linear_time() {
    let started = std::time::Instant::now();
    let attributes: String = (0..100_000).map(|n| format!(" a{n}")).collect();
    let fonts: String = (0..50_000).map(|n| format!("<p><font color={n}>")).collect();
    for (page, word) in [
        (format!("{}deep", "<div>".repeat(300_000)), "deep"),
        (format!("{}deep", "<table><tr><td>".repeat(50_000)), "deep"),
        (format!("{}deep", "<b><i><a href=http://x.org/>".repeat(50_000)), "deep"),
        (format!("{}deep", "<b></p><div>".repeat(50_000)) + &"</b></i>".repeat(50_000), "deep"),
        (format!("<p{attributes}>deep"), "deep"),
        (format!("{fonts}deep"), "deep"),
        (format!("{}deep", "<ul><li>".repeat(50_000)), "deep"),
        (format!("{}deep", "<blockquote><svg><g>".repeat(50_000)), "deep"),
        (format!("{}deep", "<html a=1><body b=2>".repeat(50_000)), "deep"),
        (format!("<table>{}deep", "x<tr>".repeat(50_000)), "deep"),
    ] {
        let text = markdown(&page);
        assert!(text.contains(word), "{:.40}: {:.80}", page, text);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
