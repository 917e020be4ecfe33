//! What a request may ask beside its route: conditions, and an idempotency key.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{ObjectBuilder, ResponseBuilder, Type};

use super::{Doc, header_ref};
use crate::api::resources::samples;
use crate::domain::Code;

impl Doc {
    /// A read whose answer has an `ETag`, and is not sent again to whoever has it.
    pub fn tagged(self) -> Self {
        let tags = ObjectBuilder::new().schema_type(Type::String);
        self.header("If-None-Match", "The `ETag` of an answer that the client has.", tags, json!(samples::TAG))
            .with_header(StatusCode::OK, "ETag")
            .answers_with(StatusCode::NOT_MODIFIED, "What the client has is what there is.", [])
            .with_header(StatusCode::NOT_MODIFIED, "ETag")
    }

    /// A change that may say what it is a change of.
    pub fn if_match(self) -> Self {
        let tags = ObjectBuilder::new().schema_type(Type::String);
        self.header("If-Match", "The `ETag` that GET gave; refused once it is another.", tags, json!("*"))
            .refuses(&[Code::PreconditionFailed])
    }

    /// An answer that says in `Location` where what it made is to be read.
    pub fn located(self, status: StatusCode) -> Self {
        self.with_header(status, "Location")
    }

    /// A POST that may be sent again.
    pub fn once(self) -> Self {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"));
        let what =
            "Visible ASCII, new for each request: a repeat within 24 h is answered as the first was, and does nothing.";
        let ends_well: Vec<u16> = self.answers.keys().copied().collect();
        let doc = self.header("Idempotency-Key", what, key, json!(samples::KEY)).refuses(&[
            Code::IdempotencyKeyInvalid,
            Code::IdempotencyKeyInUse,
            Code::IdempotencyKeyReused,
        ]);
        ends_well.into_iter().fold(doc, |doc, status| doc.with_header_at(status, "Idempotency-Replayed"))
    }

    fn with_header(self, status: StatusCode, name: &str) -> Self {
        self.with_header_at(status.as_u16(), name)
    }

    fn with_header_at(mut self, status: u16, name: &str) -> Self {
        if let Some(answer) = self.answers.remove(&status) {
            let answer: ResponseBuilder = answer.header_ref(name, header_ref(name));
            self.answers.insert(status, answer);
        }
        self
    }
}
