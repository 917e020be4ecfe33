//! What makes two requests the same: path, query and body; of a form, what its parts hold.

use std::{cell::RefCell, rc::Rc};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::{Payload, ServiceRequest},
};
use sha2::{Digest, Sha256};

use crate::{
    http::{ApiError, ApiState, Form, TextBody, begin_stream, declared_length, read_whole},
    settings::ApiSettings,
};
use domain::{UserId, hex};

/// A request, as far as it can be known before the work.
pub(super) struct Request {
    head: String,
    body: Body,
}

enum Body {
    /// Read whole, and put back for the handler.
    Whole { fingerprint: String },
    /// The handler says what it has read.
    Streamed(BodyPrint),
}

/// Where a handler that streams a body leaves its fingerprint.
#[derive(Clone, Default)]
pub struct BodyPrint(Rc<RefCell<Option<String>>>);

impl BodyPrint {
    /// Whether `request` comes with a key, so that its body's fingerprint is asked for.
    pub fn is_wanted(request: &HttpRequest) -> bool {
        request.extensions().contains::<Self>()
    }

    /// Leaves the body's fingerprint, for requests that come with a key; `None`: it was not read to its end.
    pub fn leave(request: &HttpRequest, fingerprint: Option<String>) {
        if let Some(print) = request.extensions().get::<Self>() {
            *print.0.borrow_mut() = fingerprint;
        }
    }
}

impl Request {
    /// Reads the body, unless it is a form or a large text.
    pub(super) async fn read(request: &mut ServiceRequest, settings: &ApiSettings) -> Result<Self, ApiError> {
        let head = format!("{}\n{}\n", request.path(), request.query_string());
        if is_form(request.request()) || is_large_text(request.request(), settings) {
            let print = BodyPrint::default();
            request.extensions_mut().insert(print.clone());
            return Ok(Self { head, body: Body::Streamed(print) });
        }
        let payload = request.take_payload();
        let body = read_whole(request.request(), payload).await?;
        let fingerprint = digest(&head, hex(Sha256::digest(&body)));
        request.set_payload(Payload::from(body));
        Ok(Self { head, body: Body::Whole { fingerprint } })
    }

    /// Before the work; `None`: the body is streamed.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        match &self.body {
            Body::Whole { fingerprint } => Some(fingerprint),
            Body::Streamed(_) => None,
        }
    }

    /// After the work; `None`: the body was not read to its end.
    pub(super) fn fingerprint_after(&self) -> Option<String> {
        match &self.body {
            Body::Whole { fingerprint } => Some(fingerprint.clone()),
            Body::Streamed(print) => print.0.borrow().clone().map(|print| digest(&self.head, print)),
        }
    }

    /// Without any work: a streamed body is read and thrown away.
    pub(super) async fn into_fingerprint(
        self,
        request: &mut ServiceRequest,
        state: &ApiState,
        user: UserId,
    ) -> Result<Option<String>, ApiError> {
        if let Body::Whole { fingerprint } = self.body {
            return Ok(Some(fingerprint));
        }
        let _share = begin_stream(state, Some(user))?;
        let (payload, max_bytes) = (request.take_payload(), state.settings.uploads.max_bytes);
        let print = if is_form(request.request()) {
            Form::new(request.request(), payload, true).read_to_end(max_bytes).await?
        } else {
            TextBody::new(payload, max_bytes, true).read_to_end().await?
        };
        Ok(print.map(|print| digest(&self.head, print)))
    }
}

fn is_form(request: &HttpRequest) -> bool {
    request.content_type().to_ascii_lowercase().starts_with("multipart/")
}

/// Whether the body is a text document larger than other bodies may be. A smaller one is read whole, so that its
/// fingerprint is known before the work.
fn is_large_text(request: &HttpRequest, settings: &ApiSettings) -> bool {
    let limit = settings.http.body_limit_bytes;
    request.path().ends_with("/documents") && limit > 0 && declared_length(request).is_none_or(|length| length > limit)
}

fn digest(head: &str, body: String) -> String {
    hex(Sha256::digest(format!("{head}{body}")))
}
