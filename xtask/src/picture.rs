//! The picture of a terminal in README.md: what the demo prints, as it printed it once.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::workspace::Workspace;

/// Where the picture lies.
const PICTURE: &str = "docs/demo.svg";

/// Lines of the demo that are shown.
const LINES: usize = 30;

/// Pixels of a letter and a line.
const LETTER: f64 = 8.43;
const LINE: usize = 19;

/// Letters of a line, and pixels around the text.
const COLUMNS: usize = 76;
const MARGIN: usize = 18;

/// Plays the demo and draws the beginning of what it prints.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    let binary = build::release_binary(workspace)?;
    let played = Command::new(binary)
        .args(["demo", "--once"])
        .env("COLUMNS", "100")
        .output()
        .context("cannot run the demo")?;
    ensure!(played.status.success(), "the demo ended with {}", played.status);
    let text = String::from_utf8(played.stdout).context("the demo printed no text")?;
    fs::write(workspace.absolute(PICTURE), draw(&text)).context(PICTURE)?;
    println!("drawn in {PICTURE}");
    Ok(())
}

fn draw(text: &str) -> String {
    let shown: Vec<&str> = std::iter::once("$ cargo run --release -- demo --once")
        .chain(text.lines())
        .take(LINES)
        .collect();
    let width = (COLUMNS as f64 * LETTER) as usize + 2 * MARGIN;
    let height = shown.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"stockd demo in a terminal\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#10151c\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" \
         font-size=\"14\" fill=\"#d5dbe3\" xml:space=\"preserve\">\n"
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
        let svg = draw(&"a < b & c\n".repeat(100));
        assert_eq!(svg.matches("<text").count(), LINES);
        assert!(svg.contains("a &lt; b &amp; c</text>"));
    }
}
