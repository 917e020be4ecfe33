//! The routes that platforms call: health, build, metrics.

pub mod health;
pub mod metrics;
pub mod storage_health;
