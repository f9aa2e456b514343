//! The instructions of the hot paths, counted under valgrind and compared with the record.
//!
//! `crates/server/benches/instructions.rs` has the cases; docs/benchmarks/instructions.json has what
//! each took when the record was made. A rise of more than [`RISE_PERCENT_MAX`] fails. Counts are the
//! same in every run on any machine with the same compiler, C library and kind of processor. Where
//! one of these differs from the record, counts cannot be compared, and the step only says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::workspace::Workspace;
use crate::{lanes, packages};

/// Where the record lies.
const RECORD: &str = "docs/benchmarks/instructions.json";

/// How much a count may rise above the record.
const RISE_PERCENT_MAX: u64 = 5;

/// The remedy when a count has changed for a good reason.
const RENEW: &str = "if it is worth it, renew the record with `cargo xtask instructions --record` and say why in the commit";

/// Features of a processor by which the C library and memchr choose their code.
const CPU_FEATURES: &[&str] = &["avx2", "bmi2", "erms"];

/// Instructions of each case.
type Counts = BTreeMap<String, u64>;

/// Counts and compares with the record; with `--record`, writes a new record.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let records = match arguments {
        [] => false,
        [flag] if flag == "--record" => true,
        _ => bail!("usage: cargo xtask instructions [--record]"),
    };
    let made_with = made_with()?;
    let record: Value = if records {
        Value::Null
    } else {
        let record = serde_json::from_str(&workspace.text(RECORD)?).context(RECORD)?;
        if let Some(difference) = difference(&record, &made_with) {
            println!("skipped, nothing is compared: {difference}");
            return Ok(());
        }
        record
    };
    packages::install(&[("valgrind", "valgrind")])?;
    let counts = count_all(&bench(workspace)?)?;
    if records {
        let record = json!({ "made_with": made_with, "instructions": counts });
        let text = serde_json::to_string_pretty(&record)? + "\n";
        fs::write(workspace.absolute(RECORD), text).context(RECORD)?;
        println!("recorded in {RECORD}");
        return Ok(());
    }
    let recorded = serde_json::from_value(record["instructions"].clone()).context(RECORD)?;
    let problems = compare(&recorded, &counts);
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// What counts depend on besides the code.
fn made_with() -> Result<BTreeMap<&'static str, String>> {
    let rustc = output(Command::new("rustc").arg("-vV"))?;
    let line = |key: &str| rustc.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("?");
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |feature: &&str| flags.split(' ').any(|flag| flag == *feature);
    let features: Vec<&str> = CPU_FEATURES.iter().copied().filter(has).collect();
    // No such program, no such library.
    let libc = output(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default();
    Ok(BTreeMap::from([
        ("rustc", format!("{} ({})", line("release: "), line("commit-hash: "))),
        ("target", line("host: ").to_owned()),
        ("libc", libc.trim().to_owned()),
        ("cpu", features.join(" ")),
    ]))
}

/// The first difference between this machine and the machine of the record.
fn difference(record: &Value, here: &BTreeMap<&'static str, String>) -> Option<String> {
    here.iter().find_map(|(what, here)| {
        let recorded = record["made_with"][what].as_str().unwrap_or("nothing");
        let text = format!("{what} is '{here}', and the record was made with '{recorded}'");
        (recorded != here).then_some(text)
    })
}

/// Builds the program with the cases, optimised as the release binary is.
fn bench(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args(["bench", "--package", "stockd-server", "--bench", "instructions"]);
    command.args(["--profile", "release", "--no-run", "--message-format", "json"]);
    let messages = output(command.stderr(Stdio::inherit()))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "instructions");
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.context("cargo built no benchmark 'instructions'")
}

fn count_all(bench: &Path) -> Result<Counts> {
    let cases = output(&mut Command::new(bench))?;
    let cases: Vec<&str> = cases.lines().collect();
    let counts = lanes::work(lanes::processors(), &cases, |case| count(bench, case))?;
    Ok(cases.into_iter().map(str::to_owned).zip(counts).collect())
}

/// Runs one case under valgrind, which says how many instructions it has counted.
fn count(bench: &Path, case: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg("--toggle-collect=*instructions::measured*").arg(bench).arg(case);
    let run = command.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "case '{case}' ended with {}:\n{said}", run.status);
    let counted = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = counted.with_context(|| format!("valgrind counted nothing:\n{said}"))?;
    let count = count.trim().parse().with_context(|| format!("valgrind counted '{count}'"))?;
    // The function may have been renamed or inlined.
    ensure!(count > 0, "case '{case}' did nothing within `measured`");
    Ok(count)
}

/// Prints both counts of every case. Returns the problems.
fn compare(recorded: &Counts, counts: &Counts) -> Vec<String> {
    let mut problems = Vec::new();
    for (case, &count) in counts {
        let Some(&before) = recorded.get(case) else {
            problems.push(format!("'{case}' is not in {RECORD}; {RENEW}"));
            continue;
        };
        let percent = (count as f64 / before as f64 - 1.0) * 100.0;
        println!("{case:<24} {count:>8}, {percent:+.1} % against the record");
        if count * 100 > before * (100 + RISE_PERCENT_MAX) {
            problems.push(format!(
                "'{case}' takes {count} instructions, {percent:.1} % more than the {before} of the \
                 record, and the limit is {RISE_PERCENT_MAX} %; {RENEW}"
            ));
        } else if count * 100 < before * (100 - RISE_PERCENT_MAX) {
            println!("  keep the gain: cargo xtask instructions --record");
        }
    }
    for case in recorded.keys().filter(|case| !counts.contains_key(*case)) {
        problems.push(format!("'{case}' is in {RECORD} and is no case any more; {RENEW}"));
    }
    problems
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const CASES: usize>(counts: [(&str, u64); CASES]) -> Counts {
        counts.map(|(case, count)| (case.to_owned(), count)).into()
    }

    #[test]
    fn a_rise_above_the_limit_is_a_problem_and_a_fall_is_none() {
        let recorded = counts([("a", 1000), ("b", 1000), ("c", 1000)]);
        let problems = compare(&recorded, &counts([("a", 1050), ("b", 1051), ("c", 100)]));
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.contains("'b' takes 1051 instructions, 5.1 % more than the 1000"));
        assert!(problem.contains("--record"));
    }

    #[test]
    fn a_case_has_to_be_in_the_record_and_the_other_way_round() {
        let problems = compare(&counts([("a", 1)]), &counts([("b", 1)]));
        assert!(problems[0].starts_with("'b' is not in"), "{problems:?}");
        assert!(problems[1].starts_with("'a' is in"), "{problems:?}");
    }

    #[test]
    fn what_counts_depend_on_is_compared_first() {
        let here = BTreeMap::from([("rustc", "1.95.0".to_owned())]);
        let record = |rustc| json!({ "made_with": { "rustc": rustc } });
        assert_eq!(difference(&record("1.95.0"), &here), None);
        let difference = difference(&record("1.94.0"), &here).unwrap();
        assert_eq!(difference, "rustc is '1.95.0', and the record was made with '1.94.0'");
    }
}
