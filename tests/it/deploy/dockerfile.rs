//! The Docker image: its contents and its user.

use std::{collections::BTreeMap, fs, path::Path};

use config::{Secrecy, variable};

use super::yaml::read;

/// Every instruction with its arguments, continued lines joined.
pub fn instructions() -> Vec<(String, String)> {
    let lines = read("Dockerfile");
    let mut joined = String::new();
    let mut all = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        joined.push_str(line.trim_end_matches('\\'));
        if !line.ends_with('\\') {
            let (name, rest) = joined.split_once(' ').unwrap();
            all.push((name.to_owned(), rest.trim().to_owned()));
            joined.clear();
        }
    }
    all
}

/// A build stage: its name (the last stage has none), its base and its instructions.
struct Stage {
    name: String,
    base: String,
    instructions: Vec<(String, String)>,
}

impl Stage {
    fn all(&self, instruction: &str) -> impl Iterator<Item = &str> {
        self.instructions.iter().filter(move |(name, _)| name == instruction).map(|(_, rest)| rest.as_str())
    }
}

fn stages() -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (name, rest) in instructions() {
        if name == "FROM" {
            let mut words = rest.split(' ');
            let base = words.next().unwrap().to_owned();
            let name = words.nth(1).unwrap_or_default().to_owned();
            stages.push(Stage { name, base, instructions: Vec::new() });
        } else {
            stages.last_mut().unwrap().instructions.push((name, rest));
        }
    }
    stages
}

fn final_stage() -> Stage {
    stages().pop().unwrap()
}

/// `(stage, path)` of each COPY from another stage, and the sources of each COPY from the project.
fn copies(stage: &Stage) -> (Vec<(String, String)>, Vec<String>) {
    let (mut from_stages, mut from_project) = (Vec::new(), Vec::new());
    for copy in stage.all("COPY") {
        let words: Vec<&str> = copy.split(' ').collect();
        let (_target, sources) = words.split_last().unwrap();
        match sources[0].strip_prefix("--from=") {
            Some(stage) => from_stages.extend(sources[1..].iter().map(|path| (stage.to_owned(), (*path).to_owned()))),
            None => from_project.extend(sources.iter().map(|path| (*path).to_owned())),
        }
    }
    (from_stages, from_project)
}

/// Whether .dockerignore allows a path of the project in the build context.
fn is_in_build_context(path: &str) -> bool {
    let file = read(".dockerignore");
    let mut rules = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"), ".dockerignore excludes everything, then lists exceptions");
    rules.any(|rule| Path::new(path).starts_with(rule.strip_prefix('!').unwrap()))
}

#[test]
fn the_image_does_not_run_as_root() {
    let stage = final_stage();
    let users: Vec<&str> = stage.all("USER").collect();
    let [user] = users[..] else { panic!("one USER, not {users:?}") };
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 1000), "{user}");
    let position = |name: &str| stage.instructions.iter().position(|(n, _)| n == name).unwrap();
    let last_run = stage.instructions.iter().rposition(|(name, _)| name == "RUN").unwrap();
    assert!(last_run < position("USER") && position("USER") < position("CMD"));
    // Program, model and configuration belong to root, so that the running program cannot change them.
    assert!(stage.all("COPY").all(|copy| !copy.contains("--chown")));
}

