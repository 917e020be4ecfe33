//! Which source wins.

use std::time::Duration;

use super::*;

#[test]
fn defaults_are_those_of_the_design() {
    let config = load(Role::Check, &with(&[]));
    let seconds = Duration::from_secs;
    assert_eq!((config.worker.lease, config.worker.heartbeat), (seconds(30), seconds(10)));
    assert_eq!((config.worker.poll_interval, config.worker.listen_poll_interval), (seconds(5), seconds(30)));
    assert_eq!((config.worker.max_retries, config.worker.retry_base_delay), (3, seconds(3)));
    assert_eq!((config.worker.grace, config.worker.max_running_jobs_per_user), (seconds(25), 2));
    assert_eq!((config.uploads.max_bytes, config.uploads.max_filename_chars), (25 << 20, 120));
    assert_eq!(config.uploads.per_day, 30);
    let kept = config.retention;
    assert_eq!((kept.events_days, kept.webhooks_days, kept.jobs_days, kept.receipts_days), (90, 30, 0, 365));
    assert_eq!((kept.versions_days, kept.judgements_days), (30, 0));
    assert_eq!((config.parser.max_pages, config.parser.memory_bytes), (500, None));
    assert_eq!(config.parser.limits(1).time, seconds(120));
    assert_eq!((config.embedder.model.as_str(), config.embedder.version.as_str()), ("multilingual-e5-small", "1"));
    assert_eq!((config.http.host.as_str(), config.auth.audience.as_str()), ("0.0.0.0", "authenticated"));
    let development = Sources::of([("ENVIRONMENT", "development"), DATABASE]);
    assert_eq!(load(Role::Api, &development).uploads.per_day, 0);
}

#[test]
fn the_environment_wins_over_the_files() {
    let config = load(Role::Worker, &with(&[("WORKER_LEASE", "60"), ("WORKER_POLL_INTERVAL", "0.5")]));
    assert_eq!(config.worker.lease, Duration::from_secs(60));
    assert_eq!(config.worker.poll_interval, Duration::from_millis(500));
}

#[test]
fn the_platforms_port_wins() {
    assert_eq!(load(Role::Api, &with(&[])).http.port, 8000);
    assert_eq!(load(Role::Api, &with(&[("API_PORT", "9000")])).http.port, 9000);
    assert_eq!(load(Role::Api, &with(&[("API_PORT", "9000"), ("PORT", "10000")])).http.port, 10000);
    assert_eq!(faults(Role::Api, &with(&[("PORT", "0")])), ["PORT"]);
    assert_eq!(faults(Role::Api, &with(&[("PORT", "70000"), ("API_PORT", "web")])), ["PORT", "API_PORT"]);
}

#[test]
fn empty_values_count_as_unset() {
    let config = load(Role::Api, &with(&[("PORT", ""), ("API_PORT", " "), ("LOG_LEVEL", "")]));
    assert_eq!(config.http.port, 8000);
    assert_eq!(config.telemetry.log_level.to_string(), "info");
}

#[test]
fn files_on_disk_win_over_those_in_the_program() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("default.toml"), "[worker]\nlease = 40\npoll_interval = 1.5\n").unwrap();
    fs::write(folder.path().join("production.toml"), "[worker]\npoll_interval = 2\n").unwrap();
    let config = load(Role::Worker, &with(&[]).with_folder(folder.path()));
    assert_eq!(config.worker.lease, Duration::from_secs(40));
    assert_eq!(config.worker.poll_interval, Duration::from_secs(2));
    assert_eq!(config.worker.heartbeat, Duration::from_secs(10), "what the file leaves out is built in");
    // A folder that happens not to exist is no fault; one asked for by name is.
    let nowhere = folder.path().join("nowhere");
    assert_eq!(faults(Role::Worker, &with(&[]).with_folder(&nowhere)), [""; 0]);
    let name = nowhere.display().to_string();
    let pairs = production().into_iter().map(|(name, value)| (name, value.to_owned()));
    let named = Sources::of(pairs.chain([("APP_CONFIG_DIR", name)]));
    assert_eq!(faults(Role::Worker, &named), ["APP_CONFIG_DIR"]);
}

