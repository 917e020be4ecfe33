//! Numbers as digits: decimals, thousands, percent, powers of ten and fractions.

use super::code::{Section, Token};

/// The digits of a number that a spreadsheet keeps.
const SIGNIFICANT: usize = 15;
/// Whole numbers below it are shown with all digits: they are often names of things.
const WHOLE: f64 = 1e16;

/// The decimal digits of a positive number.
struct Decimal {
    /// Digits from the first that is not 0.
    digits: Vec<u8>,
    /// How many of them stand before the point; negative: zeros after the point before them.
    whole: i32,
}

impl Decimal {
    fn new(value: f64) -> Self {
        let value = value.abs();
        let exact = value.fract() == 0.0 && value < WHOLE;
        let text = if exact { format!("{value:.16e}") } else { format!("{value:.*e}", SIGNIFICANT - 1) };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let whole = if digits.is_empty() { 0 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
        Self { digits, whole }
    }

    /// Rounds to so many decimals, half away from 0.
    fn round(&mut self, decimals: usize) {
        let kept = self.whole.saturating_add(i32::try_from(decimals).unwrap_or(i32::MAX));
        let Ok(kept) = usize::try_from(kept) else {
            self.digits.clear();
            self.whole = 0;
            return;
        };
        let up = self.digits.get(kept).is_some_and(|digit| *digit >= 5);
        self.digits.truncate(kept);
        if up {
            self.digits.resize(kept, 0);
            let at = self.digits.iter().rposition(|digit| *digit < 9);
            self.digits.truncate(at.map_or(0, |at| at + 1));
            match self.digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    self.digits.push(1);
                    self.whole += 1;
                }
            }
        }
    }

    /// The digits before the point, without leading zeros.
    fn before(&self) -> Vec<u8> {
        (0..self.whole.max(0)).map(|at| self.digit(at)).collect()
    }

    /// The digit at `place` after the point, from 0.
    fn after(&self, place: usize) -> u8 {
        self.digit(self.whole.saturating_add(i32::try_from(place).unwrap_or(i32::MAX)))
    }

    /// Whether only zeros stand from `place` after the point on.
    fn ends_before(&self, place: usize) -> bool {
        let at = self.whole.saturating_add(i32::try_from(place).unwrap_or(i32::MAX));
        self.digits.iter().skip(usize::try_from(at).unwrap_or(0)).all(|digit| *digit == 0)
    }

    fn digit(&self, at: i32) -> u8 {
        usize::try_from(at).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(0)
    }
}

/// The number as Excel shows it without a format: at most ten digits, powers of ten where it is very large or small.
pub(crate) fn general(value: f64) -> String {
    let size = value.abs();
    let sign = if value < 0.0 { "-" } else { "" };
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-5..WHOLE).contains(&size) {
        let text = format!("{size:.5e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        let power: i32 = exponent.parse().unwrap_or(0);
        let mark = if power < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}E{mark}{:02}", power.abs());
    }
    let mut decimal = Decimal::new(size);
    decimal.round(usize::try_from(10 - decimal.whole.max(1)).unwrap_or(0));
    let mut out = sign.to_owned();
    push_digits(&mut out, &decimal.before(), "0");
    let decimals = decimal.digits.len().saturating_sub(usize::try_from(decimal.whole).unwrap_or(0));
    let zeros = usize::try_from(decimal.whole.saturating_neg()).unwrap_or(0);
    if decimals > 0 {
        out.push('.');
        (0..decimals + zeros).for_each(|place| out.push(char::from(b'0' + decimal.after(place))));
        out.truncate(out.trim_end_matches('0').trim_end_matches('.').len());
    }
    out
}

fn push_digits(out: &mut String, digits: &[u8], none: &str) {
    if digits.is_empty() {
        out.push_str(none);
    }
    out.extend(digits.iter().map(|digit| char::from(b'0' + digit)));
}

