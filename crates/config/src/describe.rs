//! The table of variables for people: docs/configuration.md and `.env.example`. A test compares both with what is
//! made here.

use std::fmt::Write as _;

use super::{
    Environment, SECTIONS, Secrecy, VARIABLES, Variable,
    environment::Role,
    files::{self, Setting},
};

/// The groups of [`VARIABLES`] with their titles.
fn groups() -> impl Iterator<Item = (&'static str, Vec<&'static Variable>)> {
    SECTIONS.iter().map(|(_, title)| (*title, VARIABLES.iter().filter(|v| v.section() == *title).collect()))
}

/// The tables of docs/configuration.md, one a group.
pub fn render_markdown_table() -> String {
    let defaults = Defaults::new();
    let mut page = String::new();
    for (title, variables) in groups() {
        // Writing to a String cannot fail.
        _ = writeln!(page, "### {title}\n\n| variable | in files | default | meaning | read by |");
        _ = writeln!(page, "| --- | --- | --- | --- | --- |");
        for v in variables {
            let key = match (v.key, v.secrecy) {
                (Some(key), _) => format!("`{key}`"),
                (None, Secrecy::Secret) => "never (secret)".to_owned(),
                (None, Secrecy::Open) => "no".to_owned(),
            };
            let default = defaults.describe(v);
            _ = writeln!(page, "| `{}` | {key} | {default} | {} | {} |", v.name, v.meaning, roles(v.roles));
        }
        page.push('\n');
    }
    page.trim_end().to_owned()
}

/// `.env.example`: enough to run against a local Postgres, and everything else to uncomment.
pub fn render_env_example() -> String {
    let defaults = Defaults::new();
    let mut page =
        "# Copy to .env, which is read in development only; variables of the real environment win over it.\n\
                    # A value with spaces, # or $ goes into single quotes. docs/configuration.md says more.\n"
            .to_owned();
    for (title, variables) in groups() {
        _ = writeln!(page, "\n# --- {title} ---");
        for v in variables {
            let (mark, value) = match v.name {
                "ENVIRONMENT" => ("", "development".to_owned()),
                "DATABASE_URL" => ("", "postgres://app:app@localhost:5432/app".to_owned()),
                _ => ("# ", defaults.in_development(v).unwrap_or_else(|| v.example.to_owned())),
            };
            let value = if value.contains([' ', '#', '$']) { format!("'{value}'") } else { value };
            _ = writeln!(page, "\n# {}\n{mark}{}={value}", v.meaning, v.name);
        }
    }
    page
}

fn roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// The settings of the files in the program.
struct Defaults {
    everywhere: Vec<Setting>,
    by_environment: Vec<(Environment, Vec<Setting>)>,
}

impl Defaults {
    fn new() -> Self {
        let parse = |text| files::parse(text, "built-in", &mut Vec::new());
        let by_environment = Environment::ALL.into_iter().map(|e| (e, parse(files::built_in(e)))).collect();
        Self { everywhere: parse(files::DEFAULT), by_environment }
    }

    fn describe(&self, variable: &Variable) -> String {
        let quoted = |text: &str| if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") };
        let mut parts: Vec<String> = find(&self.everywhere, variable).map(quoted).into_iter().collect();
        for (environment, settings) in &self.by_environment {
            parts.extend(find(settings, variable).map(|text| format!("{environment}: {}", quoted(text))));
        }
        parts.join("; ")
    }

    fn in_development(&self, variable: &Variable) -> Option<String> {
        let own = self.by_environment.iter().filter(|(e, _)| e.is_development()).flat_map(|(_, settings)| settings);
        let mut all = self.everywhere.iter().chain(own);
        all.rfind(|s| s.name == variable.name).map(|s| s.text.clone())
    }
}

fn find<'a>(settings: &'a [Setting], variable: &Variable) -> Option<&'a str> {
    settings.iter().find(|s| s.name == variable.name).map(|s| s.text.as_str())
}
