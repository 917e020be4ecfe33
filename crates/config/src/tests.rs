use std::{fs, path::Path};

use super::{sections::variables, *};

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://app:pw@db.example.com/app");

/// What the API needs in production.
fn production() -> Vec<(&'static str, &'static str)> {
    vec![
        ("ENVIRONMENT", "production"),
        DATABASE,
        ("SUPABASE_URL", "https://abcdefgh.supabase.co"),
        ("STORAGE_URL", "s3://documents"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("STORAGE_SIGNING_SECRET", "0123456789abcdef0123456789abcdef"),
    ]
}

fn with(more: &[(&'static str, &'static str)]) -> Sources {
    Sources::of(production().into_iter().chain(more.iter().copied()))
}

fn without(name: &str) -> Sources {
    Sources::of(production().into_iter().filter(|(n, _)| *n != name))
}

fn load(role: Role, sources: &Sources) -> Config {
    Config::load(role, sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The names in the list of faults.
fn faults(role: Role, sources: &Sources) -> Vec<String> {
    match Config::load(role, sources) {
        Ok(_) => Vec::new(),
        Err(ConfigError(faults)) => faults.into_iter().map(|fault| fault.name).collect(),
    }
}

mod describe;
mod documents;
mod layering;
mod rules;

#[test]
fn a_configuration_shows_no_secret() {
    let planted = |n: usize| format!("planted-secret-{n}-0123456789abcdef0123");
    let mut values: Vec<(String, String)> =
        production().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let secrets = variables().filter(|v| v.secrecy == Secrecy::Secret);
    for (n, variable) in secrets.enumerate() {
        let value = match variable.name {
            "DATABASE_URL" | "DIRECT_URL" | "READ_DATABASE_URL" => {
                format!("postgres://app:{}@db.example.com/app", planted(n))
            }
            _ => planted(n),
        };
        values.push((variable.name.to_owned(), value));
    }
    let sources = Sources::of(values.clone());
    let config = load(Role::Check, &sources);
    let shown = format!("{config:?} {config:#?} {sources:?}");
    assert!(!shown.contains("planted-secret"), "{shown}");
    assert!(shown.contains("postgres://app:***@db.example.com:5432/app"), "{shown}");

    // Nor does a list of faults, whatever is wrong with the secrets, or wherever they were put.
    for variable in variables() {
        for wrong in ["planted-secret x@y://", " postgres://app:planted-secret@h:x:y/ ", "https://u:planted-secret@h"] {
            let sources = Sources::of(values.iter().cloned().chain([(variable.name.to_owned(), wrong.to_owned())]));
            let (config, faults) = Config::load_lenient(Role::Check, &sources);
            let shown = ConfigError(faults).to_string();
            assert!(!shown.contains("planted-secret"), "{shown}");
            assert!(!format!("{:?}", config.warnings).contains("planted-secret"));
        }
    }
}
