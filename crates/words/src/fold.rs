//! Folding: what a word looks like when case, accents and compatibility forms are taken away.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A longer run of letters is no word; what is beyond is not read.
const MAX_CHARS: usize = 64;

/// Lower case, compatibility forms replaced, soft hyphens and characters without width left out. Accents stay.
pub fn lower(run: &str) -> String {
    // The same, sooner: most words are, and a search folds each word of what it shows.
    if run.is_ascii() {
        return run.chars().take(MAX_CHARS).map(|c| c.to_ascii_lowercase()).collect();
    }
    run.nfkc().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).take(MAX_CHARS).collect()
}

/// `lower` without accents, as people type it who have no such key.
pub fn fold(lower: &str) -> String {
    if lower.is_ascii() {
        return lower.to_owned();
    }
    let mut folded = String::with_capacity(lower.len());
    for c in lower.nfd() {
        match c {
            // The breve of й makes another letter, as marks of scripts beyond these do.
            '\u{306}' if folded.ends_with('и') => {
                folded.pop();
                folded.push('й');
            }
            '\u{300}'..='\u{36f}' => {}
            // Vowel points of Arabic and Hebrew, and the stroke that lengthens Arabic words.
            '\u{64b}'..='\u{652}' | '\u{670}' | '\u{640}' | '\u{591}'..='\u{5c7}'
                if is_combining_mark(c) || c == '\u{640}' => {}
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'þ' => folded.push_str("th"),
            'ı' => folded.push('i'),
            c => folded.push(c),
        }
    }
    folded.nfc().collect()
}

/// Characters within words that are not seen: soft hyphen, joiners, directions, marks of byte order.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_letters_are_folded_as_all_others() {
        let ascii: String = (0..128_u8).map(char::from).collect();
        for run in [ascii.as_str(), &"Aa1".repeat(40)] {
            let by_unicode: String = run.nfkc().flat_map(char::to_lowercase).take(MAX_CHARS).collect();
            assert_eq!(lower(run), by_unicode);
        }
    }

    #[test]
    fn case_accents_and_compatibility_forms_are_folded() {
        for (text, folded) in [
            ("Kündigung", "kundigung"),
            ("ﬁnance", "finance"),
            ("２０２４", "2024"),
            ("in\u{ad}sur\u{ad}ance", "insurance"),
            ("Straße", "strasse"),
            ("ёлка", "елка"),
            ("Йод", "йод"),
            ("İstanbul", "istanbul"),
            ("कीमत", "कीमत"),
        ] {
            assert_eq!(fold(&lower(text)), folded, "{text}");
        }
    }
}
