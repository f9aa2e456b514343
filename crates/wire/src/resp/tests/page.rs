//! docs/resp.md says what the code does.

use super::*;
use std::fmt::Write as _;
use std::{env, fs, path::PathBuf};

/// Set to anything, the test writes the table into the page instead of comparing it.
const REWRITE: &str = "STOCKD_REWRITE_DOCS";

const BEGIN: &str = "<!-- commands: generated from the table of the code -->\n";
const END: &str = "<!-- end of commands -->\n";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/resp.md")
}

fn generated_table() -> String {
    let mut text = "| command | here |\n|---|---|\n".to_owned();
    let mut rows: Vec<_> = table::COMMANDS.iter().filter(|spec| !is_container(spec)).collect();
    rows.sort_by_key(|spec| (spec.group != "string", spec.group, spec.name));
    for spec in rows {
        let name = spec.name.to_uppercase().replace('|', " ");
        let call = format!("{name} {}", spec.arguments).trim_end().replace('|', "\\|");
        writeln!(text, "| `{call}` | {} |", spec.summary).unwrap();
    }
    text
}

/// Commands that are nothing without a subcommand.
fn is_container(spec: &table::Spec) -> bool {
    *spec.parts.start() > 1 && spec.subcommands().next().is_some()
}

#[test]
fn the_table_of_commands_is_that_of_the_code() {
    let page_text = fs::read_to_string(page()).unwrap();
    let (before, rest) = page_text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let generated = generated_table();
    if env::var_os(REWRITE).is_some() {
        fs::write(page(), [before, BEGIN, &generated, END, after].concat()).unwrap();
        return;
    }
    assert!(table == generated, "docs/resp.md is not up to date: run this test with {REWRITE}=1");
}

/// `→` is a command, sent as an array and as a line; each `←` behind it is what comes back, with
/// line ends written out.
#[test]
fn the_conversations_of_the_page_are_held() {
    let page_text = fs::read_to_string(page()).unwrap();
    let mut held = 0;
    for block in page_text.split("```text\n").skip(1) {
        let block = block.split("```").next().unwrap();
        if !block.starts_with('→') {
            continue;
        }
        for as_line in [false, true] {
            let mut conversation = Conversation::new();
            for turn in block.split('→').skip(1) {
                let (command, replies) = turn.split_once('\n').unwrap();
                conversation.receive(&match as_line {
                    true => format!("{command}\n").into_bytes(),
                    false => words(command),
                });
                let expected: String = replies
                    .lines()
                    .map(|line| line.trim_start_matches('←').trim().replace("\\r\\n", "\r\n"))
                    .collect();
                assert_eq!(conversation.read(), expected, "{command}");
                held += 1;
            }
        }
    }
    assert!(held > 20, "{held} turns found on the page");
}
