//! Characters of symbol fonts, which stand at the places of letters or in the private area of Unicode.

/// The character that `font` shows for `code`, as Unicode; `None` if the font is no symbol font or the sign is not known.
pub(crate) fn shown(font: &str, code: u32) -> Option<char> {
    let code = if (0xf000..=0xf0ff).contains(&code) { code - 0xf000 } else { code };
    table(font)?.iter().find_map(|(first, signs)| signs.chars().nth(usize::try_from(code.checked_sub(*first)?).ok()?))
}

/// `text` as `font` shows it.
pub(crate) fn text_shown(font: &str, text: &str) -> String {
    if table(font).is_none() {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_whitespace() { c } else { shown(font, c.into()).unwrap_or(c) }).collect()
}

fn table(font: &str) -> Option<&'static [(u32, &'static str)]> {
    Some(match font.to_ascii_lowercase().as_str() {
        "symbol" => &SYMBOL,
        "wingdings" => &WINGDINGS,
        "wingdings 2" => &WINGDINGS_2,
        "wingdings 3" => &WINGDINGS_3,
        "webdings" => &WEBDINGS,
        _ => return None,
    })
}

/// Runs of signs, each from its first code on. A run stops before the next one begins; longer runs stand last.
const SYMBOL: [(u32, &str); 2] = [
    (0xa1, "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑"),
    (0x21, "!∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"),
];
const WINGDINGS: [(u32, &str); 5] = [
    (0xd5, "⌫⌦⮘⮚⮙⮛⮈⮊⮉⮋←→↑↓🡬🡭🡯🡮🡸🡺🡹🡻🡼🡽🡿🡾⇦⇨⇧⇩⬄⇳⬁⬀⬃⬂🢬🢭✗✓☒☑"),
    (0x9f, "••○⭘⭘◉◎🔿▪◻🟂✦★✶✴✹✵⯐⌖⟡⌑⯑✪✰"),
    (0x80, "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿"),
    (0x6c, "●❍■□◻❑❒⬧⧫◆❖⬥⌧⮹⌘"),
    (0x21, "✏✂✁👓🕭📖🕯☎✆✉✉📪📫📬📭📁📂📄📃🗐🗄⌛⌨🖰🖲🖳🖴💾🖬✇✍✎✌👌👍👎☜☞☝☟🖐☺😐☹💣☠⚐🏱✈☼💧❄✝✞✝✠✡☪☯ॐ☸♈♉♊♋♌♍♎♏♐♑♒♓&&"),
];
const WINGDINGS_2: [(u32, &str); 2] = [(0x97, "●"), (0x4f, "✗✓☒☑☒☒⊗⦸⦹")];
const WINGDINGS_3: [(u32, &str); 3] = [(0x70, "▲▼△▽◀▶◁▷"), (0x67, "↖"), (0x21, "←→↑↓")];
const WEBDINGS: [(u32, &str); 2] = [(0x97, "●"), (0x61, "✔")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_symbol_fonts_are_unicode() {
        let signs: String = [
            ("Wingdings", 0xf0fc),
            ("Wingdings", 0xfb),
            ("Wingdings", 0xfe),
            ("Wingdings", 0xa8),
            ("Wingdings", 0x6c),
            ("Wingdings", 0x4a),
            ("Wingdings 2", 0x50),
            ("Wingdings 2", 0x52),
            ("Symbol", 0xf061),
            ("Symbol", 0xb0),
            ("Symbol", 0xa3),
            ("Symbol", 0xe5),
            ("Symbol", 0xb7),
            ("Symbol", 0x57),
            ("Webdings", 0x61),
        ]
        .into_iter()
        .filter_map(|(font, code)| shown(font, code))
        .collect();
        assert_eq!(signs, "✓✗☑◻●☺✓☑α°≤∑•Ω✔");
        assert_eq!(shown("Arial", 0x61), None);
        assert_eq!(text_shown("Symbol", "a b"), "α β");
    }
}
