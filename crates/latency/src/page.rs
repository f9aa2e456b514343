//! A report as one page of HTML that needs nothing else: style and charts are in it, light and dark.
//!
//! Invariant: no text becomes markup, and the page asks no server for anything; it says so to the browser,
//! which keeps it to that.

use std::fmt::Write;

use crate::chart::{Chart, THEMES};

/// One page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// What stands under the title, in order.
    pub blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Something to be noticed before the figures are believed.
    Warning(String),
    /// A command line or the like, as it was written.
    Code(String),
    /// Headings, and rows of as many cells. The first `left` columns stand left, the others right.
    Table {
        /// What the columns show.
        headings: Vec<String>,
        /// From top to bottom.
        rows: Vec<Vec<String>>,
        /// Columns of text.
        left: usize,
    },
    /// A chart.
    Chart(Chart),
}

/// Follows what the reader's system prefers, and prints in black on white.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--ink:#1f2328;--faint:#59636e;--line:#e3e7ec;--code:#f4f6f8;--warn:#fff3d6}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--ink:#e6edf3;--faint:#9aa5b1;--line:#262c35;--code:#161c24;--warn:#3a2d0d}
.light{display:none}}
@media not all and (prefers-color-scheme:dark){.dark{display:none}}
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.5rem 0;max-width:44rem}.warning{background:var(--warn);padding:.5rem .75rem;border-radius:6px}
pre{background:var(--code);padding:.5rem .75rem;border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.87rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--faint);font-weight:500}.left{text-align:left}
figure{margin:1rem 0}svg{max-width:100%;height:auto}
";

/// What the browser is told: nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Page {
    /// The page as HTML.
    ///
    /// # Errors
    ///
    /// When the drawing library fails.
    pub fn html(&self) -> Result<String, String> {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        );
        for block in &self.blocks {
            block.write(&mut html)?;
        }
        html.push_str("</body>\n</html>\n");
        Ok(html)
    }
}

impl Block {
    fn write(&self, html: &mut String) -> Result<(), String> {
        let written = match self {
            Block::Heading(text) => writeln!(html, "<h2>{}</h2>", escaped(text)),
            Block::Text(text) => writeln!(html, "<p>{}</p>", escaped(text)),
            Block::Warning(text) => writeln!(html, "<p class=\"warning\">{}</p>", escaped(text)),
            Block::Code(text) => writeln!(html, "<pre>{}</pre>", escaped(text)),
            Block::Table { headings, rows, left } => {
                html.push_str("<div class=\"wide\"><table>\n");
                row("th", headings, *left, html);
                rows.iter().for_each(|cells| row("td", cells, *left, html));
                html.push_str("</table></div>\n");
                Ok(())
            }
            Block::Chart(chart) => return figure(chart, html),
        };
        written.map_err(|error| error.to_string())
    }
}

fn row(element: &str, cells: &[String], left: usize, html: &mut String) {
    html.push_str("<tr>");
    for (at, cell) in cells.iter().enumerate() {
        let class = if at < left { " class=\"left\"" } else { "" };
        let cell = escaped(cell);
        html.push_str(&format!("<{element}{class}>{cell}</{element}>"));
    }
    html.push_str("</tr>\n");
}

/// The chart twice; the style shows the one that fits.
fn figure(chart: &Chart, html: &mut String) -> Result<(), String> {
    let label = escaped(&chart.title);
    html.push_str("<figure>\n");
    for theme in &THEMES {
        let svg = chart.svg(theme)?;
        let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
        html.push_str(&format!("<div class=\"{}\">\n{svg}</div>\n", theme.name));
    }
    html.push_str("</figure>\n");
    Ok(())
}

/// A text that means itself, between tags and in quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;

    #[test]
    fn a_page_stands_alone_and_shows_text_as_text() {
        let chart = Chart {
            name: "x".into(),
            title: "A \"<chart>\"".into(),
            subtitle: "<b>".into(),
            x: Axis::steps("clients", &[1.0, 2.0]),
            y: Axis::linear("y", [1.0].into_iter()),
            lines: Vec::new(),
        };
        let page = Page {
            title: "<script>alert(1)</script>".into(),
            blocks: vec![
                Block::Heading("a & b".into()),
                Block::Warning("careful".into()),
                Block::Code("stockd load --label '<x>'".into()),
                Block::Table {
                    headings: vec!["name".into(), "µs".into()],
                    rows: vec![vec!["<img src=x>".into(), "1".into()]],
                    left: 1,
                },
                Block::Chart(chart),
            ],
        };
        let html = page.html().unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"));
        assert!(html.contains("<td class=\"left\">&lt;img src=x&gt;</td><td>1</td>"), "{html}");
        assert!(html.contains("class=\"light\"") && html.contains("class=\"dark\""));
        assert_eq!(html.matches("<svg ").count(), 2);
        // The names of two formats are addresses that no browser asks.
        let others = html.replace("http://www.w3.org/", "");
        for outside in ["http:", "https:", "url(", "@import", " src=", "<link"] {
            assert!(!others.replace("&lt;img src=x", "").contains(outside), "{outside}");
        }
    }
}