/// What shows of `value` in a section for numbers.
pub(super) fn render(section: &Section, value: f64) -> String {
    let tokens = &section.tokens;
    if tokens.is_empty() {
        return String::new();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    if tokens.iter().any(|token| matches!(token, Token::General | Token::Text)) {
        let shown = general(value.abs());
        let text = |token: &Token| match token {
            Token::General | Token::Text => shown.clone(),
            other => plain(other),
        };
        return tokens.iter().fold(sign.to_owned(), |out, token| out + &text(token));
    }
    if let Some(fraction) = fraction(tokens, value.abs()) {
        return format!("{sign}{fraction}");
    }
    let exponent = tokens.iter().position(|token| matches!(token, Token::Exponent(_)));
    match exponent {
        Some(at) => format!("{sign}{}", scientific(tokens, at, value.abs())),
        None => format!("{sign}{}", digits(tokens, scaled(tokens, value.abs()))),
    }
}

/// A token that shows the same for each value.
fn plain(token: &Token) -> String {
    match token {
        Token::Literal(words) => words.clone(),
        Token::Percent => "%".into(),
        Token::Point => ".".into(),
        Token::Comma => ",".into(),
        Token::Bar => "/".into(),
        _ => String::new(),
    }
}

/// Percent signs multiply; commas behind the last digit, or the last before the point, divide by a thousand.
fn scaled(tokens: &[Token], value: f64) -> f64 {
    let percents = tokens.iter().filter(|token| **token == Token::Percent).count();
    let point = tokens.iter().position(|token| *token == Token::Point).unwrap_or(tokens.len());
    let commas = |tokens: &[Token]| {
        let behind = tokens.iter().rev().skip_while(|token| !matches!(token, Token::Digit(_) | Token::Comma));
        behind.take_while(|token| matches!(token, Token::Comma)).count()
    };
    let (before, after) = tokens.split_at(point);
    let power = |count: usize| i32::try_from(count).unwrap_or(0);
    value * 100_f64.powi(power(percents)) / 1000_f64.powi(power(commas(before) + commas(after)))
}

/// The digits of a positive number in their places.
fn digits(tokens: &[Token], value: f64) -> String {
    let is_digit = |token: &Token| matches!(token, Token::Digit(_));
    let point = tokens.iter().position(|token| *token == Token::Point).unwrap_or(tokens.len());
    let decimals = tokens[point..].iter().filter(|token| is_digit(token)).count();
    let mut decimal = Decimal::new(value);
    decimal.round(decimals);
    let before = decimal.before();
    let first = tokens[..point].iter().position(is_digit);
    let last = tokens[..point].iter().rposition(is_digit);
    let grouped = matches!((first, last), (Some(first), Some(last)) if tokens[first..last].contains(&Token::Comma));
    let mut left = tokens[..point].iter().filter(|token| is_digit(token)).count();
    let mut out = String::new();
    let mut place = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Digit(kind) if at < point => {
                // The first place takes all digits for which there are no places.
                let from = if Some(at) == first { before.len().max(left) } else { left };
                for position in (left..=from).rev() {
                    let digit = before.len().checked_sub(position).and_then(|at| before.get(at));
                    let shown = match (digit, kind) {
                        (Some(digit), _) => char::from(b'0' + digit),
                        (None, '0') => '0',
                        (None, _) => continue,
                    };
                    out.push(shown);
                    if grouped && position > 1 && position % 3 == 1 {
                        out.push(',');
                    }
                }
                left -= 1;
            }
            Token::Digit(kind) => {
                if *kind == '0' || !decimal.ends_before(place) {
                    out.push(char::from(b'0' + decimal.after(place)));
                }
                place += 1;
            }
            Token::Point if at == point => {
                if first.is_none() {
                    push_digits(&mut out, &before, "");
                }
                out.push('.');
            }
            Token::Comma => {}
            other => out.push_str(&plain(other)),
        }
    }
    out
}

