//! What stands at a path, and what the contract says of it: neither can be had without the other.

use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, Route,
    middleware::from_fn,
    web::{self},
};
use utoipa::openapi::HttpMethod;

use crate::api::{
    contract::Doc,
    http::{
        ApiError,
        idempotency::{Replay, remember},
    },
};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, at the root only: what people look at.
    Page,
    /// Everybody; it is also at the root, where platforms probe.
    Open,
    /// Whoever has the signed URL.
    Signed,
    /// A caller with a token or a key.
    Private,
}

/// A path with its handlers, each beside its documentation.
pub struct Endpoint {
    /// Below the base path, or the root.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    methods: Vec<(HttpMethod, fn() -> Doc)>,
    routes: Vec<Route>,
    /// Whether its POST knows `Idempotency-Key`.
    once: bool,
}

/// At `path`, for everybody.
pub fn open(path: &'static str) -> Endpoint {
    Endpoint::new(path, Access::Open)
}

/// At `path` of the root, for people.
pub fn page(path: &'static str) -> Endpoint {
    Endpoint::new(path, Access::Page)
}

/// At `path`, for whoever has a URL that we signed.
pub fn signed(path: &'static str) -> Endpoint {
    Endpoint::new(path, Access::Signed)
}

/// At `path`, for callers who say who they are.
pub fn private(path: &'static str) -> Endpoint {
    Endpoint::new(path, Access::Private)
}

impl Endpoint {
    fn new(path: &'static str, access: Access) -> Self {
        Self { path, access, methods: Vec::new(), routes: Vec::new(), once: false }
    }

    fn on(mut self, method: HttpMethod, route: Route, doc: fn() -> Doc) -> Self {
        self.methods.push((method, doc));
        self.routes.push(route);
        self
    }

    /// GET, and HEAD, which is the same without a body.
    pub fn get<F, Args>(self, handler: F, doc: fn() -> Doc) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let head = web::head().to(handler.clone());
        self.on(HttpMethod::Get, web::get().to(handler), doc).on(HttpMethod::Head, head, doc)
    }

    /// POST.
    pub fn post<F, Args>(self, handler: F, doc: fn() -> Doc) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(HttpMethod::Post, web::post().to(handler), doc)
    }

    /// POST with an effect, which `Idempotency-Key` lets a client send again. `replay` completes an answer that is given
    /// again.
    pub fn post_once<F, Args>(mut self, handler: F, doc: fn() -> Doc, replay: Option<Replay>) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.once = true;
        let route = web::post().to(handler).wrap(from_fn(move |request, next| remember(request, next, replay)));
        self.on(HttpMethod::Post, route, doc)
    }

    /// PUT.
    pub fn put<F, Args>(self, handler: F, doc: fn() -> Doc) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(HttpMethod::Put, web::put().to(handler), doc)
    }

    /// DELETE.
    pub fn delete<F, Args>(self, handler: F, doc: fn() -> Doc) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(HttpMethod::Delete, web::delete().to(handler), doc)
    }

    /// What the contract says, by method.
    pub fn documented(&self) -> impl Iterator<Item = (HttpMethod, Doc)> {
        self.methods.iter().map(|(method, doc)| {
            let doc = if self.once && *method == HttpMethod::Post { doc().once() } else { doc() };
            (method.clone(), doc)
        })
    }

    /// As actix has it; every method that is not taken is a 405 problem, which names those that are.
    pub fn into_resource(self) -> Resource {
        let allow = self.methods.iter().map(|(method, _)| name(method)).collect::<Vec<_>>().join(", ");
        on(self.path, allow, self.routes)
    }
}

/// A path and what it takes; every other method is a 405 problem that names `allow`.
pub fn on(path: &str, allow: impl Into<String>, routes: impl IntoIterator<Item = Route>) -> Resource {
    let allow = allow.into();
    routes.into_iter().fold(web::resource(path), Resource::route).default_service(web::to(move || {
        let refusal = ApiError::method_not_allowed(allow.clone());
        async move { Err::<HttpResponse, _>(refusal) }
    }))
}

/// As HTTP writes it.
fn name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}
