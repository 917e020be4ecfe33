//! Fakes of external services. Each is a server on 127.0.0.1 with the part of the real protocol that `app` uses. Those of the
//! providers that charge are a crate, since `app dev --fake-providers` runs them too.

pub mod issuer;
pub mod s3;
pub mod services;

pub use fake_providers::{embeddings, http, llamaparse};
