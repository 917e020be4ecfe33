//! Number formats of spreadsheets: what a cell shows for its value.
//!
//! Formats are those of Office Open XML and of the old binary files. Names of months and days are English; the formats
//! that follow the reader's own settings show dates as `2026-03-15`.

mod code;
mod dates;
mod numbers;

use code::{Section, Token};
pub(crate) use numbers::general;

/// The longest format that is read; Excel's own limit is 255 characters.
const MAX_CODE_CHARS: usize = 1000;

/// A format, ready to be used for many values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Format {
    /// For positive and other numbers, in the order of the format. Empty: the general format.
    numbers: Vec<Section>,
    /// For texts; `None`: as they are.
    text: Option<Section>,
}

impl Format {
    /// Reads a format code.
    pub(crate) fn parse(code: &str) -> Self {
        if code.trim().is_empty() {
            return Self::default();
        }
        let code: Vec<char> = code.chars().take(MAX_CODE_CHARS).collect();
        let mut sections = code::sections(&code);
        sections.truncate(4);
        let is_text = |section: &Section| section.tokens.contains(&Token::Text);
        let for_text = sections.len() == 4 || sections.len() > 1 && sections.last().is_some_and(is_text);
        let text = if for_text { sections.pop() } else { sections.first().filter(|first| is_text(first)).cloned() };
        Self { numbers: sections, text }
    }

    /// The format that every program knows by its number.
    pub(crate) fn built_in(id: u16) -> Self {
        Self::parse(built_in_code(id))
    }

    /// Whether numbers show as dates or times.
    pub(crate) fn is_date(&self) -> bool {
        self.numbers.first().is_some_and(Section::is_date)
    }

    /// What a cell with this text shows.
    pub(crate) fn text(&self, text: String) -> String {
        let Some(section) = &self.text else { return text };
        // A text under a format for numbers in all sections shows as it is.
        section.tokens.iter().map(|token| if *token == Token::Text { &*text } else { token.literal() }).collect()
    }

    /// What a cell with this number shows. `since_1904`: days count from 1904 and not from 1900.
    pub(crate) fn number(&self, value: f64, since_1904: bool) -> String {
        if !value.is_finite() {
            return "#NUM!".to_owned();
        }
        let Some((section, signed)) = self.section_for(value) else { return general(value) };
        let shown = if section.is_date() {
            dates::render(section, value, since_1904).unwrap_or_else(|| general(value))
        } else {
            numbers::render(section, if signed { value } else { value.abs() })
        };
        shown.trim().to_owned()
    }

    /// The section for `value`, and whether the value keeps its sign in it.
    fn section_for(&self, value: f64) -> Option<(&Section, bool)> {
        let count = self.numbers.len();
        for (at, section) in self.numbers.iter().enumerate() {
            let own = match &section.condition {
                Some(condition) => condition.holds(value),
                None if at + 1 == count && (at > 0 || count == 1) => true,
                None if at == 0 && count == 2 => value >= 0.0,
                None if at == 0 => value > 0.0,
                None => value < 0.0,
            };
            if own {
                let negative_only = match &section.condition {
                    Some(condition) => condition.is_negative(),
                    None => at == 1 && self.numbers.first().is_some_and(|first| first.condition.is_none()),
                };
                return Some((section, !negative_only));
            }
        }
        None
    }
}

