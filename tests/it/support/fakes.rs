//! Fakes of external services. Each is a server on 127.0.0.1 with the part of the real protocol that `app` uses.

pub mod embeddings;
pub mod http;
pub mod issuer;
pub mod llamaparse;
pub mod s3;
pub mod services;
