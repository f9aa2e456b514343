//! The arrows between the crates of the workspace point down only.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::finding::Finding;
use crate::workspace::Workspace;

/// Which crates each crate may use, besides in its tests and benchmarks.
const ARROWS: &[(&str, &[&str])] = &[
    ("stockd-model", &[]),
    ("stockd-rows", &[]),
    ("stockd-catalog", &["stockd-model", "stockd-rows"]),
    ("stockd-wire", &["stockd-model"]),
    ("stockd-store", &["stockd-model"]),
    ("stockd-access", &["stockd-model"]),
    ("stockd-engine", &["stockd-catalog", "stockd-store", "stockd-access", "stockd-model"]),
    ("stockd-tls", &["stockd-model"]),
    (
        "stockd-server",
        &["stockd-engine", "stockd-access", "stockd-wire", "stockd-tls", "stockd-model"],
    ),
    (
        "stockd-web",
        &["stockd-server", "stockd-engine", "stockd-access", "stockd-tls", "stockd-model"],
    ),
    ("stockd-cluster", &["stockd-engine", "stockd-store", "stockd-model"]),
    ("stockd-client", &["stockd-wire", "stockd-tls", "stockd-model"]),
    ("stockd-feeds", &["stockd-model"]),
    ("stockd-latency", &["stockd-model"]),
    ("stockd-load", &["stockd-client", "stockd-latency", "stockd-wire", "stockd-model"]),
    (
        "stockd",
        &[
            "stockd-model",
            "stockd-access",
            "stockd-catalog",
            "stockd-store",
            "stockd-wire",
            "stockd-tls",
            "stockd-engine",
            "stockd-server",
            "stockd-web",
            "stockd-client",
            "stockd-cluster",
            "stockd-feeds",
            "stockd-latency",
            "stockd-load",
        ],
    ),
    ("stockd-witness", &["stockd-model"]),
    ("xtask", &["stockd-witness"]),
];

/// Finds dependencies between crates that the table does not allow.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    violations(&workspace.metadata()?)
}

fn violations(metadata: &Value) -> Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let name_of = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: Vec<String> = packages.iter().map(name_of).collect();
    let mut findings = Vec::new();
    for (package, name) in packages.iter().zip(&members) {
        let mut find = |problem| {
            findings.push(Finding {
                file: PathBuf::from(format!("crate {name}")),
                line: None,
                problem,
            });
        };
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| from == name) else {
            find(
                "has no row in the table of xtask/src/crate_arrows.rs: say which crates it may use"
                    .to_owned(),
            );
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for used in dependencies.filter(|used| used["kind"] != "dev").map(name_of) {
            if members.contains(&used) && !allowed.contains(&used.as_str()) {
                find(format!(
                    "may not use {used}: arrows point down only, see xtask/src/crate_arrows.rs"
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_arrow_that_points_up_is_found_and_one_for_tests_is_not() {
        let metadata = json!({"packages": [
            {"name": "stockd-model", "dependencies": [
                {"name": "stockd-engine", "kind": null},
                {"name": "stockd-catalog", "kind": "dev"},
                {"name": "itoa", "kind": null},
            ]},
            {"name": "stockd-engine", "dependencies": [{"name": "stockd-model", "kind": null}]},
            {"name": "stockd-catalog", "dependencies": []},
            {"name": "stockd-new", "dependencies": []},
        ]});
        let problems: Vec<String> =
            violations(&metadata).unwrap().iter().map(Finding::to_string).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("crate stockd-model: may not use stockd-engine"));
        assert!(problems[1].starts_with("crate stockd-new: has no row"));
    }
}
