//! Panics as lines of the log: in its form, with the spans that they happened in, and without what a document holds.

use std::panic::{self, PanicHookInfo};

/// Has every panic of this process logged.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let (place, message) = (place(info), message(info));
        tracing::error!(panic.at = %place, "a panic at {place}: {message}");
    }));
}

/// A message that was formatted can quote the document (that of a slice does), so only fixed ones are shown.
fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its message is left out, since it may quote a document")
}

/// File and line. Of the path only what begins with the package: what is before it is the building machine's own.
fn place(info: &PanicHookInfo<'_>) -> String {
    let Some(location) = info.location() else { return "an unknown place".to_owned() };
    format!("{}:{}", within_package(location.file()), location.line())
}

fn within_package(path: &str) -> &str {
    let Some(source) = path.rfind("/src/") else { return path };
    path[..source].rfind('/').map_or(path, |package| &path[package + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::lines_of;

    #[test]
    fn a_panic_is_a_line_with_its_span_and_without_what_it_quotes() {
        let ours = panic::take_hook();
        log_panics();
        let lines = lines_of(|| {
            let _job = tracing::info_span!("job", job.id = "j1").entered();
            let text = String::from("the secret of the document");
            let caught = panic::catch_unwind(|| text.parse::<u8>().expect(&text));
            assert!(caught.is_err());
            let caught = panic::catch_unwind(|| panic!("a fixed message"));
            assert!(caught.is_err());
        });
        panic::set_hook(ours);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(!lines[0].to_string().contains("secret"), "{}", lines[0]);
        assert!(lines[1]["message"].as_str().unwrap().contains("a fixed message"), "{}", lines[1]);
        for line in &lines {
            assert_eq!((&line["job.id"], &line["level"]), (&"j1".into(), &"ERROR".into()), "{line}");
            assert!(line["panic.at"].as_str().unwrap().starts_with("telemetry/src/panics.rs:"), "{line}");
        }
    }

    #[test]
    fn a_place_says_nothing_of_the_machine_that_built_it() {
        for (path, shown) in [
            ("crates/queue/src/job.rs", "queue/src/job.rs"),
            ("/home/builder/.cargo/registry/src/index/unpdf-0.52.1/src/page/mod.rs", "unpdf-0.52.1/src/page/mod.rs"),
            ("/rustc/abc/library/core/src/str/mod.rs", "core/src/str/mod.rs"),
        ] {
            assert_eq!(within_package(path), shown);
        }
    }
}
