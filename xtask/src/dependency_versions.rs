//! Every dependency takes its version from `[workspace.dependencies]`, so that each is chosen once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::finding::Finding;
use crate::workspace::Workspace;

const KINDS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Finds dependencies of crates that name a version or path of their own.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let manifests = workspace.files().iter().filter(|file| {
        file.file_name().is_some_and(|name| name == "Cargo.toml")
            && file.as_path() != Path::new("Cargo.toml")
    });
    let mut findings = Vec::new();
    for file in manifests {
        let text = workspace.text(file)?;
        let manifest: Table = text.parse().with_context(|| file.display().to_string())?;
        findings.extend(own_versions(&manifest).into_iter().map(|name| Finding {
            file: PathBuf::from(file),
            line: None,
            problem: format!(
                "'{name}' must come from [workspace.dependencies]: write {name}.workspace = true"
            ),
        }));
    }
    Ok(findings)
}

/// The dependencies of a manifest that do not say `workspace = true`.
fn own_versions(manifest: &Table) -> Vec<&str> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        .filter(|(_, value)| value.get("workspace").and_then(Value::as_bool) != Some(true))
        .map(|(name, _)| name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_its_own_is_found_in_every_table() {
        let manifest: Table = "
            [dependencies]
            good.workspace = true
            kept = { workspace = true, features = ['x'] }
            one = '1.0'
            [dev-dependencies]
            two = { version = '2' }
            [target.'cfg(loom)'.dependencies]
            three = { path = '../three' }
            "
        .parse()
        .unwrap();
        assert_eq!(own_versions(&manifest), ["one", "two", "three"]);
    }
}
