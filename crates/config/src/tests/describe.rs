//! Renders docs/configuration.md, `.env.example` and config/default.toml from the settings. Tests compare the files with
//! the result.

use std::fmt::Write as _;

use crate::{
    environment::{Environment, Role},
    files::{self, Settings},
    sections::GROUPS,
    setting::{Secrecy, Variable},
};

/// The tables of docs/configuration.md, one for each group.
pub(super) fn render_markdown_table() -> String {
    let files = Files::new();
    let mut page = String::new();
    for group in &GROUPS {
        // Writing to a String cannot fail.
        _ = writeln!(page, "### {}\n\n| variable | in files | default | meaning | read by |", group.title);
        _ = writeln!(page, "| --- | --- | --- | --- | --- |");
        for v in group.variables {
            let key = match (v.key, v.secrecy) {
                (Some(key), _) => format!("`{key}`"),
                (None, Secrecy::Secret) => "never (secret)".to_owned(),
                (None, Secrecy::Open) => "no".to_owned(),
            };
            let roles = v.roles.iter().copied().map(Role::as_str).collect::<Vec<_>>().join(", ");
            _ = writeln!(page, "| `{}` | {key} | {} | {} | {roles} |", v.name, files.defaults(v), v.meaning());
        }
        page.push('\n');
    }
    page.trim_end().to_owned()
}

/// `.env.example`: enough to run with a local Postgres; all other settings are comments.
pub(super) fn render_env_example() -> String {
    let files = Files::new();
    let mut page =
        "# Copy to .env, which is read in development only; variables of the real environment win over it.\n\
                    # A value with spaces, # or $ goes into single quotes. docs/configuration.md says more.\n"
            .to_owned();
    for group in &GROUPS {
        _ = writeln!(page, "\n# --- {} ---", group.title);
        for v in group.variables {
            let (mark, value) = match v.name {
                "ENVIRONMENT" => ("", "development"),
                "DATABASE_URL" => ("", "postgres://app:app@localhost:5432/app"),
                _ => ("# ", files.of(Environment::Development, v).or(v.default).unwrap_or(v.example)),
            };
            let quote = if value.contains([' ', '#', '$']) { "'" } else { "" };
            _ = writeln!(page, "\n# {}\n{mark}{}={quote}{value}{quote}", v.meaning(), v.name);
        }
    }
    page
}

/// config/default.toml: the defaults of all settings that files may contain.
pub(super) fn render_default_toml() -> String {
    let mut page = "# Defaults of every environment, as the settings in crates/config/src/sections declare them.\n\
                    # Durations are seconds; sizes are bytes, or text with a unit (\"25 MiB\"). Secrets are taken from the\n\
                    # environment only. docs/configuration.md says which variable overrides which key.\n"
        .to_owned();
    let mut table = "";
    for v in GROUPS.iter().flat_map(|group| group.variables) {
        let Some((section, key)) = v.key.and_then(|key| key.split_once('.')) else { continue };
        if section != table {
            _ = writeln!(page, "\n[{section}]");
            table = section;
        }
        _ = match v.default {
            Some(default) => writeln!(page, "# {}\n{key} = {}", v.meaning(), toml(default)),
            None => writeln!(page, "# {}\n# {key} = {}", v.meaning(), toml(v.example)),
        };
    }
    page
}

/// A number or a flag as it is; everything else in quotes.
fn toml(value: &str) -> String {
    let bare = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    if bare { value.to_owned() } else { format!("{value:?}") }
}

/// The settings of each environment's built-in file.
struct Files(Vec<(Environment, Settings)>);

impl Files {
    fn new() -> Self {
        let parse = |environment| files::parse(files::built_in(environment), "built-in", &mut Vec::new());
        Self(Environment::ALL.iter().map(|environment| (*environment, parse(*environment))).collect())
    }

    fn of(&self, environment: Environment, variable: &Variable) -> Option<&str> {
        let (_, settings) = self.0.iter().find(|(other, _)| *other == environment)?;
        settings.get(variable.name).map(|setting| setting.text.as_str())
    }

    /// The default, and the environments' own values.
    fn defaults(&self, variable: &Variable) -> String {
        let quoted = |text: &str| if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") };
        let own = self.0.iter().filter_map(|(environment, _)| Some((environment, self.of(*environment, variable)?)));
        let own = own.map(|(environment, text)| format!("{environment}: {}", quoted(text)));
        variable.default.map(quoted).into_iter().chain(own).collect::<Vec<_>>().join("; ")
    }
}