#[test]
fn the_image_has_a_health_check_and_runs_the_api_by_default() {
    let stage = final_stage();
    let checks: Vec<&str> = stage.all("HEALTHCHECK").collect();
    assert!(
        matches!(checks[..], [check] if check.ends_with(r#"CMD ["app", "check", "--only", "self"]"#)),
        "{checks:?}"
    );
    assert_eq!(stage.all("CMD").collect::<Vec<_>>(), [r#"["app", "api"]"#]);
    // A platform's command replaces CMD, but would be appended to an entry point.
    assert_eq!(stage.all("ENTRYPOINT").count(), 0);
}

#[test]
fn every_base_image_has_a_version_and_rust_has_the_one_of_cargo_toml() {
    let manifest = read("Cargo.toml");
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    for stage in stages() {
        let (image, tag) = stage.base.split_once(':').unwrap_or_else(|| panic!("{} has no tag", stage.base));
        assert!(
            !tag.starts_with("latest") && tag.contains("trixie"),
            "{image}:{tag}: every stage needs the same Debian release, for a common glibc"
        );
        if image == "rust" {
            assert!(tag.starts_with(&format!("{wanted}.")), "{tag} is not Rust {wanted}");
        }
    }
}

#[test]
fn every_copied_path_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The paths that each stage produces, and the command that produces them.
    let made = BTreeMap::from([
        (("model", "/cache/models"), "APP_CACHE_DIR=/cache scripts/fetch model"),
        (("model", "/cache/pdfium"), "APP_CACHE_DIR=/cache scripts/fetch model minilm pdfium"),
        (("model", "/cache/ocr"), "APP_CACHE_DIR=/cache scripts/fetch model minilm pdfium ocr"),
        (("build", "/licences"), "scripts/licences /licences"),
        (("manifests", "/src"), "find crates -type f ! -name Cargo.toml -delete"),
        (("build", "/src/target/release/app"), "cargo build --locked --release --bin app"),
    ]);
    let stages = stages();
    let mut copied = 0;
    for stage in &stages {
        let (from_stages, from_project) = copies(stage);
        for (from, path) in from_stages {
            let recipe = made
                .get(&(from.as_str(), path.as_str()))
                .unwrap_or_else(|| panic!("no stage is known to produce {path}"));
            let source = stages.iter().find(|stage| stage.name == from).unwrap();
            assert!(source.all("RUN").any(|run| run.contains(recipe)), "{from} does not run {recipe}");
            assert!(path.starts_with("/src") <= (source.all("WORKDIR").next() == Some("/src")));
            copied += 1;
        }
        for path in from_project {
            assert!(root.join(&path).exists(), "COPY {path}: there is no such file");
            assert!(is_in_build_context(&path), "COPY {path}: .dockerignore keeps it out");
        }
    }
    assert_eq!(copied, made.len());
    assert!(read("scripts/lib.sh").contains("models_dir=$cache/models\n"), "scripts/fetch puts the model elsewhere");
}

#[test]
fn no_secret_and_no_build_output_gets_into_the_build() {
    for path in [".env", ".git", ".cache", "target", "tests", "docs", "scripts/dev", ".env.example"] {
        assert!(!is_in_build_context(path), "{path}");
    }
    for (name, rest) in instructions().iter().filter(|(name, _)| name == "ARG" || name == "ENV") {
        for word in rest.split_whitespace() {
            let word = word.split('=').next().unwrap();
            let known = variable(word);
            assert!(
                known.is_none_or(|v| v.secrecy == Secrecy::Open),
                "{name} {word}: image layers would reveal this secret"
            );
            assert!(name == "ARG" || known.is_some(), "ENV {word} is not a variable of the program");
        }
    }
}

#[test]
fn every_included_file_is_copied_into_the_build() {
    let stages = stages();
    let build = stages.iter().find(|stage| stage.name == "build").unwrap();
    let (_, copied) = copies(build);
    let mut files = Vec::new();
    for folder in ["src", "crates"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut included = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for rest in
            text.split("include_").skip(1).filter(|rest| rest.starts_with("str!(\"") || rest.starts_with("bytes!(\""))
        {
            let path = rest.split('"').nth(1).unwrap();
            let path = fs::canonicalize(file.parent().unwrap().join(path)).unwrap();
            let path = path.strip_prefix(fs::canonicalize(env!("CARGO_MANIFEST_DIR")).unwrap()).unwrap();
            assert!(copied.iter().any(|copied| path.starts_with(copied)), "{} is not copied", path.display());
            included += 1;
        }
    }
    assert!(included >= 8, "only {included} files are included");
    assert!(copied.contains(&"migrations".to_owned()));
    // The build has no git, so build arguments name the commit.
    let arguments: Vec<&str> = build.all("ARG").collect();
    for argument in ["RENDER_GIT_COMMIT", "RENDER_GIT_BRANCH", "APP_COMMIT", "APP_BRANCH", "SOURCE_DATE_EPOCH"] {
        assert!(arguments.contains(&argument), "ARG {argument}");
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The build compiles no tests.
        if path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_model_is_where_the_program_looks() {
    let stage = final_stage();
    let env: Vec<&str> = stage.all("ENV").flat_map(str::split_whitespace).collect();
    let copies: Vec<&str> = stage.all("COPY").collect();
    for (variable, copy) in [("EMBED_MODEL_DIR=", "--from=model /cache/models "), ("APP_CONFIG_DIR=", "config ")] {
        let folder = env.iter().find_map(|word| word.strip_prefix(variable)).unwrap();
        assert!(copies.contains(&format!("{copy}{folder}").as_str()), "{variable}{folder} is not {copies:?}");
    }
}
