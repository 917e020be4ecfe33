//! Which documents are meant: the grammar of `filter`, as a value.
//!
//! A filter is `{"and": [filter, …]}`, `{"or": [filter, …]}`, `{"not": filter}` or a condition: `{"field": …}` with one or more of
//! `eq`, `in`, `gt`, `gte`, `lt`, `lte`, `exists`, `contains`, which must all hold.

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::metadata::MAX_KEY_CHARS;

/// Bytes of a filter as JSON.
pub const MAX_FILTER_BYTES: usize = 8 * 1024;
/// `and`, `or` and `not` within one another.
const MAX_DEPTH: usize = 5;
/// Conditions of a filter.
const MAX_CONDITIONS: usize = 32;
/// Values of an `in`.
const MAX_VALUES: usize = 100;
/// Keys of the path of a field of the metadata.
const MAX_PATH: usize = 4;

/// Which documents are meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these hold.
    And(Vec<Filter>),
    /// One of these holds, or more.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// A text of the document's own is one of these.
    Text(TextField, Vec<String>),
    /// The file's name holds this, whatever the case.
    NameContains(String),
    /// A time of the document's own compares so.
    Time(TimeField, Comparison, OffsetDateTime),
    /// What stands at this path of the metadata, or an element of it if that is a list, is one of these.
    Meta(Vec<String>, Vec<Value>),
    /// What stands at this path of the metadata, or an element of it, compares so with a number or a text.
    MetaRange(Vec<String>, Vec<(Comparison, Value)>),
    /// The metadata has this path, or not.
    MetaExists(Vec<String>, bool),
}

/// A text that each document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// The file's name.
    Filename,
    /// What it is by its content.
    Kind,
    /// ISO 639-1 code of its language.
    Language,
}

/// A time that each document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeField {
    /// When it was uploaded.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

impl Comparison {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "lt" => Self::Less,
            "lte" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "gte" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// As SQL and jsonpath write it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

const FORMS: &str = "A filter is {\"and\": [filter, …]}, {\"or\": [filter, …]}, {\"not\": filter} or a condition such as {\"field\": \"metadata.year\", \"gte\": 2018}.";
const FIELDS: &str = "`metadata.KEY` (keys within one another joined by dots), `filename`, `kind`, `language`, `created_at` and `updated_at`";

impl Filter {
    /// Reads a filter. The error is a sentence for the client, which says what is allowed.
    ///
    /// # Errors
    ///
    /// It is not of the grammar, or beyond its bounds.
    pub fn parse(value: &Value) -> Result<Self, String> {
        if value.to_string().len() > MAX_FILTER_BYTES {
            return Err(format!("`filter` has more than {MAX_FILTER_BYTES} bytes. Ask for less."));
        }
        let mut conditions = 0;
        let filter = parse(value, 1, &mut conditions)?;
        match conditions > MAX_CONDITIONS {
            true => Err(format!("`filter` has {conditions} conditions; {MAX_CONDITIONS} are allowed.")),
            false => Ok(filter),
        }
    }
}

fn parse(value: &Value, depth: usize, conditions: &mut usize) -> Result<Filter, String> {
    let object = value.as_object().filter(|object| !object.is_empty()).ok_or(FORMS)?;
    if object.contains_key("field") {
        return condition(object, conditions);
    }
    if depth > MAX_DEPTH {
        return Err(format!("`and`, `or` and `not` stand deeper than {MAX_DEPTH} within one another."));
    }
    let mut each = |value: &Value| parse(value, depth + 1, conditions);
    let mut list = |value: &Value| -> Result<Vec<Filter>, String> {
        let filters = value.as_array().filter(|list| !list.is_empty()).ok_or(FORMS)?;
        filters.iter().map(&mut each).collect()
    };
    match object.iter().next() {
        Some((name, value)) if object.len() == 1 => match name.as_str() {
            "and" => Ok(Filter::And(list(value)?)),
            "or" => Ok(Filter::Or(list(value)?)),
            "not" => Ok(Filter::Not(Box::new(each(value)?))),
            _ => Err(FORMS.to_owned()),
        },
        Some(_) | None => Err(FORMS.to_owned()),
    }
}

fn condition(object: &Map<String, Value>, conditions: &mut usize) -> Result<Filter, String> {
    let field =
        object.get("field").and_then(Value::as_str).ok_or_else(|| format!("`field` must be one of {FIELDS}."))?;
    let operators: Vec<(&str, &Value)> =
        object.iter().filter(|(name, _)| *name != "field").map(|(name, value)| (name.as_str(), value)).collect();
    if operators.is_empty() {
        return Err(format!("The condition on `{field}` compares with nothing. {FORMS}"));
    }
    *conditions += operators.len();
    let mut all = match field {
        "filename" => texts(TextField::Filename, field, &operators)?,
        "kind" => texts(TextField::Kind, field, &operators)?,
        "language" => texts(TextField::Language, field, &operators)?,
        "created_at" => times(TimeField::CreatedAt, field, &operators)?,
        "updated_at" => times(TimeField::UpdatedAt, field, &operators)?,
        _ => of_metadata(field, &operators)?,
    };
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(last), false) => {
            all.push(last);
            Ok(Filter::And(all))
        }
        (None, _) => Err(FORMS.to_owned()),
    }
}

