//! Names and shapes that the wire has as plain text or plain JSON, spelt out for the contract.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use domain::{State, Status, ports::FileKind};

/// The types of events in the database's constraint `ck_events_type`; a test compares the two.
const EVENT_TYPES: &[&str] = &[
    "enqueued",
    "stage_started",
    "stage_done",
    "snoozed",
    "retry",
    "error",
    "handed_back",
    "taken_over",
    "cancelled",
    "redriven",
    "finalized",
    "partly_read",
];

/// Types that the contract shows as an enum of names.
macro_rules! one_of {
    ($($(#[$doc:meta])* $type:ident, $name:literal, $what:literal, $names:expr;)+) => {$(
        $(#[$doc])*
        pub struct $type;

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let names: Vec<&'static str> = $names;
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($what))
                    .enum_values(Some(names))
                    .into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

fn statuses(wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    Status::ALL.iter().map(|status| status.as_str()).filter(|name| wanted(name)).collect()
}

one_of! {
    /// `status`.
    StatusName, "Status", "The last checkpoint of a document.", statuses(|_| true);
    /// A status that work goes on from.
    ResumeName, "ResumeFrom", "A checkpoint that work can go on from.", Status::claimable();
    /// A status by which a retry of all failed jobs can select.
    FailedName, "FailedStatus", "How a job failed.", statuses(|name| name.starts_with("failed_"));
    /// `state`.
    StateName, "State", "Who has a job. `done`, `deadletter` and `cancelled` are terminal.",
    State::ALL.iter().map(|state| state.as_str()).collect();
    /// `type` of an event.
    EventTypeName, "EventType", "What happened to a job.", EVENT_TYPES.to_vec();
    /// `severity` of an event.
    SeverityName, "Severity", "How serious an event is.", vec!["info", "warn", "error"];
    /// `state` of a receipt.
    ReceiptState, "ReceiptState", "`done` once every stored object is known to be gone.", vec!["pending", "done"];
    /// `state` of a version.
    VersionStateName, "VersionState", "What a version of a document is.", vec!["active", "replacing", "previous", "failed"];
    /// `kind` of a document.
    KindName, "Kind", "What a document is by its content.", FileKind::ALL.map(FileKind::as_str).to_vec();
}

/// Bytes as they are.
pub struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).into()
    }
}

impl ToSchema for Binary {}

/// Files to upload. The parts may have any name; what counts is that they have a file name.
pub struct FileForm;

impl PartialSchema for FileForm {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let file = ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).min_length(Some(1));
        let files = ArrayBuilder::new().items(file).min_items(Some(1));
        let ocr = ObjectBuilder::new().schema_type(Type::Boolean);
        let metadata = ObjectBuilder::new().schema_type(Type::Object);
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("file", files)
            .property("ocr", ocr)
            .property("metadata", metadata)
            .required("file")
            .into()
    }
}

impl ToSchema for FileForm {}

/// One file to upload in the place of another.
pub struct OneFileForm;

impl PartialSchema for OneFileForm {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let file = ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).min_length(Some(1));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("file", file)
            .property("ocr", ObjectBuilder::new().schema_type(Type::Boolean))
            .property("metadata", ObjectBuilder::new().schema_type(Type::Object))
            .required("file")
            .into()
    }
}

impl ToSchema for OneFileForm {}

/// Why a job failed last.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the contract; the wire carries the row's own JSON")]
pub struct LastError {
    /// Stable, `snake_case`; docs/errors.md lists them.
    #[schema(example = "no_text_layer")]
    code: Option<String>,
    /// What becomes of the job: transient, quota, document or configuration.
    #[schema(example = "document")]
    class: Option<String>,
    /// What happened and what to do.
    message: Option<String>,
    /// The step that failed.
    #[schema(example = "parse")]
    step: Option<String>,
    /// Where a retry resumes.
    #[schema(value_type = Option<StatusName>)]
    checkpoint: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// When the bytes were removed, where they were not what was declared.
    #[schema(format = DateTime)]
    bytes_removed_at: Option<String>,
    /// The job's first failure, in the same shape, where this is a later one.
    #[schema(value_type = Option<Object>)]
    first: Option<serde_json::Value>,
}
