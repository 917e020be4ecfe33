//! The checks of `app check`. A `Check` is a value: what it verifies, the causes it can find, the checks
//! it needs, how it runs. The `catalogue` lists all checks, top down. [`run_checks`] runs those that were asked for and
//! those that they need, each as soon as the ones it needs have passed; the rest are skipped with the id of the check
//! that failed.
//!
//! Nothing is changed for good: each check rolls back or removes what it stores (`canary`).
//!
//! *Must not know:* how findings are printed, or how the process continues. SQL on our tables is in [`store`].

mod bundle;
mod canary;
mod catalogue;
mod cause;
mod certificate;
mod check;
mod configuration;
mod context;
mod database;
mod finding;
mod outside;
mod report;
mod run;

pub use self::{
    bundle::{Surroundings, get_surroundings},
    catalogue::{CheckName, GROUPS, explain},
    cause::{Cause, Severity},
    context::{CheckOptions, MeasureRecall, Recall, Setup},
    finding::{CheckStatus, Finding},
    report::{Report, Summary, Verdict},
    run::run_checks,
};
