//! Names and shapes that the wire has as plain text or plain JSON, spelt out for the contract.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::domain::{State, Status};

/// Types of events. Source: `ck_events_type`; a test holds them together.
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
];

/// A type that stands for one of some names.
macro_rules! one_of {
    ($(#[$doc:meta])* $type:ident, $name:literal, $what:literal, $names:expr) => {
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
    };
}

one_of! {
    /// `status`.
    StatusName, "Status", "How far a document has come: its last checkpoint.",
    Status::ALL.iter().map(|status| status.as_str()).collect()
}
one_of! {
    /// A status that work goes on from.
    ResumeName, "ResumeFrom", "A checkpoint that work can go on from.", Status::claimable()
}
one_of! {
    /// A status that a retry of all that failed can pick by.
    FailedName, "FailedStatus", "How a job failed.",
    Status::ALL.iter().map(|status| status.as_str()).filter(|name| name.starts_with("failed_")).collect()
}
one_of! {
    /// `state`.
    StateName, "State", "Who has a job. `done`, `deadletter` and `cancelled` are terminal.",
    State::ALL.iter().map(|state| state.as_str()).collect()
}
one_of! {
    /// `type` of an event.
    EventTypeName, "EventType", "What happened to a job.", EVENT_TYPES.to_vec()
}
one_of! {
    /// `severity` of an event.
    SeverityName, "Severity", "Whether somebody should look.", vec!["info", "warn", "error"]
}
one_of! {
    /// `state` of a receipt.
    ReceiptState, "ReceiptState", "`done` once every stored object is known to be gone.", vec!["pending", "done"]
}

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
    /// The job's first failure, in the same shape, where this is a later one.
    #[schema(value_type = Option<Object>)]
    first: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_the_types_of_events_that_the_database_takes() {
        let shape = include_str!("../../db/shape.txt");
        let line = shape.lines().find(|line| line.contains("ck_events_type")).unwrap();
        let mut taken: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
        let mut said = EVENT_TYPES.to_vec();
        taken.sort_unstable();
        said.sort_unstable();
        assert_eq!(said, taken);
    }
}
