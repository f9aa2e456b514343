//! The development tasks of stockd: `cargo xtask ci` is what CI runs, and CI runs nothing else.
//!
//! Each task is a step that can be run alone, so that a failure in CI is repeated with one
//! command. `cargo xtask` lists them.
//!
//! Invariant: [`TASKS`] is the only list of tasks; dispatch, CI and the list that is printed come
//! from it.

#![forbid(unsafe_code)]

mod build;
mod chaos;
mod ci;
mod cluster;
mod compare;
mod crate_arrows;
mod dashboard;
mod demo_data;
mod dependency_versions;
mod file_circles;
mod finding;
mod instructions;
mod lanes;
mod links;
mod markdown;
mod models;
mod module_tree;
mod named_files;
mod packages;
mod picture;
mod readme;
mod resp;
mod task;
mod test_run;
mod transcript;
mod unsafe_code;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::task::{Task, When};
use crate::workspace::Workspace;

/// Every task; those of CI in the order of their lane, the quick ones first.
const TASKS: &[Task] = &[
    Task { name: "ci", about: "every step marked * below", in_ci: None, run: ci },
    Task { name: "fmt", about: "the code is formatted", in_ci: Some(When::First), run: build::fmt },
    Task {
        name: "docs",
        about: "links in Markdown resolve, files that the documents name exist",
        in_ci: Some(When::First),
        run: docs,
    },
    Task {
        name: "structure",
        about: "crate arrows, files without circles, where unsafe code and dependency versions stand",
        in_ci: Some(When::First),
        run: structure,
    },
    Task {
        name: "dashboard",
        about: "[pictures | measure [SECONDS]]: types, style, size and vendored files of the dashboard",
        in_ci: Some(When::First),
        run: dashboard::run,
    },
    Task {
        name: "clippy",
        about: "no warnings, in tests and benchmarks too",
        in_ci: Some(When::First),
        run: build::clippy,
    },
    Task {
        name: "smallest",
        about: "the binary builds without load generator, plots, demo, HTTP, feeds and clusters, and with each alone",
        in_ci: Some(When::First),
        run: build::smallest,
    },
    Task {
        name: "rustdoc",
        about: "the documentation of the code builds without warnings",
        in_ci: Some(When::First),
        run: build::rustdoc,
    },
    Task {
        name: "build",
        about: "the tests build, and the binary that they run",
        in_ci: Some(When::First),
        run: build::build,
    },
    Task {
        name: "loom",
        about: "the models of the catalog's concurrency, explored exhaustively",
        in_ci: Some(When::Beside),
        run: models::explore,
    },
    Task {
        name: "instructions",
        about: "[--record]: the hot paths take no more instructions than the record says",
        in_ci: Some(When::Beside),
        run: instructions::run,
    },
    Task {
        name: "test",
        about: "all tests of the workspace",
        in_ci: Some(When::Then),
        run: test_run::run,
    },
    Task {
        name: "demo",
        about: "the binary plays `stockd demo --once`",
        in_ci: Some(When::Then),
        run: build::demo,
    },
    Task {
        name: "readme",
        about: "the commands of README.md do what it shows",
        in_ci: Some(When::Then),
        run: readme::run,
    },
    Task {
        name: "chaos",
        about: "[--seconds N] [--seed S] [--only KIND,…] [--crowd] [--measure]: rude clients beside polite ones",
        in_ci: Some(When::Then),
        run: chaos::run,
    },
    Task {
        name: "cluster-faults",
        about: "three nodes from one command, and three seeded runs of faults between them",
        in_ci: Some(When::Then),
        run: cluster::check,
    },
    Task {
        name: "cluster",
        about: "[--quick | --faults [--runs N] [--seed S] [--seconds N] | --measure] [--binary PATH]: three nodes to try",
        in_ci: None,
        run: cluster::run,
    },
    Task {
        name: "demo-data",
        about: "FILE: makes crates/stockd/data/daily_bars.csv.gz from stocks.csv.gz",
        in_ci: None,
        run: demo_data::run,
    },
    Task {
        name: "picture",
        about: "draws the terminals in README.md and docs: docs/demo.svg and others",
        in_ci: None,
        run: picture::run,
    },
    Task {
        name: "compare",
        about: "[--quick] [SCENARIO…]: stockd and its peers under the same load, for docs/benchmarks.md",
        in_ci: None,
        run: compare::run,
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("xtask: there is no task '{name}'; cargo xtask lists them");
        return ExitCode::from(2);
    };
    let arguments: Vec<String> = arguments.collect();
    match Workspace::open().and_then(|workspace| (task.run)(&workspace, &arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask TASK");
    for task in TASKS {
        let mark = if task.in_ci.is_some() { '*' } else { ' ' };
        println!("  {:<15} {mark} {}", task.name, task.about);
    }
}

fn ci(_: &Workspace, _: &[String]) -> Result<()> {
    ci::run(TASKS)
}

fn docs(workspace: &Workspace, _: &[String]) -> Result<()> {
    finding::report(links::check(workspace)?.into_iter().chain(named_files::check(workspace)?))
}

fn structure(workspace: &Workspace, _: &[String]) -> Result<()> {
    finding::report(
        crate_arrows::check(workspace)?
            .into_iter()
            .chain(file_circles::check(workspace)?)
            .chain(unsafe_code::check(workspace)?)
            .chain(dependency_versions::check(workspace)?),
    )
}
