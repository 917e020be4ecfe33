//! The program accepts every command in the documentation and in the platforms' files.

use std::{fs, path::Path};

use app::cli::Cli;
use clap::{Parser, error::ErrorKind};

use super::{
    dockerfile::instructions,
    yaml::{entries, items, load, read, text},
};

/// Lines in fenced blocks that are output of the program, although they start like a command.
const OUTPUT_LINES: &[&str] = &["app dev is running, and keeps its data in …", "app 0.1.0 (commit "];
const UUID: &str = "0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10";

/// The pages with commands for people to type.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let mut pages: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .chain(["README.md".to_owned()])
        .collect();
    pages.sort();
    pages
}

/// The lines within fences; a line that ends with a backslash is joined with the next.
fn fenced(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut inside, mut open) = (false, String::new());
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            open.push_str(line.trim());
            match open.strip_suffix('\\') {
                Some(more) => open = more.trim_end().to_owned() + " ",
                None => lines.push(std::mem::take(&mut open)),
            }
        }
    }
    assert!(!inside, "a fence is not closed");
    lines
}

/// The code spans of the prose and the tables.
fn inline(page: &str) -> Vec<String> {
    let mut inside = false;
    let prose = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The `app` commands in a line of shell, without an explanation after two spaces or a `#`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for word in words(line) {
        match word.as_str() {
            "&&" | "||" | "|" | ";" => all.push(Vec::new()),
            _ => all.last_mut().unwrap().push(word),
        }
    }
    all.into_iter().filter_map(app_arguments).collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ') if matches!(chars.peek(), Some(' ' | '#')) => break,
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// `app` and its arguments, after variable assignments and `docker compose exec SERVICE` are removed.
fn app_arguments(words: Vec<String>) -> Option<Vec<String>> {
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let rest: Vec<String> = words.into_iter().skip_while(is_variable).collect();
    let at = if rest.starts_with(&["docker".into(), "compose".into()]) {
        rest.iter().skip(4).position(|word| word == "app")? + 4
    } else {
        0
    };
    (rest.get(at).is_some_and(|word| word == "app")).then(|| {
        let is_argument = |word: &String| !matches!(word.as_str(), ">" | ">>" | "2>" | "<");
        rest[at..].iter().take_while(|word| is_argument(word)).map(|word| fill_placeholder(word)).collect()
    })
}

/// Replaces a placeholder by a value.
fn fill_placeholder(word: &str) -> String {
    match word {
        "ID" | "UUID" | "KEY_ID" | "JOB_ID" => UUID.to_owned(),
        "COMMAND" => "migrate".to_owned(),
        "COMMIT" => "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1".to_owned(),
        _ if word.contains('…') => UUID.to_owned(),
        _ => word.to_owned(),
    }
}

fn refusal(arguments: &[String]) -> Option<String> {
    let error = Cli::try_parse_from(arguments).err()?;
    // A group without a subcommand, as in "`app keys`", names the group and is accepted.
    let shown = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingRequiredArgument
    );
    (!shown).then(|| format!("{}\n    {error}", arguments.join(" ")))
}

fn is_printed(line: &str) -> bool {
    OUTPUT_LINES.iter().any(|start| line.trim().starts_with(start))
}

/// The number of commands in `lines`, and the error for each that the program refuses.
fn check_commands(place: &str, lines: impl IntoIterator<Item = String>) -> (usize, Vec<String>) {
    let all: Vec<Vec<String>> =
        lines.into_iter().filter(|line| !is_printed(line)).flat_map(|line| commands(&line)).collect();
    let refused = all.iter().filter_map(|arguments| Some(format!("{place}: {}", refusal(arguments)?))).collect();
    (all.len(), refused)
}

#[test]
fn every_app_command_in_the_documentation_is_valid() {
    let pages: Vec<(String, String)> = pages().into_iter().map(|name| (read(&name), name)).collect();
    let (mut found, mut refused) = (0, Vec::new());
    for (page, name) in &pages {
        let (more, wrong) = check_commands(name, fenced(page).into_iter().chain(inline(page)));
        found += more;
        refused.extend(wrong);
    }
    assert!(refused.is_empty(), "the program refuses these commands:\n{}", refused.join("\n"));
    assert!(found > 60, "only {found} commands were found");
    for line in OUTPUT_LINES {
        assert!(pages.iter().any(|(page, _)| page.contains(line)), "no page shows {line:?} any more");
    }
}

#[test]
fn every_app_command_in_the_deployment_files_is_valid() {
    for name in ["render.yaml", "render.staging.yaml"] {
        let blueprint = load(name);
        let lines = items(&blueprint["services"]).flat_map(|service| {
            let release =
                text(&service["preDeployCommand"]).trim_start_matches("/bin/sh -c ").trim_matches('"').to_owned();
            [text(&service["dockerCommand"]).to_owned(), release]
        });
        assert_eq!(check_commands(name, lines), (4, Vec::new()));
    }
    let image = instructions();
    let json = |arguments: &str| {
        let list: Vec<String> = serde_json::from_str(&arguments[arguments.find('[').unwrap()..]).unwrap();
        list.join(" ")
    };
    let lines = image.iter().filter(|(name, _)| name == "CMD" || name == "HEALTHCHECK").map(|(_, rest)| json(rest));
    assert_eq!(check_commands("Dockerfile", lines), (2, Vec::new()));
    let compose = load("compose.yaml");
    let lines = entries(&compose["services"])
        .map(|(_, service)| items(&service["command"]).map(text).collect::<Vec<_>>().join(" "));
    assert_eq!(check_commands("compose.yaml", lines), (3, Vec::new()));
}

#[test]
fn the_scan_finds_the_commands_that_a_person_would_type() {
    let page = "app outside, `app dev`\n```\napp jobs retry ID --from parsed   again\nENVIRONMENT=staging app migrate && app check # both\n\
        docker compose exec api app keys create \\\n  me\napp parse a.pdf > a.md\n```\n";
    let found: Vec<String> =
        fenced(page).iter().flat_map(|line| commands(line)).map(|arguments| arguments.join(" ")).collect();
    assert_eq!(inline(page), ["app dev"]);
    let retry = format!("app jobs retry {UUID} --from parsed");
    assert_eq!(found, [retry.as_str(), "app migrate", "app check", "app keys create me", "app parse a.pdf"]);
    assert!(refusal(&["app".into(), "migrate".into(), "--now".into()]).is_some());
    assert!(refusal(&["app".into(), "--version".into()]).is_none());
}