/// *Source:* ECMA-376 part 1, 18.8.30; 5 to 8, 37 to 44 as in the English (United States) program.
fn built_in_code(id: u16) -> &'static str {
    match id {
        1 => "0",
        2 => "0.00",
        3 => "#,##0",
        4 => "#,##0.00",
        5 | 6 => "\"$\"#,##0_);(\"$\"#,##0)",
        7 | 8 => "\"$\"#,##0.00_);(\"$\"#,##0.00)",
        9 => "0%",
        10 => "0.00%",
        11 => "0.00E+00",
        12 => "# ?/?",
        13 => "# ??/??",
        15 => "d-mmm-yy",
        16 => "d-mmm",
        17 => "mmm-yy",
        18 => "h:mm AM/PM",
        19 => "h:mm:ss AM/PM",
        20 => "h:mm",
        21 => "h:mm:ss",
        22 => "yyyy-mm-dd h:mm",
        32 | 55 => "h:mm",
        33 | 56 => "h:mm:ss",
        // These follow the language of the program.
        14 | 27..=31 | 34..=36 | 50..=54 | 57 | 58 => "yyyy-mm-dd",
        37 | 38 => "#,##0_);(#,##0)",
        39 | 40 => "#,##0.00_);(#,##0.00)",
        41 => "#,##0_);(#,##0);\"-\"_);@",
        42 => "\"$\"#,##0_);(\"$\"#,##0);\"$\"\"-\"_);@",
        43 => "#,##0.00_);(#,##0.00);\"-\"_);@",
        44 => "\"$\"#,##0.00_);(\"$\"#,##0.00);\"$\"\"-\"_);@",
        45 => "mm:ss",
        46 => "[h]:mm:ss",
        47 => "mm:ss.0",
        48 => "##0.0E+0",
        49 => "@",
        _ => "General",
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    fn shown(code: &str, value: f64) -> String {
        Format::parse(code).number(value, false)
    }

    #[test]
    fn numbers_show_as_their_format_says() {
        for (code, value, wanted) in [
            ("0.0%", 0.075, "7.5%"),
            ("0%", 0.65303, "65%"),
            ("\"$\"#,##0.00", 1234.5, "$1,234.50"),
            ("#,##0.00 [$€-407]", 1234.5, "1,234.50 €"),
            ("[$£-809]#,##0.00", -0.5, "-£0.50"),
            ("#,##0", 1_234_567.0, "1,234,567"),
            ("#,##0", 12.0, "12"),
            ("0.00", 2.345678, "2.35"),
            ("0.00", 2.675, "2.68"),
            ("0.00", 1.005, "1.01"),
            ("0.0", 9.96, "10.0"),
            ("0.##", 5.0, "5."),
            ("0.0#", 5.126, "5.13"),
            ("#.00", 0.5, ".50"),
            ("000-000-0000", 205_550_173.0, "020-555-0173"),
            ("00000", 7.0, "00007"),
            ("0.00,,\"M\"", 12_345_678.0, "12.35M"),
            ("#,##0,", 1_234_567.0, "1,235"),
            ("0.00E+00", 0.00123, "1.23E-03"),
            ("##0.0E+0", 12345.0, "12.3E+3"),
            ("0E-0", 5e9, "5E9"),
            ("0\\ \"dollars and\"\\ .00\\ \"cents\"", 19.99, "19 dollars and .99 cents"),
            ("General\" pcs\"", 12.5, "12.5 pcs"),
            ("0 kg", 3.0, "3 kg"),
            ("@", 12.0, "12"),
            ("", 12.0, "12"),
        ] {
            assert_eq!(shown(code, value), wanted, "{code} of {value}");
        }
    }

    #[test]
    fn a_section_is_chosen_by_sign_or_condition() {
        let accounting = "_(\"$\"* #,##0.00_);_(\"$\"* (#,##0.00);_(\"$\"* \"-\"??_);_(@_)";
        assert_eq!(shown(accounting, 1500.0), "$1,500.00");
        assert_eq!(shown(accounting, -1500.0), "$(1,500.00)");
        assert_eq!(shown(accounting, 0.0), "$-");
        assert_eq!(Format::parse(accounting).text("n/a".into()), " n/a ");
        assert_eq!(shown("0;[Red]-0", -3.0), "-3");
        assert_eq!(shown("0;(0)", -3.0), "(3)");
        assert_eq!(shown("0;;\"none\"", -3.0), "");
        assert_eq!(shown("0;;\"none\"", 0.0), "none");
        assert_eq!(shown("[<1000]0;[<1000000]0.0,\"k\";0.0,,\"M\"", 2500.0), "2.5k");
        assert_eq!(shown("[<1000]0;[<1000000]0.0,\"k\";0.0,,\"M\"", 2_500_000.0), "2.5M");
        assert_eq!(shown("[=1]\"yes\";[=0]\"no\";General", 1.0), "yes");
        assert_eq!(shown("[=1]\"yes\";[=0]\"no\";General", -4.0), "-4");
        assert_eq!(shown("[<0]\"minus \"0;0", -4.0), "minus 4");
        assert_eq!(Format::parse(";;;").text("secret".into()), "");
        assert_eq!(Format::parse("0.00").text("n/a".into()), "n/a");
        assert_eq!(Format::parse("\"No. \"@").text("7".into()), "No. 7");
    }

    #[test]
    fn fractions_are_the_nearest() {
        for (code, value, wanted) in [
            ("# ?/?", 0.5, "1/2"),
            ("# ?/?", 1.5, "1 1/2"),
            ("# ??/??", 3.15, "3 3/20"),
            ("# ?/8", 2.25, "2 2/8"),
            ("?/?", 1.5, "3/2"),
            ("# ?/?", 2.0, "2"),
            ("# ?/?", 0.0, "0"),
            ("# ?/?", -0.25, "-1/4"),
            ("# ?/?", 0.99, "1"),
        ] {
            assert_eq!(shown(code, value), wanted, "{code} of {value}");
        }
    }

    #[test]
    fn dates_and_times_show_as_their_format_says() {
        for (code, value, wanted) in [
            ("yyyy-mm-dd", 46096.0, "2026-03-15"),
            ("mm/dd/yyyy", 46096.0, "03/15/2026"),
            ("dd.mm.yyyy", 46096.0, "15.03.2026"),
            ("mmm yyyy", 46096.0, "Mar 2026"),
            ("dddd, mmmm d, yy", 46096.0, "Sunday, March 15, 26"),
            ("yyyy-mm-dd hh:mm", 46096.60416666666, "2026-03-15 14:30"),
            ("h:mm AM/PM", 0.6041666666666666, "2:30 PM"),
            ("h:mm:ss a/p", 0.0, "12:00:00 a"),
            ("[h]:mm", 1.5, "36:00"),
            ("[mm]:ss", 0.0625, "90:00"),
            ("[h]:mm", -0.5, "-12:00"),
            ("mm:ss.0", 0.000_718_75, "01:02.1"),
            ("h:mm:ss", 0.999_999_9, "0:00:00"),
            ("yyyy-mm-dd", 60.0, "1900-02-29"),
            ("yyyy-mm-dd", 59.0, "1900-02-28"),
            ("yyyy-mm-dd", 61.0, "1900-03-01"),
            ("yyyy-mm-dd", 1.0, "1900-01-01"),
            ("[$-409]d\\-mmm\\-yy;@", 46096.0, "15-Mar-26"),
            (
                "\"At\"\\ h:mm\\ AM/PM\\ \"on\"\\ dddd\\ mmmm\\ d\",\"\\ yyyy",
                46096.25,
                "At 6:00 AM on Sunday March 15, 2026",
            ),
            ("[$-F800]dddd, mmmm dd, yyyy", 46096.0, "Sunday, March 15, 2026"),
            ("yyyy\"年\"m\"月\"d\"日\"", 46096.0, "2026年3月15日"),
            ("yyyy-mm-dd", -1.0, "-1"),
            ("yyyy-mm-dd", 1e300, "1E+300"),
        ] {
            assert_eq!(shown(code, value), wanted, "{code} of {value}");
        }
        assert_eq!(Format::parse("yyyy-mm-dd").number(44634.0, true), "2026-03-15");
        assert_eq!(Format::built_in(14).number(46096.0, false), "2026-03-15");
    }

    #[test]
    fn the_general_format_is_short() {
        for (value, wanted) in [
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.333333333"),
            (2.345_678_901_234_5, "2.345678901"),
            (1_234_567_890_123_456.0, "1234567890123456"),
            (1.5e20, "1.5E+20"),
            (1.23e-6, "1.23E-06"),
            (0.0001, "0.0001"),
            (-0.0, "0"),
            (-3.0, "-3"),
            (123_456.789, "123456.789"),
            (99_999.999_999_999, "100000"),
        ] {
            assert_eq!(super::general(value), wanted);
        }
    }

    #[test]
    fn a_broken_format_shows_something() {
        for code in [
            "\"", "\\", "[", "[>", "[$", "0;", ";;;;;;", "_", "*", "/", "0/", "/0", "E+", "0E+", "%", ".", ",",
            "0/0/0", "[h", "AM",
        ] {
            for value in [0.0, -1.5, 1e308, 5e-324, 46096.5] {
                let _ = shown(code, value);
            }
        }
    }
}
