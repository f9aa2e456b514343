//! Relative links in Markdown lead to files that exist, and to headings in them.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::finding::Finding;
use crate::markdown;
use crate::workspace::Workspace;

/// Finds links that lead nowhere. Links to other hosts are not followed.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for document in workspace.files_with("md") {
        for (line, prose) in markdown::prose(&workspace.text(document)?) {
            for link in markdown::link_targets(prose) {
                if let Some(problem) = problem_of(workspace, document, &link)? {
                    findings.push(Finding { file: document.to_owned(), line: Some(line), problem });
                }
            }
        }
    }
    Ok(findings)
}

/// What is wrong with a link of a document, if anything.
fn problem_of(workspace: &Workspace, document: &Path, link: &str) -> Result<Option<String>> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let Some(target) = resolve(document, path) else {
        return Ok(Some(format!("link '{link}' leads out of the repository")));
    };
    if !workspace.has(&target) {
        return Ok(Some(format!("link '{link}': there is no {}", target.display())));
    }
    let is_markdown = target.extension().is_some_and(|extension| extension == "md");
    if anchor.is_empty() || !is_markdown {
        return Ok(None);
    }
    let known = markdown::anchors(&workspace.text(&target)?);
    Ok((!known.iter().any(|known| known == anchor))
        .then(|| format!("link '{link}': {} has no heading #{anchor}", target.display())))
}

/// The file that a link of a document means; `None` outside of the repository.
fn resolve(document: &Path, link: &str) -> Option<PathBuf> {
    if link.is_empty() {
        return Some(document.to_owned());
    }
    let mut resolved = document.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(link).components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_their_document() {
        let resolved = |link| resolve(Path::new("docs/decisions/001.md"), link);
        assert_eq!(resolved("../a.md"), Some(PathBuf::from("docs/a.md")));
        assert_eq!(resolved("./b.md"), Some(PathBuf::from("docs/decisions/b.md")));
        assert_eq!(resolved(""), Some(PathBuf::from("docs/decisions/001.md")));
        assert_eq!(resolved("../../../x"), None);
        assert_eq!(resolved("/etc/passwd"), None);
    }
}
