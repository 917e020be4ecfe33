//! `--only self`: the image's HEALTHCHECK.

use crate::{
    check::{Checked, Environment, check},
    support::fleet::Fleet,
};

fn run_check(fleet: &Fleet) -> Checked {
    check(fleet, &["--only", "self"])
}

#[tokio::test]
async fn a_machine_is_alive_by_its_api_or_else_by_its_worker() {
    let mut environment = Environment::new().await;
    let (api, client) = environment.fleet.api();
    let port = client.root.rsplit_once(':').unwrap().1.to_owned();
    environment.fleet.set("PORT", &port);
    assert!(run_check(&environment.fleet).status.success());
    assert_eq!(api.stop(), 0);
    run_check(&environment.fleet).requires("self.alive/nobody_alive");
    let worker = |host: &str, seen: &str| {
        format!(
            "INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots, last_seen_at)
             VALUES (gen_random_uuid(), '{host}', 'c', 'b', '0', 'development', 1, now() - interval '{seen}')"
        )
    };
    environment.db.run(&worker("another-host", "0")).await;
    environment.db.run(&worker(&store::workers::host_name(), "2 minutes")).await;
    run_check(&environment.fleet).requires("self.alive/nobody_alive");
    environment.db.run(&worker(&store::workers::host_name(), "10 seconds")).await;
    assert!(run_check(&environment.fleet).status.success());
}
