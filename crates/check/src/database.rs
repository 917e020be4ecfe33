//! The checks of the database, from the name of its host to the workers that use it.

pub(super) mod budget;
pub(super) mod environment;
pub(super) mod indexes;
pub(super) mod login;
pub(super) mod money;
pub(super) mod network;
pub(super) mod packed;
pub(super) mod queue;
pub(super) mod reembed;
pub(super) mod replica;
pub(super) mod schema;
pub(super) mod server;
pub(super) mod session_mode;
pub(super) mod settings;
pub(super) mod workers;
