//! A filter of documents as a condition of a statement.

use serde_json::Value;
use time::OffsetDateTime;

use domain::filter::{Filter, TextField, TimeField};
use pg::Param;

/// A condition on `documents AS d`, with its parameters.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// An SQL expression in parentheses; without a filter, `true`.
    pub sql: String,
    params: Vec<Given>,
}

#[derive(Debug)]
enum Given {
    Text(String),
    Texts(Vec<String>),
    Time(OffsetDateTime),
}

impl Condition {
    /// The condition, whose parameters begin at `$first`.
    pub fn of(filter: Option<&Filter>, first: usize) -> Self {
        let mut condition = Self::default();
        condition.sql = filter.map_or_else(|| "true".to_owned(), |filter| condition.render(filter, first));
        condition
    }

    /// The parameters, to be put behind the statement's own.
    pub fn params(&self) -> impl Iterator<Item = &dyn Param> {
        self.params.iter().map(|value| match value {
            Given::Text(text) => text as &dyn Param,
            Given::Texts(texts) => texts,
            Given::Time(time) => time,
        })
    }

    fn param(&mut self, value: Given, first: usize) -> String {
        self.params.push(value);
        format!("${}", first + self.params.len() - 1)
    }

    /// What is unknown, such as a number compared with a text, does not hold, and its negation does.
    fn render(&mut self, filter: &Filter, first: usize) -> String {
        let mut joined = |filters: &[Filter], by: &str| {
            let parts: Vec<String> = filters.iter().map(|filter| self.render(filter, first)).collect();
            format!("({})", parts.join(by))
        };
        match filter {
            Filter::And(filters) => joined(filters, " AND "),
            Filter::Or(filters) => joined(filters, " OR "),
            Filter::Not(filter) => format!("({} IS NOT TRUE)", self.render(filter, first)),
            Filter::Text(field, texts) => {
                let column = match field {
                    TextField::Filename => "d.filename",
                    TextField::Kind => "d.kind",
                    TextField::Language => {
                        "(SELECT s.language FROM upload_pipeline.search_documents AS s WHERE s.document_id = d.document_id)"
                    }
                };
                format!("({column} = ANY ({}))", self.param(Given::Texts(texts.clone()), first))
            }
            Filter::NameContains(part) => {
                format!("(strpos(lower(d.filename), lower({})) > 0)", self.param(Given::Text(part.clone()), first))
            }
            Filter::Time(field, comparison, time) => {
                let column = match field {
                    TimeField::CreatedAt => "d.created_at",
                    TimeField::UpdatedAt => "d.updated_at",
                };
                format!("({column} {} {})", comparison.symbol(), self.param(Given::Time(*time), first))
            }
            Filter::Meta(path, values) => {
                let at = at(path);
                let equal: Vec<String> = values.iter().map(|value| format!("{at} == {value}")).collect();
                self.matches(equal.join(" || "), first)
            }
            Filter::MetaRange(path, range) => {
                let all: Vec<String> = range.iter().map(|(by, value)| format!("@ {} {value}", by.symbol())).collect();
                self.matches(format!("exists({} ? ({}))", at(path), all.join(" && ")), first)
            }
            Filter::MetaExists(path, true) => self.matches(format!("exists({})", at(path)), first),
            Filter::MetaExists(path, false) => {
                format!("({} IS NOT TRUE)", self.matches(format!("exists({})", at(path)), first))
            }
        }
    }

    /// The index on the metadata answers it.
    fn matches(&mut self, path: String, first: usize) -> String {
        format!("(d.metadata @@ {}::jsonpath)", self.param(Given::Text(path), first))
    }
}

/// A path as jsonpath writes it. Its strings, and the values that it compares with, are those of JSON.
fn at(path: &[String]) -> String {
    path.iter().fold("$".to_owned(), |at, key| format!("{at}.{}", Value::from(key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_a_filter_stands_in_the_statement() {
        let filter = Filter::parse(&json!({"or": [
            {"field": "metadata.a\"b'c", "eq": "d'\"\\ || true"},
            {"not": {"field": "filename", "in": ["'; DROP TABLE x"]}}
        ]}));
        let condition = Condition::of(Some(&filter.unwrap()), 4);
        assert_eq!(condition.sql, "((d.metadata @@ $4::jsonpath) OR ((d.filename = ANY ($5)) IS NOT TRUE))");
        assert_eq!(condition.params().count(), 2);
        let Given::Text(path) = &condition.params[0] else { panic!("a text") };
        assert_eq!(path, r#"$."a\"b'c" == "d'\"\\ || true""#);
        assert_eq!(Condition::of(None, 4).sql, "true");
    }
}
