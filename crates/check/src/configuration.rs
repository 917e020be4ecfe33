//! `cfg.parse`: whether every setting can be used; `cfg.port`: whether the API listens where the platform looks.

use super::{
    Scene,
    catalogue::Group,
    finding::{Cause, Finding, Look},
};
use pg::url::is_loopback;

static FAULT: Cause = Cause::error(
    "cfg.parse",
    "fault",
    "A setting is missing, malformed or contradicts another: the roles that read it exit with 2.",
);
static DOUBT: Cause = Cause::warning("cfg.parse", "doubt", "A setting works, but is hardly what was meant.");
static AT_ODDS: Cause = Cause::warning(
    "cfg.port",
    "at_odds",
    "PORT and API_PORT name different ports. PORT wins, so whoever asks the other one finds nothing.",
);
static LOOPBACK_ONLY: Cause = Cause::error(
    "cfg.port",
    "loopback_only",
    "The API would listen on this machine's loopback address only: the platform's probe and every client get no answer.",
);

pub(super) const GROUP: Group = Group {
    name: "configuration",
    checks: &[
        ("cfg.parse", "every setting is there and can be used."),
        ("cfg.port", "the API listens on the port and address at which the platform asks."),
    ],
    causes: &[&FAULT, &DOUBT, &AT_ODDS, &LOOPBACK_ONLY],
};

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = settings(scene);
    findings.push(port(scene));
    findings
}

/// One finding a fault.
fn settings(scene: &Scene<'_>) -> Vec<Finding> {
    let look = || Look::at("cfg.parse");
    let faults = scene.faults.iter().map(|fault| (&FAULT, fault));
    let doubts = scene.config.warnings.iter().map(|doubt| (&DOUBT, doubt));
    let mut findings: Vec<Finding> = faults
        .chain(doubts)
        .map(|(cause, fault)| {
            look().found(cause, format!("{} {}", fault.name, fault.problem), &fault.fix).about(&fault.name)
        })
        .collect();
    if findings.is_empty() {
        findings.push(look().passed(format!("every setting of {} can be used", scene.config.environment)));
    }
    findings
}

fn port(scene: &Scene<'_>) -> Finding {
    let (look, http) = (Look::at("cfg.port"), &scene.config.http);
    let place = format!("{}:{}", http.host, http.port);
    if is_loopback(&http.host) && !scene.config.environment.is_development() {
        return look
            .found(&LOOPBACK_ONLY, format!("API_HOST is {}", http.host), "Set API_HOST=0.0.0.0, or remove it.")
            .expecting("0.0.0.0");
    }
    match http.overruled_port {
        Some(own) => look
            .found(
                &AT_ODDS,
                format!("PORT={} and API_PORT={own}", http.port),
                "Remove API_PORT where the platform sets PORT, and let whoever asks for the other port use PORT.",
            )
            .expecting("one port"),
        None => look.passed(format!("the API would listen on {place}")),
    }
}
