//! The parts of a format code.

/// A part of a section.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Words as they are.
    Literal(String),
    /// A place for a digit: `0`, `#` or `?`.
    Digit(char),
    /// The decimal point.
    Point,
    /// A comma among the digits.
    Comma,
    /// A percent sign.
    Percent,
    /// `E+` (true) or `E-`.
    Exponent(bool),
    /// The bar of a fraction.
    Bar,
    /// The value in the general format.
    General,
    /// The cell's text.
    Text,
    /// Years by their digits.
    Year(usize),
    /// Months, or minutes beside hours or seconds.
    Month(usize),
    /// Minutes.
    Minute(usize),
    /// Days.
    Day(usize),
    /// Hours.
    Hour(usize),
    /// Seconds.
    Second(usize),
    /// Digits of parts of a second.
    Fraction(usize),
    /// `AM/PM`; true: one letter.
    Half(bool),
    /// All hours, minutes or seconds (`h`, `m`, `s`), with at least so many digits.
    Elapsed(char, usize),
}

impl Token {
    /// The words of a literal.
    pub(super) fn literal(&self) -> &str {
        match self {
            Self::Literal(words) => words,
            _ => "",
        }
    }

    fn is_date(&self) -> bool {
        matches!(
            self,
            Self::Year(_)
                | Self::Month(_)
                | Self::Minute(_)
                | Self::Day(_)
                | Self::Hour(_)
                | Self::Second(_)
                | Self::Elapsed(..)
        )
    }
}

/// A comparison with a number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    operator: String,
    limit: f64,
}

impl Condition {
    fn parse(words: &str) -> Option<Self> {
        let limit = words.trim_start_matches(['<', '>', '=']);
        let operator = words.get(..words.len() - limit.len())?;
        matches!(operator, "<" | "<=" | ">" | ">=" | "=" | "<>").then_some(())?;
        Some(Self { operator: operator.to_owned(), limit: limit.trim().parse().ok()? })
    }

    #[expect(clippy::float_cmp, reason = "the condition asks for equal numbers")]
    pub(super) fn holds(&self, value: f64) -> bool {
        match self.operator.as_str() {
            "<" => value < self.limit,
            "<=" => value <= self.limit,
            ">" => value > self.limit,
            ">=" => value >= self.limit,
            "=" => value == self.limit,
            _ => value != self.limit,
        }
    }

    /// Whether it holds for negative numbers only, whose sign the section then shows itself.
    pub(super) fn is_negative(&self) -> bool {
        self.operator == "<" && self.limit <= 0.0 || self.operator == "<=" && self.limit < 0.0
    }
}

/// The format of some of the values.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub(super) condition: Option<Condition>,
    pub(super) tokens: Vec<Token>,
}

impl Section {
    pub(super) fn is_date(&self) -> bool {
        self.tokens.iter().any(Token::is_date)
    }

    fn literal(&mut self, c: char) {
        match self.tokens.last_mut() {
            Some(Token::Literal(words)) => words.push(c),
            _ => self.tokens.push(Token::Literal(c.into())),
        }
    }
}

/// Cuts a code into its sections.
pub(super) fn sections(code: &[char]) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut at = 0;
    // Where a section has places for digits, letters of dates are words.
    let mut numeric = has_digits(code);
    while let Some(&c) = code.get(at) {
        if c == ';' {
            sections.push(Section::default());
            at += 1;
            numeric = has_digits(code.get(at..).unwrap_or_default());
            continue;
        }
        let Some(section) = sections.last_mut() else { break };
        at += token(section, &code[at..], numeric).max(1);
    }
    sections.iter_mut().for_each(resolve_minutes);
    sections
}

/// Whether the section at the beginning of `code` holds places for digits other than parts of a second.
fn has_digits(code: &[char]) -> bool {
    let (mut at, mut last) = (0, ' ');
    while let Some(&c) = code.get(at) {
        match c {
            ';' => return false,
            '"' => at += quoted(&code[at..]).0,
            '\\' | '_' | '*' => at += 2,
            '[' => {
                last = code.get(at + 1).copied().unwrap_or(' ');
                at += bracketed(&code[at..]).0;
            }
            '.' if matches!(last, 's' | 'S') => {
                at += 1 + code[at + 1..].iter().take_while(|c| **c == '0').count();
            }
            '0' | '#' | '?' => return true,
            c => {
                last = if c.is_alphabetic() { c } else { last };
                at += 1;
            }
        }
    }
    false
}

