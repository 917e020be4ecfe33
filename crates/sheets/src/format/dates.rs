//! Numbers as dates and times.

use super::code::{Section, Token};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The day after 9999-12-31, the last one that Excel shows.
const END: f64 = 2_958_466.0;
/// From 1900-01-01 to 1904-01-01, counted as Excel does.
const DAYS_TO_1904: f64 = 1462.0;

/// What shows of `value`; `None` if there is no such date.
pub(super) fn render(section: &Section, value: f64, since_1904: bool) -> Option<String> {
    let elapsed = section.tokens.iter().any(|token| matches!(token, Token::Elapsed(..)));
    let days = if since_1904 && !elapsed { value + DAYS_TO_1904 } else { value };
    if !((0.0..END).contains(&days) || elapsed && days.abs() < END) {
        return None;
    }
    let fraction = section.tokens.iter().find_map(|token| match token {
        Token::Fraction(digits) => Some((*digits).min(3)),
        _ => None,
    });
    let unit = 10_f64.powi(i32::try_from(fraction.unwrap_or(0)).unwrap_or(0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to END days, checked above")]
    let (units, per_second) = ((days.abs() * 86_400.0 * unit).round() as u64, unit as u64);
    let seconds = units / per_second;
    let date = Moment { seconds, parts: units % per_second, twelve: half(section).is_some() };
    let sign = if days < 0.0 { "-" } else { "" };
    Some(section.tokens.iter().fold(sign.to_owned(), |out, token| out + &date.shown(token)))
}

fn half(section: &Section) -> Option<&Token> {
    section.tokens.iter().find(|token| matches!(token, Token::Half(_)))
}

struct Moment {
    seconds: u64,
    /// Tenths, hundredths or thousandths of a second.
    parts: u64,
    twelve: bool,
}

impl Moment {
    fn shown(&self, token: &Token) -> String {
        let hour = self.seconds / 3600 % 24;
        let (year, month, day) = civil(self.seconds / 86_400);
        let name = |names: &[&str], at: u64| -> String {
            usize::try_from(at).ok().and_then(|at| names.get(at)).map(|name| (*name).to_owned()).unwrap_or_default()
        };
        match token {
            Token::Literal(words) => words.clone(),
            Token::Year(..=2) => format!("{:02}", year % 100),
            Token::Year(_) => format!("{year:04}"),
            Token::Month(3) => name(&MONTHS, month - 1).chars().take(3).collect(),
            Token::Month(4) => name(&MONTHS, month - 1),
            Token::Month(5..) => name(&MONTHS, month - 1).chars().take(1).collect(),
            Token::Month(digits) => padded(month, *digits),
            Token::Day(3) => name(&WEEKDAYS, self.weekday()).chars().take(3).collect(),
            Token::Day(4..) => name(&WEEKDAYS, self.weekday()),
            Token::Day(digits) => padded(day, *digits),
            Token::Hour(digits) if self.twelve => padded((hour + 11) % 12 + 1, *digits),
            Token::Hour(digits) => padded(hour, *digits),
            Token::Minute(digits) => padded(self.seconds / 60 % 60, *digits),
            Token::Second(digits) => padded(self.seconds % 60, *digits),
            Token::Fraction(digits) => format!(".{:01$}", self.parts, (*digits).min(3)),
            Token::Half(short) => match (hour < 12, short) {
                (true, false) => "AM".into(),
                (false, false) => "PM".into(),
                (true, true) => "a".into(),
                (false, true) => "p".into(),
            },
            Token::Elapsed('h', digits) => padded(self.seconds / 3600, *digits),
            Token::Elapsed('m', digits) => padded(self.seconds / 60, *digits),
            Token::Elapsed(_, digits) => padded(self.seconds, *digits),
            Token::Point => ".".into(),
            Token::Comma => ",".into(),
            Token::Bar => "/".into(),
            Token::Percent => "%".into(),
            Token::Digit(_) | Token::Exponent(_) | Token::General | Token::Text => String::new(),
        }
    }

    /// 0 is Sunday. Excel's first day, 1900-01-01, counts as a Sunday, so that days from March 1900 on are right.
    fn weekday(&self) -> u64 {
        (self.seconds / 86_400 + 6) % 7
    }
}

fn padded(number: u64, digits: usize) -> String {
    format!("{number:00$}", digits.min(20))
}

/// Year, month and day of Excel's day number. Day 60 is 1900-02-29, which never was.
fn civil(serial: u64) -> (u64, u64, u64) {
    match serial {
        0 => return (1900, 1, 0),
        60 => return (1900, 2, 29),
        _ => {}
    }
    // Days since 0000-03-01; 693_900 days lie between that day and 1899-12-30.
    let days = serial + 693_899 + u64::from(serial < 60);
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}
