//! Deployment: the environment lock, the identity of a build, and the files that platforms read.

mod commands;
mod compose;
mod dev;
mod dockerfile;
mod identity;
mod lock;
mod render;
mod stamp;
mod yaml;
