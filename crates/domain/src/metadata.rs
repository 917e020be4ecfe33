//! What a client says of a document beside its text: a bounded JSON object.

use serde_json::Value;

/// Bytes of the object as JSON.
pub const MAX_METADATA_BYTES: usize = 8 * 1024;
/// Objects and lists within one another, the outermost among them.
pub const MAX_METADATA_DEPTH: usize = 4;
/// Keys of all objects together.
pub const MAX_METADATA_KEYS: usize = 64;
/// Characters of a key.
pub const MAX_KEY_CHARS: usize = 64;

/// Checks that `value` may be a document's metadata. The error is a sentence for the client.
///
/// # Errors
///
/// It is no object, too large, too deep, has too many keys, one that is empty or too long, or a NUL character.
pub fn check_metadata(value: &Value) -> Result<(), String> {
    if !value.is_object() {
        return Err("`metadata` is no JSON object. Send one, such as {\"year\": 2018}.".to_owned());
    }
    let bytes = value.to_string().len();
    if bytes > MAX_METADATA_BYTES {
        return Err(format!("`metadata` has {bytes} bytes; {MAX_METADATA_BYTES} are allowed."));
    }
    let mut keys = 0;
    check_part(value, 1, &mut keys)?;
    match keys > MAX_METADATA_KEYS {
        true => Err(format!("`metadata` has {keys} keys; {MAX_METADATA_KEYS} are allowed.")),
        false => Ok(()),
    }
}

fn check_part(value: &Value, depth: usize, keys: &mut usize) -> Result<(), String> {
    if (value.is_object() || value.is_array()) && depth > MAX_METADATA_DEPTH {
        return Err(format!("`metadata` is nested deeper than {MAX_METADATA_DEPTH}."));
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                *keys += 1;
                check_key(key)?;
                check_part(member, depth + 1, keys)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_part(item, depth + 1, keys)),
        Value::String(text) if text.contains('\0') => Err("`metadata` holds a NUL character. Leave it out.".to_owned()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => Ok(()),
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let count = key.chars().count();
    match count == 0 || count > MAX_KEY_CHARS || key.contains(char::is_control) {
        true => Err(format!(
            "A key of `metadata` must have 1 to {MAX_KEY_CHARS} characters, none of them a control character."
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_an_object_within_its_bounds() {
        let keys = |count: usize| Value::Object((0..count).map(|i| (format!("k{i}"), json!(1))).collect());
        for good in
            [json!({}), json!({"a": {"b": {"c": [1, null, true, "x"]}}}), keys(64), json!({"a": "x".repeat(8000)})]
        {
            assert_eq!(check_metadata(&good), Ok(()));
        }
        for (bad, said) in [
            (json!([]), "no JSON object"),
            (json!("a"), "no JSON object"),
            (json!({"a": {"b": {"c": [[1]]}}}), "deeper than 4"),
            (keys(65), "65 keys"),
            (json!({"a": "x".repeat(8200)}), "bytes"),
            (json!({"": 1}), "1 to 64 characters"),
            (json!({"k".repeat(65): 1}), "1 to 64 characters"),
            (json!({"a": ["x\0"]}), "NUL"),
        ] {
            let error = check_metadata(&bad).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
