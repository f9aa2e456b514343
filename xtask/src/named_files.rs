//! Files that the documents name in backticks exist.
//!
//! A name counts as one of our files where it begins with a directory of the repository
//! (`docs/…`), or ends in `.rs` or `.md`. Such a name may leave out leading directories
//! (`worker.rs`). Names with wildcards are not checked.

use std::path::Path;

use anyhow::Result;

use crate::finding::Finding;
use crate::markdown;
use crate::workspace::Workspace;

/// Finds names of files that do not exist.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let documents = workspace.files_with("md").filter(|file| {
        file.starts_with("docs") || ["README.md", "ARCHITECTURE.md"].map(Path::new).contains(file)
    });
    let mut findings = Vec::new();
    for document in documents {
        for (line, prose) in markdown::prose(&workspace.text(document)?) {
            for name in markdown::code_spans(prose).filter(|name| is_missing(workspace, name)) {
                findings.push(Finding {
                    file: document.to_owned(),
                    line: Some(line),
                    problem: format!("'{name}' is named, but there is no such file"),
                });
            }
        }
    }
    Ok(findings)
}

/// Whether this is the name of a file of ours that does not exist.
fn is_missing(workspace: &Workspace, name: &str) -> bool {
    let could_be = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if !name.chars().all(could_be) || name.contains("..") || name.starts_with('/') {
        return false;
    }
    let path = Path::new(name);
    let ours = name.split_once('/').is_some_and(|(first, _)| {
        workspace.files().iter().any(|file| file.starts_with(first) && file != Path::new(first))
    });
    let is_source =
        [".rs", ".md"].into_iter().any(|end| name.len() > end.len() && name.ends_with(end));
    match (ours, is_source) {
        (_, true) => !workspace.files().iter().any(|file| file.ends_with(path)),
        (true, false) => !workspace.has(path),
        (false, false) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_told_from_other_code() {
        let workspace = Workspace::open().unwrap();
        for name in
            ["xtask/src/gone.rs", "gone.rs", "docs/gone.md", "crates/gone/", "xtask/gone.txt"]
        {
            assert!(is_missing(&workspace, name), "{name}");
        }
        for name in [
            "xtask/src/main.rs",
            "main.rs",
            "crates/",
            "src/lib.rs",
            "application/json",
            "/etc/x.md",
            "a b.rs",
            ".rs",
            "crates/*.rs",
        ] {
            assert!(!is_missing(&workspace, name), "{name}");
        }
    }
}
