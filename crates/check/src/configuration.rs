//! `cfg.parse`: whether every setting can be used. `cfg.port`: whether the API listens where the platform connects.
//! `self.memory`: whether a worker fits into this container.

use super::{
    check::{Context, Outcome, declare},
    context::SETTINGS_ID,
};
use pg::url::is_loopback;

declare! {
    SETTINGS = many(SETTINGS_ID, "every setting is present and can be used.", settings);
    FAULT = error("fault",
        "A setting is missing, malformed or contradicts another: the roles that read it exit with 2.");
    DOUBT = warning("doubt", "A setting can be used, but is probably a mistake.");
}

declare! {
    PORT = once("cfg.port", "the API listens on the port and address to which the platform connects.", port);
    AT_ODDS = warning("at_odds",
        "PORT and API_PORT name different ports. PORT wins, so clients of the other port find nothing.",
        "Remove API_PORT where the platform sets PORT, and let clients of the other port use PORT.");
    LOOPBACK_ONLY = error("loopback_only",
        "The API would listen on this machine's loopback address only: the platform's probe and every client get no answer.",
        "Set API_HOST=0.0.0.0, or remove it.");
}

declare! {
    MEMORY = once("self.memory", "worker, model and the parser's children fit into this container's memory.", memory);
    DOES_NOT_FIT = warning("does_not_fit",
        "PARSE_MEMORY_BYTES is more than this container leaves to each of the parser's children: the kernel would end a process.",
        "Remove PARSE_MEMORY_BYTES, so that it follows the container; or give the worker more memory.");
    TOO_SMALL = warning("too_small",
        "This container has too little memory for a worker, its model and one parser's child a core.",
        "Give the worker more memory.");
}

/// One outcome for each fault and each doubt.
fn settings(context: &Context<'_>) -> Vec<(Option<String>, Outcome)> {
    let faults = context.setup.faults.iter().map(|fault| (&FAULT, fault));
    let doubts = context.config.warnings.iter().map(|doubt| (&DOUBT, doubt));
    let mut outcomes: Vec<(Option<String>, Outcome)> = faults
        .chain(doubts)
        .map(|(cause, fault)| {
            let problem = cause.seen(format!("{} {}", fault.name, fault.problem)).fix(&fault.fix);
            (Some(fault.name.clone()), Err(problem))
        })
        .collect();
    if outcomes.is_empty() {
        outcomes.push((None, Ok(format!("every setting of {} can be used", context.config.environment))));
    }
    outcomes
}

async fn memory(context: &Context<'_>) -> Outcome {
    let memory = &context.setup.memory;
    let observed = memory.to_string();
    if memory.fits() {
        return Ok(observed);
    }
    let cause = if memory.asked_bytes.is_some() { &DOES_NOT_FIT } else { &TOO_SMALL };
    let expected = memory.share().map(|bytes| format!("at most {} MiB for each child", bytes >> 20));
    Err(cause.seen(observed).expecting(expected.unwrap_or_default()))
}

async fn port(context: &Context<'_>) -> Outcome {
    let http = &context.config.http;
    if is_loopback(&http.host) && !context.config.environment.is_development() {
        return Err(LOOPBACK_ONLY.seen(format!("API_HOST is {}", http.host)).expecting("0.0.0.0"));
    }
    match http.overruled_port {
        Some(own) => Err(AT_ODDS.seen(format!("PORT={} and API_PORT={own}", http.port)).expecting("one port")),
        None => Ok(format!("the API would listen on {}:{}", http.host, http.port)),
    }
}