/// A number in powers of ten. The exponent is a multiple of the number of places before the point.
fn scientific(tokens: &[Token], at: usize, value: f64) -> String {
    let (mantissa, exponent) = tokens.split_at(at);
    let point = mantissa.iter().position(|token| *token == Token::Point).unwrap_or(mantissa.len());
    let count = |tokens: &[Token]| tokens.iter().filter(|token| matches!(token, Token::Digit(_))).count();
    let step = i32::try_from(count(&mantissa[..point]).max(1)).unwrap_or(1);
    let mut decimal = Decimal::new(value);
    let mut power = if value == 0.0 { 0 } else { (decimal.whole - 1).div_euclid(step) * step };
    let shifted = |power: i32| value / 10_f64.powi(power);
    // Rounding may carry into one place more than there is: 9.99E+00 is 1.0E+01.
    decimal.whole -= power;
    decimal.round(count(&mantissa[point..]));
    if decimal.whole > step {
        power += step;
    }
    let sign = match exponent.first() {
        _ if power < 0 => "-",
        Some(Token::Exponent(true)) => "+",
        _ => "",
    };
    let places = count(exponent);
    let mut out = digits(mantissa, shifted(power));
    out.push_str(&format!("E{sign}{:01$}", power.abs(), places.min(20)));
    exponent.iter().skip(1).filter(|token| !matches!(token, Token::Digit(_))).for_each(|t| out.push_str(&plain(t)));
    out
}

/// A positive number as a fraction; `None` if the format has none.
fn fraction(tokens: &[Token], value: f64) -> Option<String> {
    let bar = tokens.iter().position(|token| *token == Token::Bar)?;
    let digit = |token: &Token| matches!(token, Token::Digit(_));
    let above = tokens[..bar].iter().rev().take_while(|token| digit(token)).count();
    let fixed: String = tokens.get(bar + 1)?.literal().chars().take_while(char::is_ascii_digit).take(6).collect();
    let below = tokens[bar + 1..].iter().take_while(|token| digit(token)).count();
    if above == 0 || fixed.is_empty() && below == 0 || value >= WHOLE {
        return None;
    }
    let first = tokens.iter().position(digit)?;
    let mixed = first < bar - above;
    let whole = if mixed { value.trunc() } else { 0.0 };
    let (mut top, bottom) = match fixed.parse::<u64>() {
        Ok(bottom) if bottom > 0 => (whole_number((value - whole) * count(bottom)), bottom),
        _ => nearest(value - whole, 10_u64.pow(u32::try_from(below.min(4)).unwrap_or(1)) - 1),
    };
    let mut whole = whole_number(whole);
    if mixed && top == bottom {
        (whole, top) = (whole + 1, 0);
    }
    let lead: String = tokens[..first].iter().map(plain).collect();
    let end = bar + 1 + below;
    let tail: String = if fixed.is_empty() { tokens.get(end..)?.iter().map(plain).collect() } else { String::new() };
    let shown = match (whole, top) {
        (0, 0) => "0".to_owned(),
        (whole, 0) => whole.to_string(),
        (0, top) => format!("{top}/{bottom}"),
        (whole, top) => format!("{whole} {top}/{bottom}"),
    };
    Some(format!("{lead}{shown}{tail}"))
}

#[expect(clippy::cast_precision_loss, reason = "below 10^6")]
fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to WHOLE; `as` is bounded anyway")]
fn whole_number(value: f64) -> u64 {
    value.round() as u64
}

/// The fraction with a denominator of at most `most` that is nearest to `value`.
fn nearest(value: f64, most: u64) -> (u64, u64) {
    let mut best = (whole_number(value), 1);
    let mut error = (value - value.round()).abs();
    for bottom in 2..=most {
        let top = whole_number(value * count(bottom));
        #[expect(clippy::cast_precision_loss, reason = "a numerator beyond 2^52 has no near fraction")]
        let off = (value - top as f64 / count(bottom)).abs();
        if off < error - 1e-12 {
            (best, error) = ((top, bottom), off);
        }
    }
    best
}
