//! Unsafe code is in the allowed files only; each needed it for a measured gain.

use std::path::Path;

use anyhow::Result;

use crate::finding::Finding;
use crate::workspace::Workspace;

/// Where unsafe code may stand. Each block there has its `// SAFETY:`, which clippy checks.
const ALLOWED: &[&str] = &["crates/catalog/src/block.rs"];

/// What can follow the keyword where it is code and not prose.
const FOLLOWERS: &[&str] = &["{", "fn ", "impl ", "impl<", "trait ", "extern ", "("];

/// Finds unsafe code outside of the allowed files.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in workspace.files_with("rs") {
        if ALLOWED.iter().any(|allowed| file == Path::new(allowed)) {
            continue;
        }
        let text = workspace.text(file)?;
        for (line, _) in (1..).zip(text.lines()).filter(|(_, line)| is_unsafe(line)) {
            findings.push(Finding {
                file: file.to_owned(),
                line: Some(line),
                problem: format!("unsafe code is allowed only in {}", ALLOWED.join(", ")),
            });
        }
    }
    Ok(findings)
}

/// Whether a line of Rust begins something unsafe.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, keyword)| {
        let joined = code[..at].ends_with(|before: char| before == '_' || before.is_alphanumeric());
        let after = &code[at + keyword.len()..];
        // The end of a line counts: rustfmt may put the brace on the next one.
        let begins = after.is_empty()
            || FOLLOWERS.iter().any(|follower| {
                after.starts_with(follower) || after.trim_start().starts_with(follower)
            });
        !joined && begins && !after.starts_with('_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_prose() {
        let keyword = "unsafe";
        for code in
            ["let x = @ { y };", "pub @ fn f() {}", "@ impl Send for X {}", "#[@(no_mangle)]", "@"]
        {
            assert!(is_unsafe(&code.replace('@', keyword)), "{code}");
        }
        for prose in ["#![forbid(@_code)]", "// @ { }", "let not_@ = 1;", "\"no @ code\""] {
            assert!(!is_unsafe(&prose.replace('@', keyword)), "{prose}");
        }
    }
}
