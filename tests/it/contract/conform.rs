//! Whether an answer is what the document says of it. Stricter than JSON Schema in one thing: a field that the document does
//! not name is a fault, since nobody could know of it.

use serde_json::Value;

use super::support::Operation;

/// An answer as it came.
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub headers: Vec<String>,
    pub body: Value,
}

impl Answer {
    /// A problem's code.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// What is wrong with an answer of the operation.
pub fn faults(document: &Value, operation: &Operation<'_>, answer: &Answer) -> Vec<String> {
    let said = &operation.value["responses"][answer.status.to_string()];
    if said.is_null() {
        return vec![format!("{} is not documented", answer.status)];
    }
    let mut faults = Vec::new();
    for name in said["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()) {
        // Of headers, those that every answer has.
        if name.starts_with("x-") && !answer.headers.contains(&name) {
            faults.push(format!("{} lacks the header {name}", answer.status));
        }
    }
    let contents = said["content"].as_object().cloned().unwrap_or_default();
    let kind = answer.content_type.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
    match kind {
        None if contents.is_empty() => {}
        None => faults.push(format!("{} has no content type", answer.status)),
        Some(_) if operation.method == "head" => {}
        Some(kind) => match contents.get(&kind) {
            None => faults.push(format!("{} as {kind} is not documented", answer.status)),
            Some(content) => check(document, &content["schema"], &answer.body, "$", &mut faults),
        },
    }
    faults
}

/// `value` against `schema`; `at` is where it stands.
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a reference leads somewhere");
        return check(document, target, value, at, faults);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(document, part, value, at, faults);
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fits = ways.iter().filter(|way| {
            let mut found = Vec::new();
            check(document, way, value, at, &mut found);
            found.is_empty()
        });
        if fits.count() != 1 {
            faults.push(format!("{at} is not one of the ways it may be: {value}"));
        }
    }
    if let Some(names) = schema["enum"].as_array()
        && !names.contains(value)
    {
        faults.push(format!("{at} is none of the names documented: {value}"));
    }
    check_type(schema, value, at, faults);
    check_bounds(schema, value, at, faults);
    check_fields(document, schema, value, at, faults);
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            check(document, &schema["items"], item, &format!("{at}[{index}]"), faults);
        }
    }
}

fn check_type(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits = types.iter().any(|kind| match *kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    });
    if !fits {
        faults.push(format!("{at} is no {}: {value}", types.join(" or ")));
    }
}

fn check_bounds(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(number) = value.as_f64() {
        let below = schema["minimum"].as_f64().is_some_and(|minimum| number < minimum);
        if below || schema["maximum"].as_f64().is_some_and(|maximum| number > maximum) {
            faults.push(format!("{at} is out of bounds: {value}"));
        }
    }
    if let Some(text) = value.as_str() {
        let fits = match schema["format"].as_str() {
            Some("uuid") => uuid::Uuid::try_parse(text).is_ok() && text.len() == 36,
            Some("date-time") => {
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
                    && text.ends_with('Z')
            }
            _ => true,
        };
        if !fits {
            faults.push(format!("{at} is no {}: {value}", schema["format"]));
        }
    }
}

fn check_fields(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(format!("{at} lacks {name}"));
        }
    }
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(known), _) => check(document, known, value, &at, faults),
            (None, Value::Bool(true)) => {}
            (None, more @ Value::Object(_)) => check(document, more, value, &at, faults),
            // What requires nothing only narrows what stands beside it.
            (None, _) if schema["properties"].is_object() && schema["required"].is_array() => {
                faults.push(format!("{at} is not documented"));
            }
            (None, _) => {}
        }
    }
}