/// Adds the token at the beginning of `code`, which is not empty, and returns how many characters it took.
fn token(section: &mut Section, code: &[char], numeric: bool) -> usize {
    let c = code[0];
    let run = code.iter().take_while(|other| other.eq_ignore_ascii_case(&c)).count();
    let starts = |word: &str| {
        word.chars().enumerate().all(|(at, wanted)| code.get(at).is_some_and(|c| c.eq_ignore_ascii_case(&wanted)))
    };
    let after_seconds = !numeric && section.tokens.last() == Some(&Token::Point) && section.is_date();
    let mut push = |token: Token, length: usize| {
        section.tokens.push(token);
        length
    };
    match c.to_ascii_lowercase() {
        '"' => {
            let (length, words) = quoted(code);
            push(Token::Literal(words), length)
        }
        '[' => {
            let (length, words) = bracketed(code);
            bracket(section, &words);
            length
        }
        '\\' => {
            code.get(1).iter().for_each(|c| section.literal(**c));
            2
        }
        '_' => {
            section.literal(' ');
            2
        }
        '*' => 2,
        'g' if starts("general") => push(Token::General, 7),
        '@' => push(Token::Text, 1),
        '0' if after_seconds => {
            section.tokens.pop();
            section.tokens.push(Token::Fraction(run));
            run
        }
        '0' | '#' | '?' => push(Token::Digit(c), 1),
        '.' => push(Token::Point, 1),
        ',' if numeric => push(Token::Comma, 1),
        '%' => push(Token::Percent, 1),
        '/' if numeric => push(Token::Bar, 1),
        'e' if numeric && matches!(code.get(1), Some('+' | '-')) => push(Token::Exponent(code[1] == '+'), 2),
        _ if numeric => {
            section.literal(c);
            1
        }
        'a' if starts("am/pm") => push(Token::Half(false), 5),
        'a' if starts("a/p") => push(Token::Half(true), 3),
        'y' | 'e' => push(Token::Year(if c == 'e' { 4 } else { run }), run),
        'm' => push(Token::Month(run), run),
        'd' => push(Token::Day(run), run),
        'h' => push(Token::Hour(run), run),
        's' => push(Token::Second(run), run),
        _ => {
            section.literal(c);
            1
        }
    }
}

/// The length of the quoted words at the beginning of `code`, with their marks, and the words.
fn quoted(code: &[char]) -> (usize, String) {
    let words: String = code.iter().skip(1).take_while(|c| **c != '"').collect();
    (words.chars().count() + 2, words)
}

/// The length of the brackets at the beginning of `code`, and what they hold.
fn bracketed(code: &[char]) -> (usize, String) {
    let words: String = code.iter().skip(1).take_while(|c| **c != ']').collect();
    (words.chars().count() + 2, words)
}

/// What stands in brackets: a currency, a condition, an elapsed time; colours and languages show nothing.
fn bracket(section: &mut Section, words: &str) {
    if let Some(currency) = words.strip_prefix('$') {
        let sign = currency.rsplit_once('-').map_or(currency, |(sign, _language)| sign);
        sign.chars().for_each(|c| section.literal(c));
        return;
    }
    let lower = words.to_ascii_lowercase();
    let first = lower.chars().next().unwrap_or(' ');
    if matches!(first, 'h' | 'm' | 's') && lower.chars().all(|c| c == first) {
        section.tokens.push(Token::Elapsed(first, lower.len()));
    } else if section.condition.is_none() {
        section.condition = Condition::parse(words);
    }
}

/// Months beside hours or seconds are minutes.
fn resolve_minutes(section: &mut Section) {
    let dates: Vec<usize> = (0..section.tokens.len()).filter(|&at| section.tokens[at].is_date()).collect();
    for (place, &at) in dates.iter().enumerate() {
        let Token::Month(digits) = section.tokens[at] else { continue };
        let token = |place: Option<usize>| place.and_then(|place| dates.get(place)).map(|&at| &section.tokens[at]);
        let after_hours = matches!(token(place.checked_sub(1)), Some(Token::Hour(_) | Token::Elapsed('h', _)));
        let before_seconds = matches!(token(Some(place + 1)), Some(Token::Second(_) | Token::Elapsed('s', _)));
        if digits <= 2 && (after_hours || before_seconds) {
            section.tokens[at] = Token::Minute(digits);
        }
    }
}
