//! `app dev` and its database.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, PATIENCE},
    scratch::Scratch,
};

/// The text of a file, once it is there.
async fn content(path: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return text.trim().to_owned(),
            Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The settings of an `app dev` with a data folder of its own.
fn dev_in(folder: &Scratch) -> Fleet {
    let mut fleet = Fleet::new("", "");
    for name in ["DATABASE_URL", "DIRECT_URL", "STORAGE_URL", "SUPABASE_JWT_SECRET"] {
        fleet.unset(name);
    }
    fleet.set("APP_DEV_DIR", folder.path().to_str().unwrap());
    fleet.set("APP_PG_BIN", &std::env::var("APP_PG_BIN").expect("scripts/test names PostgreSQL's programs"));
    fleet
}

#[test]
fn fakes_of_the_providers_are_refused_in_production() {
    let folder = Scratch::new("dev");
    let mut fleet = dev_in(&folder);
    fleet.set("ENVIRONMENT", "production");
    for arguments in [&["dev", "--fake-providers"][..], &["fake-providers"]] {
        let (status, printed, log) = fleet.run(arguments);
        assert_eq!(status.code(), Some(2), "{printed}{log}");
        assert!(log.contains("ENVIRONMENT is production") && log.contains("Set the real services"), "{log}");
    }
}

#[test]
fn app_dev_buys_from_fakes_of_the_providers() {
    let folder = Scratch::new("dev");
    let (status, printed, log) = dev_in(&folder).run(&["dev", "--once", "--fake-providers"]);
    assert!(status.success(), "{printed}{log}");
    assert!(printed.contains("Faults to order") && printed.contains("citric"), "{printed}");
    assert!(folder.path().join("storage-of-fakes/raw").is_dir(), "its documents stand apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fakes_fail_on_order_and_say_what_they_charge_for() {
    let mut fakes = Command::new(env!("CARGO_BIN_EXE_app"))
        .arg("fake-providers")
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let mut lines = BufReader::new(fakes.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut url = |name: &str| lines.find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap();
    let (embeddings, llamaparse) = (url("OPENAI_API_URL="), url("LLAMAPARSE_API_URL="));
    let http = reqwest::Client::new();
    let order = |url: &str, faults: Value| http.put(format!("{url}/faults")).json(&faults).send();
    assert_eq!(order(&embeddings, json!({ "next": ["nonsense"] })).await.unwrap().status(), 422);
    assert_eq!(order(&llamaparse, json!({ "start": "429" })).await.unwrap().status(), 422);
    let faults = json!({ "next": ["busy:2", "error", "dimension", "cut", "billed_twice"] });
    assert_eq!(order(&embeddings, faults).await.unwrap().status(), 200);
    let ask = json!({ "model": "fake-embedding", "input": ["three words here"] });
    let asked = || async { http.post(format!("{embeddings}/v1/embeddings")).json(&ask).send().await.unwrap() };
    let busy = asked().await;
    assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"2".parse().unwrap()));
    assert_eq!(asked().await.status(), 500);
    let components = |answer: Value| answer["data"][0]["embedding"].as_array().unwrap().len();
    assert_eq!(components(asked().await.json().await.unwrap()), 255);
    assert!(asked().await.text().await.is_err(), "the answer breaks off");
    assert_eq!(asked().await.json::<Value>().await.unwrap()["usage"]["total_tokens"], 6);
    assert_eq!(components(asked().await.json().await.unwrap()), 256);
    let billed: Value = http.get(format!("{embeddings}/billed")).send().await.unwrap().json().await.unwrap();
    assert_eq!(billed, json!({ "requests": 4, "inputs": 5, "tokens": 15 }));
    assert_eq!(order(&llamaparse, json!({ "probe": ["503", "slow:1"] })).await.unwrap().status(), 200);
    let probe = || async {
        let request = http.get(format!("{llamaparse}/api/v2/parse?page_size=1")).bearer_auth("llx-fake");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((probe().await, probe().await, probe().await), (503, 200, 200));
}

/// A program that is killed at the end of its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_ends_is_started_again() {
    let folder = Scratch::new("dev");
    let fleet = dev_in(&folder);
    let mut dev = fleet.start(&["dev"]);
    let api = content(&folder.path().join("api.url")).await;
    // The last of what it does by itself at its start, which would end it if it failed.
    dev.wait_for("/search answered 200");
    let pid_file = folder.path().join("postgres/cluster/data/postmaster.pid");
    let pid = content(&pid_file).await.lines().next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap().success());
    dev.wait_for("the database runs again");
    let deadline = Instant::now() + PATIENCE;
    while reqwest::get(format!("{api}/health")).await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(dev.stop(), 0);
    assert!(!pid_file.exists(), "the database still runs");
}
