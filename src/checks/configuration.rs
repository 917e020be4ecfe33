//! `cfg.parse`: whether every setting can be used. One finding a fault.

use std::time::Instant;

use super::{CheckStatus, Finding};
use crate::config::{Config, Fault};

pub(super) fn check(config: &Config, faults: &[Fault]) -> Vec<Finding> {
    let began = Instant::now();
    let mut findings: Vec<Finding> = faults
        .iter()
        .map(|fault| {
            Finding::failed(
                "cfg.parse",
                began,
                format!("{} {}", fault.name, fault.problem),
                "configuration_fault",
                &fault.fix,
            )
        })
        .collect();
    findings.extend(config.warnings.iter().map(|warning| Finding {
        status: CheckStatus::Warning,
        ..Finding::failed(
            "cfg.parse",
            began,
            format!("{} {}", warning.name, warning.problem),
            "configuration_doubt",
            &warning.fix,
        )
    }));
    if findings.is_empty() {
        findings.push(Finding::passed(
            "cfg.parse",
            began,
            format!("every setting of {} can be used", config.environment),
        ));
    }
    findings
}
