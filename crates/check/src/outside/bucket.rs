//! Settings of the bucket: whether it keeps what is deleted, and whether it takes uploads from the pages of other addresses.

use std::time::Duration;

use reqwest::{
    Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};

use super::{
    super::{
        canary::key_of,
        check::{Context, Outcome, Problem, declare},
    },
    http,
    storage::{READ_WRITE, open, within},
};

declare! {
    VERSIONS = once("store.versions", "the store keeps no older versions of objects.", versions).needs(&[&READ_WRITE]);
    KEEPS_DELETED = warning("keeps_deleted",
        "The bucket keeps older versions: the bytes of a deleted document stay in it, though its receipt says that they are gone.",
        "Suspend the bucket's versions; or keep them, with a lifecycle rule that removes noncurrent versions after the days for which you need them, and tell your users of that time.");
}

declare! {
    CORS = once("store.cors", "the pages of CORS_ORIGINS may send files to signed URLs.", cors).needs(&[&READ_WRITE]);
    CORS_REFUSED = warning("refused",
        "A browser refuses to send a file from this page to a signed URL: uploads in two steps fail there, and work elsewhere.",
        "Give the bucket a CORS rule: AllowedOrigins as in CORS_ORIGINS, AllowedMethods PUT, AllowedHeaders content-type.");
}

/// How long the URL is valid, to which nothing is sent.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// Stands for any page, if CORS_ORIGINS admits all.
const ANY_ORIGIN: &str = "https://app.example";

async fn versions(context: &Context<'_>) -> Outcome {
    match context.keeps_versions.get() {
        Some(true) => Err(KEEPS_DELETED.seen("an object that was just stored has a version id")),
        Some(false) => Ok("objects have no versions".to_owned()),
        None => Problem::skipped("store.rw did not store an object"),
    }
}

/// Asks for each origin as a browser does before it sends the file.
async fn cors(context: &Context<'_>) -> Outcome {
    let origins = &context.config.http.cors_origins;
    if origins.is_empty() {
        return Problem::skipped("CORS_ORIGINS is empty: no page of another address uses the API");
    }
    let (store, place) = open(context)?;
    let signed = within(store.signed_put_url(&key_of("check"), SIGNED_FOR)).await;
    let Some(url) = signed.map_err(|failure| Problem::Skipped(failure.message))? else {
        return Problem::skipped("this store signs no URLs: the API takes the bytes");
    };
    for origin in origins {
        let origin = if origin == "*" { ANY_ORIGIN } else { origin };
        let request = http::client()
            .request(Method::OPTIONS, url.clone())
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
        let answer = http::send(request).await.map_err(|error| Problem::Skipped(error.to_string()))?;
        let refused = [
            (ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (ACCESS_CONTROL_ALLOW_METHODS, "PUT"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        ]
        .into_iter()
        .find(|(header, value)| !answer.is_success() || !answer.admits(header.as_str(), value));
        if let Some((header, value)) = refused {
            let observed = format!("{origin}: answered with {}, and {header} does not have {value}", answer.status);
            return Err(CORS_REFUSED.seen(observed).at(&place));
        }
    }
    Ok(format!("{} may send files", origins.join(", ")))
}
