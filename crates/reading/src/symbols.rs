//! Characters of symbol fonts, which stand at the places of letters or in the private area of Unicode.

/// The character that `font` shows for `code`, as Unicode; `None` if the font is no symbol font or the sign is not known.
pub fn shown(font: &str, code: u32) -> Option<char> {
    let code = if (0xf000..=0xf0ff).contains(&code) { code - 0xf000 } else { code };
    table(font)?.iter().find_map(|(first, signs)| signs.chars().nth(usize::try_from(code.checked_sub(*first)?).ok()?))
}

/// `text` as `font` shows it.
pub fn text_shown(font: &str, text: &str) -> String {
    if table(font).is_none() {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_whitespace() { c } else { shown(font, c.into()).unwrap_or(c) }).collect()
}

/// The symbol font that the name of a font in a PDF means ("ABCDEF+Wingdings-Regular"), as `shown` takes it; `None` if it is none.
/// Programs that number their fonts use the private area for signs of Word documents: `NUMBERED`.
pub fn family(name: &str) -> Option<&'static str> {
    let name = name.split_once('+').filter(|(subset, _)| subset.len() == 6).map_or(name, |(_, name)| name);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let known = ["wingdings2", "wingdings3", "wingdings", "webdings", "symbol"];
    let names = ["wingdings 2", "wingdings 3", "wingdings", "webdings", "symbol"];
    let found = known.iter().position(|known| name.starts_with(known)).and_then(|at| names.get(at));
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_numbered = || matches!(letters, "" | "c" | "cidfont" | "cidfontf" | "f" | "t" | "tt");
    found.copied().or_else(|| is_numbered().then_some(NUMBERED))
}

/// Any font that has a number instead of a name.
pub const NUMBERED: &str = "numbered";

fn table(font: &str) -> Option<&'static [(u32, &'static str)]> {
    Some(match font.to_ascii_lowercase().as_str() {
        "symbol" => &SYMBOL,
        "wingdings" => &WINGDINGS,
        "wingdings 2" => &WINGDINGS_2,
        "wingdings 3" => &WINGDINGS_3,
        "webdings" => &WEBDINGS,
        NUMBERED => &OF_WORD,
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
const WINGDINGS_2: [(u32, &str); 3] = [(0xa3, "□"), (0x97, "●"), (0x4f, "✗✓☒☑☒☒⊗⦸⦹")];
const WINGDINGS_3: [(u32, &str); 3] = [(0x70, "▲▼△▽◀▶◁▷"), (0x67, "↖"), (0x21, "←→↑↓")];
/// The signs that Word offers for lists and boxes, whatever font they are of.
const OF_WORD: [(u32, &str); 8] =
    [(0xfb, "✗✓☒☑"), (0xd8, "➢"), (0xb7, "•"), (0xa7, "▪◻"), (0xa3, "□"), (0x76, "❖"), (0x6e, "■□"), (0x52, "☑")];
const WEBDINGS: [(u32, &str); 2] = [(0x97, "●"), (0x61, "✔")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_symbol_fonts_in_pdfs() {
        assert_eq!(family("ABCDEF+Wingdings-Regular"), Some("wingdings"));
        assert_eq!(family("DDKKXH+Wingdings2"), Some("wingdings 2"));
        assert_eq!(family("SymbolMT"), Some("symbol"));
        assert_eq!(family("SegoeUISymbol"), None);
        assert_eq!(family("FontAwesome"), None);
        assert_eq!(family("CIDFont+F4").and_then(|font| shown(font, 0xf0b7)), Some('•'));
    }

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