fn texts(field: TextField, name: &str, operators: &[(&str, &Value)]) -> Result<Vec<Filter>, String> {
    let text = |value: &Value| {
        let text = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
        text.map(str::to_owned).ok_or_else(|| format!("`{name}` compares with texts only."))
    };
    let of = |(operator, value): &(&str, &Value)| match *operator {
        "eq" => Ok(Filter::Text(field, vec![text(value)?])),
        "in" => Ok(Filter::Text(field, values(name, value)?.iter().map(text).collect::<Result<_, _>>()?)),
        "contains" if field == TextField::Filename => Ok(Filter::NameContains(text(value)?)),
        _ => Err(match field {
            TextField::Filename => format!("`{name}` takes `eq`, `in` and `contains`."),
            TextField::Kind | TextField::Language => format!("`{name}` takes `eq` and `in`."),
        }),
    };
    operators.iter().map(of).collect()
}

fn times(field: TimeField, name: &str, operators: &[(&str, &Value)]) -> Result<Vec<Filter>, String> {
    let of = |(operator, value): &(&str, &Value)| {
        let comparison =
            Comparison::of(operator).ok_or_else(|| format!("`{name}` takes `gt`, `gte`, `lt` and `lte`."))?;
        let time =
            value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()).filter(|at| at.year() >= 1);
        let time =
            time.ok_or_else(|| format!("`{name}` compares with times as RFC 3339 writes them: 2026-03-03T00:00:00Z."))?;
        Ok(Filter::Time(field, comparison, time))
    };
    operators.iter().map(of).collect()
}

fn of_metadata(field: &str, operators: &[(&str, &Value)]) -> Result<Vec<Filter>, String> {
    let keys =
        field.strip_prefix("metadata.").ok_or_else(|| format!("There is no field `{field}`; there are {FIELDS}."))?;
    let path: Vec<String> = keys.split('.').map(str::to_owned).collect();
    let is_key =
        |key: &String| !key.is_empty() && key.chars().count() <= MAX_KEY_CHARS && !key.contains(char::is_control);
    if path.len() > MAX_PATH || !path.iter().all(is_key) {
        return Err(format!(
            "`{field}` is no field of the metadata: up to {MAX_PATH} keys of 1 to {MAX_KEY_CHARS} characters, joined by dots."
        ));
    }
    let (mut all, mut range) = (Vec::new(), Vec::new());
    for (operator, value) in operators {
        match (*operator, Comparison::of(operator)) {
            ("eq", _) => all.push(Filter::Meta(path.clone(), vec![scalar(field, value)?])),
            ("in", _) => {
                let values =
                    values(field, value)?.iter().map(|value| scalar(field, value)).collect::<Result<_, _>>()?;
                all.push(Filter::Meta(path.clone(), values));
            }
            ("exists", _) => {
                let exists = value.as_bool().ok_or_else(|| format!("`exists` of `{field}` must be true or false."))?;
                all.push(Filter::MetaExists(path.clone(), exists));
            }
            (_, Some(comparison)) => {
                let value = scalar(field, value)?;
                if !(value.is_number() || value.is_string()) {
                    return Err(format!("`{operator}` of `{field}` compares with a number or a text."));
                }
                range.push((comparison, value));
            }
            (_, None) => {
                return Err(format!(
                    "`{field}` takes `eq`, `in`, `gt`, `gte`, `lt`, `lte` and `exists`, and no `{operator}`."
                ));
            }
        }
    }
    if !range.is_empty() {
        all.push(Filter::MetaRange(path, range));
    }
    Ok(all)
}

