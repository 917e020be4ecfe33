//! What `app check` looks at. A `Check` is a value: what it verifies, the causes that it can find, what it
//! needs, how it runs. The `catalogue` lists all of them, top down; [`run_checks`] runs those that were asked for and
//! what they need, each as soon as what it needs has passed, and skips the rest with the name of what stands in the way.
//!
//! Nothing is changed for good: what a check has to put somewhere is rolled back or removed (`canary`).
//!
//! *Must not know:* how findings are printed, or how the process goes on. SQL on our tables stands in [`store`].

mod canary;
mod catalogue;
mod cause;
mod check;
mod configuration;
mod context;
mod database;
mod finding;
mod outside;
mod report;
mod run;

pub use self::{
    catalogue::{GROUPS, parse_name, render_markdown},
    cause::{Cause, Severity},
    context::{CheckOptions, Setup},
    finding::{CheckStatus, Finding},
    report::{Report, Summary, Verdict},
    run::run_checks,
};
