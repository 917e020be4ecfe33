//! docs/configuration.md, `.env.example` and config/default.toml say what the declarations say.

use super::{
    describe::{render_default_toml, render_env_example, render_markdown_table},
    *,
};

const BEGIN: &str = "<!-- config:begin -->\n";
const END: &str = "\n<!-- config:end -->";

/// Compares a file of the repository with what it should be, or, with `UPDATE_DOCS=1`, writes it.
fn expect_file(name: &str, wanted: &str, found: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name), wanted).unwrap();
    } else {
        assert!(wanted == found, "{name} is out of date: run the tests once with UPDATE_DOCS=1");
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap_or_default()
}

#[test]
fn the_documentation_has_the_table() {
    let page = read("docs/configuration.md");
    let (before, rest) = page.split_once(BEGIN.trim_end()).unwrap();
    let (_, after) = rest.split_once(END.trim_start()).unwrap();
    let wanted = format!("{before}{BEGIN}\n{}\n{END}{after}", render_markdown_table());
    expect_file("docs/configuration.md", &wanted, &page);
}

#[test]
fn the_example_of_an_env_file_has_every_variable_and_works() {
    let example = render_env_example();
    expect_file(".env.example", &example, &read(".env.example"));
    for variable in variables() {
        assert!(example.contains(&format!("{}=", variable.name)), "{} is missing", variable.name);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, &example).unwrap();
    for role in [Role::Api, Role::Worker, Role::Migrate, Role::Check] {
        let config = load(role, &Sources::default().with_env_file(&file));
        assert_eq!(config.warnings, []);
    }
    // Everything uncommented can at least be read, and what it gives as defaults are the defaults.
    let all = example.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("# ")?.split_once('=')?;
        variable(name).map(|_| format!("{}\n", &line[2..]))
    });
    fs::write(&file, all.collect::<String>()).unwrap();
    let entries: Vec<(String, String)> = dotenvy::from_path_iter(&file).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), variables().count() - 2);
}

#[test]
fn the_file_of_defaults_has_every_default() {
    let page = render_default_toml();
    expect_file("config/default.toml", &page, &read("config/default.toml"));
    let mut found = Vec::new();
    let settings = files::parse(&page, "default.toml", &mut found);
    assert_eq!(found, []);
    for variable in variables() {
        assert_eq!(settings.get(variable.name).map(|s| s.text.as_str()), variable.default, "{}", variable.name);
    }
}

#[test]
fn every_default_and_every_example_is_right() {
    for variable in variables().filter(|v| v.name != "APP_CONFIG_DIR") {
        for text in variable.default.into_iter().chain([variable.example]) {
            let sources = Sources::of([("ENVIRONMENT", "development")]).with_value(variable.name, text);
            let layers = Layers::resolve(&sources, Role::Check, &mut Vec::new());
            let mut reader = Reader::new(&layers);
            Config::read(Role::Check, &layers, &mut reader);
            assert_eq!(reader.faults, [], "{}={text}", variable.name);
        }
    }
}

#[test]
fn every_setting_has_a_name_and_a_key_of_its_own() {
    let names: std::collections::BTreeSet<&str> = variables().flat_map(|v| [v.name].into_iter().chain(v.key)).collect();
    assert_eq!(names.len(), variables().map(|v| 1 + usize::from(v.key.is_some())).sum::<usize>());
}

#[test]
fn every_key_of_the_files_is_known_and_every_environment_loads() {
    for environment in Environment::ALL {
        let mut found = Vec::new();
        files::parse(files::built_in(*environment), "built-in", &mut found);
        assert_eq!(found, []);
    }
}
