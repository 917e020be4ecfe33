//! A route, as the contract sees it.

use actix_web::http::Method;
use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path,
    openapi::HttpMethod,
};
#[cfg(test)]
use {
    serde_json::{Value, json},
    utoipa::openapi::{RefOr, Schema},
};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone, at the root only: pages for browsers.
    Page,
    /// Everyone, also at the root, where platforms probe.
    Open,
    /// A client that has the signed URL.
    Signed,
    /// A caller with a token or a key.
    Private,
}

/// What `utoipa::path` makes of a handler's attribute.
pub trait Attribute: Path + for<'t> Tags<'t> + SchemaReferences {}

impl<T: Path + for<'t> Tags<'t> + SchemaReferences> Attribute for T {}

/// Named schemas that an operation refers to.
#[cfg(test)]
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// One method of one path.
pub struct Route {
    /// Below the base path, or the root.
    pub path: String,
    /// GET includes HEAD.
    pub method: Method,
    /// Who may call.
    pub access: Access,
    /// Whether it takes an `Idempotency-Key`.
    pub replayable: bool,
    #[cfg(test)]
    described: fn() -> (Value, Schemas),
}

impl Route {
    /// The route of a handler with this attribute.
    pub fn new<A: Attribute>(access: Access) -> Self {
        let method = match A::methods().first() {
            Some(HttpMethod::Post) => Method::POST,
            Some(HttpMethod::Put) => Method::PUT,
            Some(HttpMethod::Patch) => Method::PATCH,
            Some(HttpMethod::Delete) => Method::DELETE,
            // The table has no other methods.
            _ => Method::GET,
        };
        Self {
            path: A::path(),
            method,
            access,
            replayable: false,
            #[cfg(test)]
            described: described::<A>,
        }
    }

    /// What the attribute says.
    #[cfg(test)]
    pub fn described(&self) -> (Value, Schemas) {
        (self.described)()
    }

    /// Each method that a client may send.
    pub fn methods(&self) -> Vec<Method> {
        let head = (self.method == Method::GET).then_some(Method::HEAD);
        [self.method.clone()].into_iter().chain(head).collect()
    }
}

#[cfg(test)]
fn described<A: Attribute>() -> (Value, Schemas) {
    let mut operation = json!(A::operation());
    operation["tags"] = json!(A::tags());
    let mut schemas = Schemas::new();
    A::schemas(&mut schemas);
    (operation, schemas)
}
