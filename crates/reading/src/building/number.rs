//! Numbers of lists and headings, in the formats of Word, PowerPoint and OpenDocument.

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `1`, `2`.
    Decimal,
    /// `01`, `02`.
    TwoDigits,
    /// `a`, `b`.
    LowerLetter,
    /// `A`, `B`.
    UpperLetter,
    /// `i`, `ii`.
    LowerRoman,
    /// `I`, `II`.
    UpperRoman,
    /// `1st`, `2nd`.
    Ordinal,
    /// `①`, `②`.
    Circled,
    /// `一`, `二`.
    Chinese,
    /// `а`, `б`.
    RussianLower,
    /// `А`, `Б`.
    RussianUpper,
    /// A mark, the same for each item.
    Bullet,
    /// Nothing is written.
    None,
}

impl Format {
    /// The format of this name in WordprocessingML; one that is not known is decimal.
    pub fn of_word(name: &str) -> Self {
        match name {
            "decimalZero" => Self::TwoDigits,
            "lowerLetter" => Self::LowerLetter,
            "upperLetter" => Self::UpperLetter,
            "lowerRoman" => Self::LowerRoman,
            "upperRoman" => Self::UpperRoman,
            "ordinal" => Self::Ordinal,
            "bullet" => Self::Bullet,
            "none" => Self::None,
            "russianLower" => Self::RussianLower,
            "russianUpper" => Self::RussianUpper,
            name if name.starts_with("decimalEnclosedCircle") => Self::Circled,
            "chineseCounting"
            | "chineseCountingThousand"
            | "ideographDigital"
            | "japaneseCounting"
            | "japaneseDigitalTenThousand"
            | "taiwaneseCounting"
            | "taiwaneseCountingThousand" => Self::Chinese,
            _ => Self::Decimal,
        }
    }

    /// The format of this sample in OpenDocument: `1`, `a`, `I`; an empty one shows no number.
    pub fn of_sample(sample: &str) -> Self {
        match sample {
            "" => Self::None,
            "a" => Self::LowerLetter,
            "A" => Self::UpperLetter,
            "i" => Self::LowerRoman,
            "I" => Self::UpperRoman,
            _ => Self::Decimal,
        }
    }

    /// `number` as it is shown.
    pub fn write(self, number: u32) -> String {
        match self {
            Self::Decimal => number.to_string(),
            Self::TwoDigits => format!("{number:02}"),
            Self::LowerLetter => letters(number, 'a', 26),
            Self::UpperLetter => letters(number, 'A', 26),
            Self::RussianLower => letters(number, 'а', 32),
            Self::RussianUpper => letters(number, 'А', 32),
            Self::LowerRoman => roman(number).to_lowercase(),
            Self::UpperRoman => roman(number),
            Self::Ordinal => format!("{number}{}", ordinal_end(number)),
            Self::Circled => match number {
                1..=20 => char::from_u32(0x2460 + number - 1).map(String::from).unwrap_or_default(),
                _ => number.to_string(),
            },
            Self::Chinese => chinese(number),
            Self::Bullet | Self::None => String::new(),
        }
    }
}

/// `a` to `z`, then `aa`, `bb` and so on.
fn letters(number: u32, first: char, count: u32) -> String {
    const MOST: u32 = 8;
    let Some(at) = number.checked_sub(1) else { return "0".into() };
    let letter = char::from_u32(u32::from(first) + at % count).unwrap_or(first);
    (0..=(at / count).min(MOST)).map(|_| letter).collect()
}

fn roman(number: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if number == 0 || number > 4999 {
        return number.to_string();
    }
    let (mut left, mut text) = (number, String::new());
    for (value, sign) in SIGNS {
        while left >= value {
            text.push_str(sign);
            left -= value;
        }
    }
    text
}

fn ordinal_end(number: u32) -> &'static str {
    match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

fn chinese(number: u32) -> String {
    let digit = |at: u32| "〇一二三四五六七八九".chars().nth(at as usize).unwrap_or('〇');
    match number {
        0..=9 => digit(number).into(),
        10..=99 => {
            let tens = if number < 20 { String::new() } else { digit(number / 10).into() };
            let ones = if number.is_multiple_of(10) { String::new() } else { digit(number % 10).into() };
            format!("{tens}十{ones}")
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn numbers_are_written_in_their_format() {
        let written = |format: Format, numbers: &[u32]| {
            numbers.iter().map(|number| format.write(*number)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(written(Format::LowerLetter, &[1, 26, 27, 53]), "a z aa aaa");
        assert_eq!(written(Format::UpperRoman, &[1, 4, 9, 14, 1999, 0, 9999]), "I IV IX XIV MCMXCIX 0 9999");
        assert_eq!(written(Format::Ordinal, &[1, 2, 3, 4, 11, 22]), "1st 2nd 3rd 4th 11th 22nd");
        assert_eq!(written(Format::Chinese, &[3, 10, 12, 20, 45]), "三 十 十二 二十 四十五");
        assert_eq!(written(Format::TwoDigits, &[7]), "07");
        assert_eq!(Format::LowerLetter.write(u32::MAX).len(), 9);
    }
}
