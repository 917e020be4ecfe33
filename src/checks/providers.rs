//! Who parses and embeds: the local model, and the services whose keys are set.

mod embed;
mod hook;
mod parse;

use super::{Scene, catalogue::Group, finding::Finding};

pub(super) const GROUP: Group = Group {
    name: "providers",
    checks: &[
        (embed::EMBED, "the model loads and gives vectors of its dimension."),
        (parse::PARSE, "the parsing service whose key is set takes it."),
        (hook::HOOK, "the parsing service could call this deployment back."),
    ],
    causes: &[
        &embed::MODEL_MISSING,
        &embed::MODEL_UNUSABLE,
        &embed::DIMENSION_UNEXPECTED,
        &parse::KEY_REFUSED,
        &parse::QUOTA,
        &parse::UNREACHABLE,
        &hook::NOT_HTTPS,
        &hook::IP_ADDRESS,
        &hook::TOO_LONG,
        &hook::UNREACHABLE,
        &hook::SECRET_DIFFERS,
        &hook::OTHER_DEPLOYMENT,
    ],
};

pub(super) async fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let selection = &scene.options.selection;
    let mut findings = Vec::new();
    if selection.wants(embed::EMBED) {
        findings.push(embed::check(scene.config, &*scene.model).await);
    }
    if selection.wants(parse::PARSE) {
        findings.push(parse::check(scene.config).await);
    }
    if selection.wants(hook::HOOK) {
        findings.push(hook::check(scene).await);
    }
    findings
}
