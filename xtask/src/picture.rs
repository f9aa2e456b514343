//! Pictures of a terminal in README.md and docs: what a command prints, as it printed it once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::workspace::Workspace;

/// One picture.
struct Picture {
    /// Where it lies.
    path: &'static str,
    /// What it is said to show.
    label: &'static str,
    /// What is shown as typed. Its words behind `stockd` are what is run, but for the demo.
    command: &'static str,
    /// Whether it asks a server, which has the stocks of [`STOCKS`].
    asks_a_server: bool,
}

const PICTURES: &[Picture] = &[
    Picture {
        path: "docs/demo.svg",
        label: "stockd demo in a terminal",
        command: "cargo run --release -- demo --once",
        asks_a_server: false,
    },
    Picture {
        path: "docs/lookup-clients.svg",
        label: "stockd lookup with one to five clients in a terminal",
        command: "stockd lookup AAPL IBM NOPE --clients 1..5 --runs 2000",
        asks_a_server: true,
    },
    Picture {
        path: "docs/load.svg",
        label: "stockd load in a terminal",
        command: "stockd load --sweep rate=5000,10000,20000 --duration 2s --assert p99<50ms",
        asks_a_server: true,
    },
];

/// The stocks of the server that is asked.
const STOCKS: &str = "symbol,price,volume\nAAPL,172.50,1000\nIBM,159,5\nSOLD,8.25,0\n";

/// Lines that are shown, at most.
const LINES: usize = 30;

/// Pixels of a letter and a line.
const LETTER: f64 = 8.43;
const LINE: usize = 19;

/// Letters of a line, at least, and pixels around the text.
const COLUMNS: usize = 76;
const MARGIN: usize = 18;

/// Runs the commands and draws the beginning of what each prints.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    let binary = build::release_binary(workspace)?;
    for picture in PICTURES {
        let text = printed(picture, &binary).with_context(|| picture.command.to_owned())?;
        fs::write(workspace.absolute(picture.path), draw(picture, &text)).context(picture.path)?;
        println!("drawn in {}", picture.path);
    }
    Ok(())
}

/// What a command prints.
fn printed(picture: &Picture, binary: &Path) -> Result<String> {
    let words = picture.command.split(' ');
    let words = words.skip_while(|word| !["demo", "lookup", "load"].contains(word));
    let mut command = Command::new(binary);
    command.args(words).env("COLUMNS", "100");
    let server = picture.asks_a_server.then(|| Server::start(binary)).transpose()?;
    if let Some(server) = &server {
        command.env("STOCKD_SERVER", &server.line).env("STOCKD_RESP_SERVER", &server.resp);
    }
    let played = command.output().context("cannot be run")?;
    let said = String::from_utf8_lossy(&played.stderr);
    ensure!(played.status.success(), "ended with {}: {said}", played.status);
    String::from_utf8(played.stdout).context("printed no text")
}

/// A server with a few stocks. Ends when it is dropped.
struct Server {
    child: Child,
    line: String,
    resp: String,
}

impl Server {
    fn start(binary: &Path) -> Result<Server> {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let stocks = directory.path().join("stocks.csv");
        fs::write(&stocks, STOCKS)?;
        let mut command = Command::new(binary);
        command.args(["serve", "--ephemeral", "--log", "warn", "--http", "off", "--catalog"]);
        command.arg(&stocks).args(["--line", "127.0.0.1:0", "--resp", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start a server")?;
        let printed = child.stdout.take().context("the server has no output")?;
        let mut server = Server { child, line: String::new(), resp: String::new() };
        for line in BufReader::new(printed).lines() {
            match line?.split_once(' ') {
                Some(("line", address)) => server.line = address.to_owned(),
                Some(("resp", address)) => {
                    server.resp = address.to_owned();
                    break;
                }
                _ => {}
            }
        }
        ensure!(!server.line.is_empty() && !server.resp.is_empty(), "the server does not listen");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn draw(picture: &Picture, text: &str) -> String {
    let command = format!("$ {}", picture.command);
    let shown: Vec<&str> = std::iter::once(&*command).chain(text.lines()).take(LINES).collect();
    let columns = shown.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(COLUMNS);
    let width = (columns as f64 * LETTER) as usize + 2 * MARGIN;
    let height = shown.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#10151c\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" \
         font-size=\"14\" fill=\"#d5dbe3\" xml:space=\"preserve\">\n",
        picture.label
    );
    for (number, line) in shown.iter().enumerate() {
        let bottom = MARGIN + number * LINE + 14;
        let colour = match number {
            0 => " fill=\"#7ee0a1\"",
            _ => "",
        };
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        svg.push_str(&format!("<text x=\"{MARGIN}\" y=\"{bottom}\"{colour}>{line}</text>\n"));
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_text_and_bounded() {
        let svg = draw(&PICTURES[0], &"a < b & c\n".repeat(100));
        assert_eq!(svg.matches("<text").count(), LINES);
        assert!(svg.contains("a &lt; b &amp; c</text>"));
    }
}
