//! A route, as the contract sees it.

use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path,
    openapi::{HttpMethod, RefOr, Schema, path::Operation},
};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, at the root only: what people look at.
    Page,
    /// Anyone; it is also at the root, where platforms probe.
    Open,
    /// A client that has the signed URL.
    Signed,
    /// A caller with a token or a key.
    Private,
}

/// What `utoipa::path` made of a handler's attribute.
pub trait Attribute: Path + for<'t> Tags<'t> + SchemaReferences {}

impl<T: Path + for<'t> Tags<'t> + SchemaReferences> Attribute for T {}

/// Named schemas that an operation refers to.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// One method of one path.
pub struct Route {
    /// Below the base path, or the root.
    pub path: String,
    /// GET stands for HEAD, too.
    pub method: HttpMethod,
    /// Who may call.
    pub access: Access,
    /// Whether it knows `Idempotency-Key`.
    pub replayable: bool,
    described: fn() -> (Operation, Schemas),
}

impl Route {
    /// The route of a handler with this attribute.
    pub fn new<A: Attribute>(access: Access) -> Self {
        let method = A::methods().into_iter().next().unwrap_or(HttpMethod::Get);
        Self { path: A::path(), method, access, replayable: false, described: described::<A> }
    }

    /// What the attribute says, as it stands.
    pub fn described(&self) -> (Operation, Schemas) {
        (self.described)()
    }

    /// Each method that a client may send.
    pub fn methods(&self) -> Vec<HttpMethod> {
        match self.method {
            HttpMethod::Get => vec![HttpMethod::Get, HttpMethod::Head],
            _ => vec![self.method.clone()],
        }
    }
}

fn described<A: Attribute>() -> (Operation, Schemas) {
    let mut operation = A::operation();
    operation.tags = Some(A::tags().into_iter().map(str::to_owned).collect());
    let mut schemas = Schemas::new();
    A::schemas(&mut schemas);
    (operation, schemas)
}