#[test]
fn unknown_keys_and_broken_files_are_faults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("production.toml");
    fs::write(&file, "colour = 1\n[worker]\nleese = 40\n[database]\nurl = 'postgres://a:pw@h/x'\n[http.port]\nx = 1\n")
        .unwrap();
    let sources = with(&[]).with_folder(folder.path());
    let Err(error) = Config::load(Role::Worker, &sources) else { panic!("it was taken") };
    let names: Vec<&str> = error.0.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["colour", "database.url", "http.port", "worker.leese"]);
    let text = error.to_string();
    assert!(text.contains("Did you mean worker.lease?"), "{text}");
    assert!(text.contains("production.toml") && !text.contains("pw@"), "{text}");

    fs::write(&file, "[worker\nsecret = 'hunter-2'\n").unwrap();
    let Err(error) = Config::load(Role::Worker, &sources) else { panic!("it was taken") };
    let text = error.to_string();
    assert!(text.contains("line 1") && !text.contains("hunter"), "{text}");
}

#[test]
fn a_wrong_value_in_a_file_names_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("production.toml"), "[worker]\nlease = 'soon'\n").unwrap();
    // The API does not use the lease; the file is wrong all the same.
    let Err(error) = Config::load(Role::Api, &with(&[]).with_folder(folder.path())) else { panic!("it was taken") };
    let text = error.to_string();
    assert!(text.contains("WORKER_LEASE (") && text.contains("production.toml, worker.lease)"), "{text}");
    assert!(text.contains("`soon`") && text.contains("Example: WORKER_LEASE=30"), "{text}");
}

#[test]
fn an_env_file_is_read_in_development_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    let from_file = "postgres://app:filepw@file.example.com/app";
    fs::write(
        &file,
        format!("# comment\nENVIRONMENT=development\nDATABASE_URL='{from_file}'\nAPI_PORT=9001\nWORKER_LEESE=1\n"),
    )
    .unwrap();
    let of = |variables: &[(&'static str, &'static str)]| Sources::of(variables.iter().copied()).with_env_file(&file);
    let host = |sources: &Sources| load(Role::Api, sources).database.url().unwrap().host();

    assert_eq!(host(&of(&[])), "file.example.com");
    let config = load(Role::Api, &of(&[("ENVIRONMENT", "development"), DATABASE]));
    assert_eq!(config.database.url().unwrap().host(), "db.example.com", "the real environment wins");
    assert_eq!(config.http.port, 9001);
    assert_eq!(config.warnings.len(), 1, "a misspelt name in the file is found");
    assert_eq!(faults(Role::Migrate, &of(&[("ENVIRONMENT", "staging")])), ["DATABASE_URL"]);

    fs::write(&file, "ENVIRONMENT=production\nDATABASE_URL=postgres://app:pw@prod.example.com/app\n").unwrap();
    assert_eq!(faults(Role::Migrate, &of(&[])), ["ENVIRONMENT", "DATABASE_URL"]);

    fs::write(&file, "API_PORT=9002\n").unwrap();
    let by_default = of(&[DATABASE]).with_default_environment(Environment::Development);
    assert_eq!(load(Role::Api, &by_default).http.port, 9002);
}

#[test]
fn a_broken_env_file_is_a_fault_that_repeats_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, "ENVIRONMENT=development\nAPP_TOKEN secret-without-equals\nAPI_PORT=9001\n").unwrap();
    let Err(error) = Config::load(Role::Api, &Sources::of([DATABASE]).with_env_file(&file)) else { panic!("taken") };
    let text = error.to_string();
    assert!(text.contains("a line after ENVIRONMENT") && !text.contains("secret-without"), "{text}");
}

#[test]
fn values_of_the_command_go_to_their_layers() {
    let dev = Sources::of([("DATABASE_URL", "postgres://app:pw@production.example.com/app"), ("WORKER_LEASE", "40")])
        .with_default_environment(Environment::Development);
    let config = load(Role::Dev, &dev);
    assert_eq!(config.environment, Environment::Development);
    assert!(config.database.url.is_none(), "app dev must not see a stray DATABASE_URL");
    let dev = dev.with_value("DATABASE_URL", "postgres://app@localhost/app").with_fallback("STORAGE_URL", "/tmp/store");
    let config = load(Role::Dev, &dev);
    assert_eq!(config.database.url().unwrap().host(), "localhost");
    assert_eq!(config.storage.location, Some(StorageLocation::Folder("/tmp/store".into())));
}

#[test]
fn a_value_that_is_no_text_is_a_fault_of_those_who_read_it() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let pairs = production().into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let broken = |name: &str| (OsString::from(name), OsString::from_vec(vec![0xff, b'x']));
    let sources = Sources::of(pairs.chain([broken("WORKER_LEASE"), broken("ANOTHER_PROGRAMS")]));
    assert_eq!(faults(Role::Worker, &sources), ["WORKER_LEASE"]);
    assert_eq!(faults(Role::Api, &sources), [""; 0]);
}