fn values<'a>(field: &str, value: &'a Value) -> Result<&'a Vec<Value>, String> {
    let values = value.as_array().filter(|list| !list.is_empty() && list.len() <= MAX_VALUES);
    values.ok_or_else(|| format!("`in` of `{field}` must be a list of 1 to {MAX_VALUES} values."))
}

fn scalar(field: &str, value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err(format!("`{field}` compares with a NUL character. Leave it out."))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("`{field}` compares with texts, numbers, true and false; `exists` tells whether it is there."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_and_their_combinations_are_read() {
        let parsed = |value: Value| Filter::parse(&value).unwrap();
        let year = vec!["year".to_owned()];
        assert_eq!(
            parsed(json!({"field": "metadata.year", "eq": 2018})),
            Filter::Meta(year.clone(), vec![json!(2018)])
        );
        assert_eq!(
            parsed(json!({"field": "metadata.year", "gte": 2018, "lt": 2020})),
            Filter::MetaRange(
                year.clone(),
                vec![(Comparison::GreaterOrEqual, json!(2018)), (Comparison::Less, json!(2020))]
            )
        );
        let both = json!({"and": [{"field": "kind", "in": ["pdf", "docx"]}, {"not": {"field": "metadata.year", "exists": false}}]});
        assert_eq!(
            parsed(both),
            Filter::And(vec![
                Filter::Text(TextField::Kind, vec!["pdf".into(), "docx".into()]),
                Filter::Not(Box::new(Filter::MetaExists(year, false)))
            ])
        );
        assert!(
            matches!(parsed(json!({"field": "filename", "contains": "10K", "eq": "a"})), Filter::And(all) if all.len() == 2)
        );
        assert!(matches!(parsed(json!({"field": "created_at", "gt": "2026-03-03T00:00:00Z"})), Filter::Time(..)));
    }

    #[test]
    fn what_is_not_of_the_grammar_is_refused_with_what_is_allowed() {
        let deep = (0..6).fold(json!({"field": "kind", "eq": "pdf"}), |filter, _| json!({"not": filter}));
        let many: Vec<Value> = (0..33).map(|_| json!({"field": "kind", "eq": "pdf"})).collect();
        for (filter, said) in [
            (json!([]), "{\"and\""),
            (json!({}), "{\"and\""),
            (json!({"xor": []}), "{\"and\""),
            (json!({"and": []}), "{\"and\""),
            (json!({"and": [{"field": "kind", "eq": "pdf"}], "or": []}), "{\"and\""),
            (json!({"field": "kind"}), "compares with nothing"),
            (json!({"field": "size", "eq": 1}), "there are `metadata.KEY`"),
            (json!({"field": 1, "eq": 1}), "must be one of `metadata.KEY`"),
            (json!({"field": "kind", "gt": "a"}), "takes `eq` and `in`"),
            (json!({"field": "language", "eq": 1}), "texts only"),
            (json!({"field": "created_at", "eq": "2026"}), "takes `gt`"),
            (json!({"field": "created_at", "gt": "2026"}), "RFC 3339"),
            (json!({"field": "metadata.a", "eq": null}), "`exists` tells"),
            (json!({"field": "metadata.a", "eq": [1]}), "`exists` tells"),
            (json!({"field": "metadata.a", "gt": true}), "a number or a text"),
            (json!({"field": "metadata.a", "in": []}), "1 to 100"),
            (json!({"field": "metadata.a", "like": "x"}), "no `like`"),
            (json!({"field": "metadata.", "eq": 1}), "joined by dots"),
            (json!({"field": "metadata.a.b.c.d.e", "eq": 1}), "joined by dots"),
            (deep, "deeper than 5"),
            (json!({ "or": many }), "33 conditions"),
            (json!({"field": "metadata.a", "eq": "x".repeat(9000)}), "more than 8192 bytes"),
        ] {
            let error = Filter::parse(&filter).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
