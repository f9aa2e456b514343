//! The source files of a crate use each other in one direction: no file uses, directly or through
//! others, a file that uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::finding::Finding;
use crate::module_tree::{self, Use};
use crate::workspace::Workspace;

/// Finds circles among the files of each crate.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let roots = workspace
        .files_with("rs")
        .filter(|file| ["src/lib.rs", "src/main.rs"].iter().any(|root| file.ends_with(root)));
    let mut circles = Vec::new();
    for root in roots {
        circles.extend(circles_among(&module_tree::uses(workspace, root)?));
    }
    Ok(findings(&circles))
}

/// Files each of which uses all the others, directly or not, and how.
#[derive(Debug)]
struct Circle {
    files: BTreeSet<PathBuf>,
    uses: Vec<Use>,
}

fn circles_among(uses: &[Use]) -> Vec<Circle> {
    let mut direct: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for each in uses {
        direct.entry(&each.user).or_default().push(&each.used);
    }
    let reached = |from: &Path| {
        let mut reached: BTreeSet<PathBuf> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            for &used in direct.get(file).into_iter().flatten() {
                if reached.insert(used.to_owned()) {
                    open.push(used);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&Path, _> = direct.keys().map(|&file| (file, reached(file))).collect();
    let reaches = |from: &Path, to: &Path| reached.get(from).is_some_and(|all| all.contains(to));
    let mut circles: Vec<Circle> = Vec::new();
    for &file in direct.keys().filter(|&&file| reaches(file, file)) {
        if circles.iter().any(|circle| circle.files.contains(file)) {
            continue;
        }
        let files: BTreeSet<PathBuf> =
            reached[file].iter().filter(|other| reaches(other, file)).cloned().collect();
        let among = |it: &&Use| files.contains(&it.user) && files.contains(&it.used);
        let uses = uses.iter().filter(among).cloned().collect();
        circles.push(Circle { files, uses });
    }
    circles
}

fn findings(circles: &[Circle]) -> Vec<Finding> {
    let finding = |circle: &Circle| {
        let uses = circle.uses.iter().map(|it| {
            format!("\n    {} uses {} ({})", it.user.display(), it.used.display(), it.path)
        });
        Finding {
            file: circle.files.first().cloned().unwrap_or_default(),
            line: None,
            problem: format!("in a circle of files:{}", uses.collect::<String>()),
        }
    };
    circles.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(pairs: &[(&str, &str)]) -> Vec<Use> {
        let using = |&(user, used): &(&str, &str)| Use {
            user: PathBuf::from(user),
            used: PathBuf::from(used),
            path: format!("crate::{used}"),
        };
        pairs.iter().map(using).collect()
    }

    #[test]
    fn circles_are_found_through_several_files_and_told_apart() {
        let circles = circles_among(&uses(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "d"),
            ("d", "e"),
            ("x", "y"),
            ("y", "x"),
            ("main", "a"),
        ]));
        let files: Vec<Vec<&str>> = circles
            .iter()
            .map(|circle| circle.files.iter().filter_map(|file| file.to_str()).collect())
            .collect();
        assert_eq!(files, [vec!["a", "b", "c"], vec!["x", "y"]]);
        assert_eq!(circles[0].uses.len(), 3);
    }
}
