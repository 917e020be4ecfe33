//! Logs panics as ordinary lines, with the spans they occurred in, but without text that may come from a document.

use std::panic::{self, PanicHookInfo};

/// Logs every panic of this process.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = place(info);
        let message = message(info);
        tracing::error!(panic.at = %place, "a panic at {place}: {message}");
    }));
}

/// The panic's message if it is a constant. A formatted message may quote a document, as that of a slice does.
fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its message is left out, since it may quote a document")
}

/// The file and line. The path begins with the package, since the part before it belongs to the build machine.
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
    fn a_panic_is_logged_with_its_span_and_without_quoted_text() {
        let hook = panic::take_hook();
        log_panics();
        let lines = lines_of(|| {
            let _job = tracing::info_span!("job", job.id = "j1").entered();
            let text = String::from("the secret of the document");
            let caught = panic::catch_unwind(|| text.parse::<u8>().expect(&text));
            assert!(caught.is_err());
            let caught = panic::catch_unwind(|| panic!("a fixed message"));
            assert!(caught.is_err());
        });
        panic::set_hook(hook);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(!lines[0].to_string().contains("secret"), "{}", lines[0]);
        assert!(lines[1]["message"].as_str().unwrap().contains("a fixed message"), "{}", lines[1]);
        for line in &lines {
            assert_eq!((&line["job.id"], &line["level"]), (&"j1".into(), &"ERROR".into()), "{line}");
            assert!(line["panic.at"].as_str().unwrap().starts_with("telemetry/src/panics.rs:"), "{line}");
        }
    }

    #[test]
    fn a_path_does_not_show_the_build_machine() {
        for (path, shown) in [
            ("crates/queue/src/job.rs", "queue/src/job.rs"),
            ("/home/builder/.cargo/registry/src/index/unpdf-0.52.1/src/page/mod.rs", "unpdf-0.52.1/src/page/mod.rs"),
            ("/rustc/abc/library/core/src/str/mod.rs", "core/src/str/mod.rs"),
        ] {
            assert_eq!(within_package(path), shown);
        }
    }
}
