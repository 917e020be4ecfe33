//! The routes that platforms call: health, build, metrics.

pub mod health;
pub mod metrics;
mod samples;
pub mod storage_health;
