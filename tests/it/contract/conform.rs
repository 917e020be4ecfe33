//! Checks an answer against the OpenAPI document. It is stricter than JSON Schema in one point: a field that the document
//! does not name is a fault.

use serde_json::Value;

use super::support::Operation;

/// An answer of the server.
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

/// Lists how an answer differs from what the document says about the operation.
pub fn faults(document: &Value, operation: &Operation<'_>, answer: &Answer) -> Vec<String> {
    let documented = &operation.value["responses"][answer.status.to_string()];
    if documented.is_null() {
        return vec![format!("{} is not documented", answer.status)];
    }
    let mut faults = Vec::new();
    for name in documented["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()) {
        // Only the headers that every answer has.
        if name.starts_with("x-") && !answer.headers.contains(&name) {
            faults.push(format!("{} lacks the header {name}", answer.status));
        }
    }
    let contents = documented["content"].as_object().cloned().unwrap_or_default();
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

/// Checks `value` against `schema`; `at` is the JSON path of the value.
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a reference to an existing schema");
        return check(document, target, value, at, faults);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(document, part, value, at, faults);
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        let fits = variants.iter().filter(|variant| {
            let mut found = Vec::new();
            check(document, variant, value, at, &mut found);
            found.is_empty()
        });
        if fits.count() != 1 {
            faults.push(format!("{at} does not match exactly one variant of oneOf: {value}"));
        }
    }
    if let Some(names) = schema["enum"].as_array()
        && !names.contains(value)
    {
        faults.push(format!("{at} is not one of the documented values: {value}"));
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
        faults.push(format!("{at} is not of type {}: {value}", types.join(" or ")));
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
            faults.push(format!("{at} does not have the format {}: {value}", schema["format"]));
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
            // A schema without required fields only narrows the schema next to it.
            (None, _) if schema["properties"].is_object() && schema["required"].is_array() => {
                faults.push(format!("{at} is not documented"));
            }
            (None, _) => {}
        }
    }
}
