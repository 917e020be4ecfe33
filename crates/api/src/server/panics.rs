//! A handler that panics answers 500, as every other failure of ours does. The framework would close the connection without a word.

use std::panic::AssertUnwindSafe;

use actix_web::{
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use futures_util::FutureExt;

use crate::http::{ApiError, MiddlewareResult};

/// Answers for a handler that panics. For a route: a request that is not routed yet cannot be kept. What the handler held
/// is dropped, and what other requests share is behind locks and channels that outlive it.
pub async fn answer_panic(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    let routed = request.request().clone();
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answer) => Ok(answer?.map_into_boxed_body()),
        Err(_logged) => Ok(ServiceResponse::from_err(ApiError::internal("the handler panicked"), routed)),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, http::StatusCode, middleware::from_fn, test, web};

    use super::answer_panic;

    #[actix_web::test]
    async fn a_panic_is_answered_and_the_next_request_too() {
        async fn handler(body: String) -> HttpResponse {
            assert!(body != "panic", "as it was told");
            HttpResponse::Ok().finish()
        }
        let app = test::init_service(App::new().route("/", web::post().to(handler).wrap(from_fn(answer_panic)))).await;
        for (body, status) in [("panic", StatusCode::INTERNAL_SERVER_ERROR), ("fine", StatusCode::OK)] {
            let request = test::TestRequest::post().uri("/").set_payload(body).to_request();
            let answer = test::call_service(&app, request).await;
            assert_eq!(answer.status(), status, "{body}");
        }
    }
}
