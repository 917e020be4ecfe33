use super::{Environment, check};

#[tokio::test]
async fn a_missing_setting_is_named() {
    let mut environment = Environment::new().await;
    environment.fleet.set("DATABASE_URL", "");
    let checked = check(&environment.fleet, &["--only", "configuration"]);
    let finding = checked.requires("cfg.parse/fault");
    assert!(finding["observed"].as_str().unwrap().starts_with("DATABASE_URL"), "{finding}");
}

#[tokio::test]
async fn a_port_that_the_platform_overrules_is_named() {
    let mut environment = Environment::new().await;
    environment.fleet.set("PORT", "10000");
    environment.fleet.set("API_PORT", "8000");
    let checked = environment.check_strictly();
    assert_eq!(checked.requires("cfg.port/at_odds")["observed"], "PORT=10000 and API_PORT=8000");
}

#[tokio::test]
async fn an_api_that_only_its_own_machine_could_reach_is_named() {
    let mut environment = Environment::new().await;
    environment.db.run("UPDATE upload_pipeline.environment_stamp SET environment = 'staging'").await;
    environment.fleet.set("ENVIRONMENT", "staging");
    environment.fleet.set("STORAGE_ALLOW_LOCAL", "true");
    environment.fleet.set("STORAGE_SIGNING_SECRET", &"s".repeat(40));
    environment.fleet.set("API_HOST", "127.0.0.1");
    let checked = check(&environment.fleet, &["--only", "cfg.port"]);
    checked.requires("cfg.port/loopback_only");
}

#[tokio::test]
async fn a_database_of_another_environment_is_named_and_nothing_is_tried_on_it() {
    let mut environment = Environment::new().await;
    environment.db.run("UPDATE upload_pipeline.environment_stamp SET environment = 'production'").await;
    environment.fleet.set("ENVIRONMENT", "development");
    let checked = environment.check();
    checked.requires("env.stamp/wrong_environment");
    assert_eq!(checked.one("q.trip")["status"], "skipped");
}

#[tokio::test]
async fn a_database_without_a_stamp_is_named() {
    let environment = Environment::new().await;
    environment.db.run("DELETE FROM upload_pipeline.environment_stamp").await;
    environment.check().requires("env.stamp/not_stamped");
}

#[tokio::test]
async fn memory_for_parsing_that_the_container_does_not_have_is_named() {
    let mut environment = Environment::new().await;
    let run_check = |environment: &Environment| check(&environment.fleet, &["--only", "self.memory", "--strict"]);
    let healthy = run_check(&environment);
    let observed = healthy.one("self.memory")["observed"].as_str().unwrap();
    assert!(healthy.status.success() && observed.contains("parser children"), "{:#}", healthy.report);
    environment.fleet.set("PARSE_MEMORY_BYTES", "100000 GiB");
    let checked = run_check(&environment);
    let finding = checked.requires("self.memory/does_not_fit");
    assert!(finding["observed"].as_str().unwrap().starts_with("102400000 MiB for each of "), "{finding}");
    let mut worker = environment.fleet.worker();
    let line = worker.wait_for("memory for parsing");
    assert!(line.contains("102400000 MiB for each of "), "{line}");
    worker.wait_for("this container has less memory than that");
}

#[tokio::test]
async fn slots_for_which_memory_or_disk_do_not_suffice_are_named() {
    let mut environment = Environment::new().await;
    let run_check = |environment: &Environment, id: &str| check(&environment.fleet, &["--only", id, "--strict"]);
    assert!(run_check(&environment, "self.disk").status.success());
    environment.fleet.set("WORKER_CONCURRENCY", "1000");
    environment.fleet.set("PARSE_OUTPUT_BYTES", "100 GiB");
    let checked = run_check(&environment, "self.memory");
    let finding = checked.requires("self.memory/slots_too_many");
    assert!(finding["observed"].as_str().unwrap().ends_with("102400 MiB of text for each of 1000 slots"), "{finding}");
    environment.fleet.set("UPLOAD_MAX_BYTES", "1000 GiB");
    let checked = run_check(&environment, "self.disk");
    let finding = checked.requires("self.disk/too_small");
    assert!(finding["observed"].as_str().unwrap().ends_with("1000 slots take up to 1024000000 MiB"), "{finding}");
}
