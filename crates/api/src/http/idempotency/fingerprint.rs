//! What makes two requests the same: path, query and body; of a form, what its parts hold.

use std::{cell::RefCell, rc::Rc};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::{Payload, ServiceRequest},
};
use sha2::{Digest, Sha256};

use crate::{
    http::{ApiError, Form, read_whole},
    settings::ApiSettings,
};
use domain::hex;

/// A request, as far as it can be known before the work.
pub(super) struct Request {
    head: String,
    body: Body,
}

enum Body {
    /// Read whole, and put back for the handler.
    Whole { fingerprint: String },
    /// Streamed; the handler says what it has read.
    Form(FormPrint),
}

/// Where a handler that streams a form leaves its fingerprint.
#[derive(Clone, Default)]
pub struct FormPrint(Rc<RefCell<Option<String>>>);

impl FormPrint {
    /// Whether `request` comes with a key, so that its form's fingerprint is asked for.
    pub fn is_wanted(request: &HttpRequest) -> bool {
        request.extensions().contains::<Self>()
    }

    /// Leaves the form's fingerprint, for requests that come with a key; `None`: it was not read to its end.
    pub fn leave(request: &HttpRequest, fingerprint: Option<String>) {
        if let Some(print) = request.extensions().get::<Self>() {
            *print.0.borrow_mut() = fingerprint;
        }
    }
}

impl Request {
    /// Reads the body, unless it is a form. A body too large for any handler of JSON is refused here.
    pub(super) async fn read(request: &mut ServiceRequest, settings: &ApiSettings) -> Result<Self, ApiError> {
        let head = format!("{}\n{}\n", request.path(), request.query_string());
        if is_form(request.request()) {
            let print = FormPrint::default();
            request.extensions_mut().insert(print.clone());
            return Ok(Self { head, body: Body::Form(print) });
        }
        let limit = if request.path().ends_with("/documents") {
            settings.text_body_bytes()
        } else {
            settings.json_body_bytes()
        };
        let body = read_whole(request.take_payload(), limit).await?;
        let fingerprint = digest(&head, &body);
        request.set_payload(Payload::from(body));
        Ok(Self { head, body: Body::Whole { fingerprint } })
    }

    /// Before the work; `None`: a form.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        match &self.body {
            Body::Whole { fingerprint } => Some(fingerprint),
            Body::Form(_) => None,
        }
    }

    /// After the work; `None`: a form that was not read to its end.
    pub(super) fn fingerprint_after(&self) -> Option<String> {
        match &self.body {
            Body::Whole { fingerprint } => Some(fingerprint.clone()),
            Body::Form(print) => print.0.borrow().as_ref().map(|form| digest(&self.head, form.as_bytes())),
        }
    }

    /// Without any work: a form is read and thrown away.
    pub(super) async fn into_fingerprint(
        self,
        request: &mut ServiceRequest,
        settings: &ApiSettings,
    ) -> Result<Option<String>, ApiError> {
        match self.body {
            Body::Whole { fingerprint } => Ok(Some(fingerprint)),
            Body::Form(_) => {
                let payload = request.take_payload();
                let form = Form::new(request.request(), payload, true).read_to_end(settings.uploads.max_bytes).await?;
                Ok(form.map(|form| digest(&self.head, form.as_bytes())))
            }
        }
    }
}

fn is_form(request: &HttpRequest) -> bool {
    request.content_type().to_ascii_lowercase().starts_with("multipart/")
}

fn digest(head: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((head.len() as u64).to_be_bytes());
    hasher.update(head);
    hasher.update(body);
    hex(hasher.finalize())
}
