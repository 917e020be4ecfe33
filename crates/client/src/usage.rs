//! `app usage`: what was bought, by day.

use std::process::ExitCode;

use super::{connect::connect, render};
use crate::args::UsageArgs;
use config::Sources;
use domain::{build_info::BuildInfo, money::Cents};
use messages::{Bought, Usage, UsageOfDay};

/// Prints what the caller has bought.
///
/// # Errors
///
/// There is no API to ask, or its answer is an error.
pub async fn run(args: UsageArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let api = connect(sources, build)?;
    let days = [("from", args.from.clone()), ("to", args.to.clone())];
    let query: Vec<(&str, String)> = days.into_iter().filter_map(|(name, day)| day.map(|day| (name, day))).collect();
    let usage: Usage = api.get("/usage", &query).await?;
    show(&usage, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints it as a table, or as JSON.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn show(usage: &Usage, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return render::print_json(usage);
    }
    render::print(&usage_as_text(usage))
}

fn usage_as_text(usage: &Usage) -> String {
    let mut text = String::new();
    if usage.days.is_empty() {
        text.push_str("Nothing was bought on these days.\n");
    } else {
        let rows = usage.days.iter().map(row).chain([total(usage)]);
        text.push_str(&render::table(
            &["DAY (UTC)", "USER", "PROVIDER", "MODEL", "REQUESTS", "TOKENS", "PAGES", "US CENTS", "UNCERTAIN"],
            rows,
        ));
    }
    if let Some(today) = &usage.today {
        let (left, cap) = (today.left_cents, today.cap_cents);
        text.push_str(&format!(
            "{left} of {cap} US cents are left today, until {} UTC.\n",
            render::moment(today.ends_at)
        ));
    }
    text
}

fn row(day: &UsageOfDay) -> Vec<String> {
    let names = [
        day.day.clone(),
        day.user_id.map(|user| user.to_string()).unwrap_or_default(),
        day.provider.clone(),
        day.model.clone(),
    ];
    names.into_iter().chain(counts(&day.bought, &day.uncertain)).collect()
}

fn total(usage: &Usage) -> Vec<String> {
    let names = ["total", "", "", ""].map(str::to_owned);
    names.into_iter().chain(counts(&usage.total, &usage.uncertain)).collect()
}

fn counts(bought: &Bought, uncertain: &Bought) -> [String; 5] {
    let cents = |cents: Option<Cents>| cents.map_or_else(|| "unknown".to_owned(), |cents| cents.to_string());
    let beside = if uncertain.requests == 0 { String::new() } else { cents(uncertain.cost_cents) };
    [bought.requests.to_string(), bought.tokens.to_string(), bought.pages.to_string(), cents(bought.cost_cents), beside]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_has_a_line_a_day_a_sum_and_what_is_left() {
        let bought = |cost| json!({ "requests": 2, "tokens": 120, "pages": 0, "cost_cents": cost });
        let (sure, unsure) = (bought(json!(0.00024)), bought(json!(null)));
        let day =
            json!({ "day": "2026-03-02", "provider": "openai", "model": "m", "bought": sure, "uncertain": unsure });
        let days = vec![serde_json::from_value(day).unwrap()];
        let today = json!({ "cap_cents": 5.0, "left_cents": 4.5, "ends_at": "2026-03-03T00:00:00Z" });
        let text = usage_as_text(&Usage::of(days, serde_json::from_value(today).unwrap()));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("2026-03-02") && lines[1].contains("0.00024") && lines[1].contains("unknown"),
            "{text}"
        );
        assert!(lines[2].starts_with("total"), "{text}");
        assert!(text.contains("4.5 of 5 US cents are left today"), "{text}");
        let nothing = usage_as_text(&Usage::of(Vec::new(), None));
        assert_eq!(nothing, "Nothing was bought on these days.\n");
    }
}
