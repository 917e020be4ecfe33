//! Other people's services, each a server of its own on 127.0.0.1 that speaks as much of the real protocol as is used here.

pub mod http;
pub mod issuer;
pub mod llamaparse;
pub mod s3;
pub mod services;
