//! A handler, with what the table of routes says of it.

use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, Route as Handling, http::Method, middleware::from_fn, web,
};
use utoipa::openapi::HttpMethod;

use crate::{
    http::{
        ApiError,
        idempotency::{Replay, remember},
    },
    openapi::{Access, Attribute, Route},
};

/// A route with what answers it.
pub struct Endpoint {
    /// What the contract says of it.
    pub route: Route,
    handling: Vec<Handling>,
}

/// A handler beside what its `utoipa::path` attribute says: path, method and the rest of its contract.
macro_rules! handler {
    ($module:ident :: $handler:ident) => {
        pastey::paste! { ($module::$handler, $module::[<__path_ $handler>]) }
    };
}
pub(super) use handler;

/// For anyone, at the root, for people.
pub fn page<F: Handler<Args>, Args: FromRequest + 'static, A: Attribute>(handler: (F, A)) -> Endpoint
where
    F::Output: Responder + 'static,
{
    Endpoint::new(Access::Page, handler)
}

/// For anyone.
pub fn open<F: Handler<Args>, Args: FromRequest + 'static, A: Attribute>(handler: (F, A)) -> Endpoint
where
    F::Output: Responder + 'static,
{
    Endpoint::new(Access::Open, handler)
}

/// For clients that have a URL which we signed.
pub fn signed<F: Handler<Args>, Args: FromRequest + 'static, A: Attribute>(handler: (F, A)) -> Endpoint
where
    F::Output: Responder + 'static,
{
    Endpoint::new(Access::Signed, handler)
}

/// For callers that say who they are.
pub fn private<F: Handler<Args>, Args: FromRequest + 'static, A: Attribute>(handler: (F, A)) -> Endpoint
where
    F::Output: Responder + 'static,
{
    Endpoint::new(Access::Private, handler)
}

impl Endpoint {
    fn new<F, Args, A>(access: Access, (handler, _): (F, A)) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
        A: Attribute,
    {
        let route = Route::new::<A>(access);
        let methods = route.methods();
        let handling = methods.iter().map(|method| web::method(actix_method(method)).to(handler.clone())).collect();
        Self { route, handling }
    }

    /// Lets a client send it again with an `Idempotency-Key`.
    pub fn replayable(self) -> Self {
        self.remembered(None)
    }

    /// The same, where a kept answer must be completed before it is given again.
    pub fn replayable_by(self, replay: Replay) -> Self {
        self.remembered(Some(replay))
    }

    fn remembered(mut self, replay: Option<Replay>) -> Self {
        self.route.replayable = true;
        let remember =
            move |handling: Handling| handling.wrap(from_fn(move |request, next| remember(request, next, replay)));
        self.handling = self.handling.into_iter().map(remember).collect();
        self
    }
}

/// What stands at one path; every method that it does not take is a 405 problem, which names those that it does.
pub fn resource(path: &str, endpoints: Vec<Endpoint>) -> Resource {
    let taken = endpoints.iter().flat_map(|endpoint| endpoint.route.methods());
    let allow = taken.map(|method| actix_method(&method).to_string()).collect::<Vec<_>>().join(", ");
    let handling = endpoints.into_iter().flat_map(|endpoint| endpoint.handling);
    handling.fold(web::resource(path), Resource::route).default_service(web::to(move || {
        let refusal = ApiError::method_not_allowed(allow.clone());
        async move { Err::<HttpResponse, _>(refusal) }
    }))
}

fn actix_method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}
