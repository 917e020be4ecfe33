//! `cfg.parse`: whether every setting can be used. `cfg.port`: whether the API listens where the platform connects.
//! `self.memory`, `self.disk`: whether a worker fits into this container.

use super::{
    check::{Context, Outcome, Problem, declare},
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
    SLOTS_TOO_MANY = warning("slots_too_many",
        "The texts that all slots of a worker may hold at once need more than this container's memory.",
        "Lower WORKER_CONCURRENCY or PARSE_OUTPUT_BYTES, or give the worker more memory.");
}

declare! {
    DISK = once("self.disk", "the disk of TMPDIR has room for the files of all slots.", disk);
    DISK_TOO_SMALL = warning("too_small",
        "The disk of TMPDIR has less room than the files that all slots of a worker may have in hand: jobs would wait (`storage_full`).",
        "Give the disk more room, let TMPDIR name another one, or lower WORKER_CONCURRENCY or UPLOAD_MAX_BYTES.");
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
    let (slots, each) = (context.config.worker.concurrency as u64, context.config.parser.output_bytes);
    let observed = format!("{memory}; {} MiB of text for each of {slots} slots", each >> 20);
    let most = memory.model_bytes.saturating_add(each.saturating_mul(slots));
    if memory.container_bytes.is_some_and(|container| most > container) {
        return Err(SLOTS_TOO_MANY.seen(observed).expecting("the model and the texts fit together"));
    }
    if memory.fits() {
        return Ok(observed);
    }
    let cause = if memory.asked_bytes.is_some() { &DOES_NOT_FIT } else { &TOO_SMALL };
    let expected = memory.share().map(|bytes| format!("at most {} MiB for each child", bytes >> 20));
    Err(cause.seen(observed).expecting(expected.unwrap_or_default()))
}

async fn disk(context: &Context<'_>) -> Outcome {
    let folder = std::env::temp_dir();
    let (slots, each) = (context.config.worker.concurrency as u64, context.config.uploads.max_bytes);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Problem::skipped(format!("{} cannot be looked at: {error}", folder.display())),
    };
    let needed = each.saturating_mul(slots);
    let observed =
        format!("{} MiB free in {}; {slots} slots take up to {} MiB", free >> 20, folder.display(), needed >> 20);
    if free >= needed { Ok(observed) } else { Err(DISK_TOO_SMALL.seen(observed)) }
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
