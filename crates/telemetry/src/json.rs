//! Log lines as flat JSON objects: time, level, role, target, message, and the fields of the spans and the event.
//!
//! The JSON format of `tracing-subscriber` nests spans. For records of the `log` crate it also writes `log.file`, a path on
//! the machine that built the library.

use std::fmt;

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

/// Writes events in this form. Span fields must be formatted by
/// [`JsonFields`](tracing_subscriber::fmt::format::JsonFields).
pub(super) struct JsonLines {
    /// The role of this process, which every line contains.
    pub(super) role: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Map::new();
        // Outermost first: a field of an inner span replaces one of the same name, and the event's fields replace both.
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields)
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        let meta = event.metadata();
        // A record of the `log` crate has its real target in a field.
        let target = line.remove("log.target").unwrap_or_else(|| meta.target().into());
        line.retain(|name, _| !name.starts_with("log."));
        line.insert("target".to_owned(), target);
        line.insert("level".to_owned(), meta.level().as_str().into());
        line.insert("role".to_owned(), self.role.into());
        if let Ok(now) = OffsetDateTime::now_utc().format(&Rfc3339) {
            line.insert("timestamp".to_owned(), now.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects fields as JSON values.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt::format::JsonFields, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs `action` and returns the lines that it logs on this thread.
    pub(crate) fn lines_of(action: impl FnOnce()) -> Vec<Value> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines { role: "worker" });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), action);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_fields_of_spans_and_events_are_flat() {
        let lines = lines_of(|| {
            let _job = tracing::info_span!("job", job.id = "j1", attempt = 1).entered();
            let _step = tracing::info_span!("step", step.name = "embed", attempt = 2).entered();
            tracing::warn!(duration_ms = 12_u64, "embedded \"j1\"");
        });
        let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
        assert_eq!(line["job.id"], "j1");
        assert_eq!(line["step.name"], "embed");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["duration_ms"], 12);
        assert_eq!(line["message"], "embedded \"j1\"");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["role"], "worker");
        assert!(OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).is_ok());
    }

    #[test]
    fn paths_of_the_build_machine_are_left_out() {
        let lines = lines_of(|| {
            tracing::info!(log.file = "/home/builder/lib.rs", log.line = 3, log.target = "refinery", "migrated");
        });
        assert_eq!(lines[0]["target"], "refinery");
        assert!(!lines[0].to_string().contains("builder"), "{}", lines[0]);
        assert_eq!(lines[0].get("log.line"), None);
    }
}
