//! A handler and its row in the table of routes.

use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route as Handling, middleware::from_fn, web};

use super::panics::answer_panic;
use crate::{
    http::{ApiError, Replay, remember},
    openapi::{Access, Attribute, Route},
};

/// A route and its handler.
pub struct Endpoint {
    /// What the contract says of it.
    pub route: Route,
    handling: Vec<Handling>,
}

/// The endpoint of a handler; its `utoipa::path` attribute says path, method and the rest of its contract.
macro_rules! endpoint {
    ($access:ident $module:ident :: $handler:ident) => {
        pastey::paste! { Endpoint::new(Access::$access, $module::$handler, $module::[<__path_ $handler>]) }
    };
}
pub(super) use endpoint;

impl Endpoint {
    /// `_attribute` is the type that `utoipa::path` makes beside the handler.
    pub fn new<F, Args, A>(access: Access, handler: F, _attribute: A) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
        A: Attribute,
    {
        let route = Route::new::<A>(access);
        let handling = |method| web::method(method).to(handler.clone()).wrap(from_fn(answer_panic));
        let handling = route.methods().into_iter().map(handling).collect();
        Self { route, handling }
    }

    /// Lets a client repeat the request with an `Idempotency-Key`. `replay` completes a kept answer before it is given
    /// again.
    pub fn replayable(mut self, replay: Option<Replay>) -> Self {
        self.route.replayable = true;
        let remember =
            move |handling: Handling| handling.wrap(from_fn(move |request, next| remember(request, next, replay)));
        self.handling = self.handling.into_iter().map(remember).collect();
        self
    }
}

/// The endpoints of one path. Every other method gets a 405 problem that names the allowed ones.
pub fn resource(path: &str, endpoints: Vec<Endpoint>) -> Resource {
    let methods: Vec<String> =
        endpoints.iter().flat_map(|endpoint| endpoint.route.methods()).map(|method| method.to_string()).collect();
    let allow = methods.join(", ");
    let handling = endpoints.into_iter().flat_map(|endpoint| endpoint.handling);
    handling.fold(web::resource(path), Resource::route).default_service(web::to(move || {
        let refusal = ApiError::method_not_allowed(allow.clone());
        async move { Err::<HttpResponse, _>(refusal) }
    }))
}
