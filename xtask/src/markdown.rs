//! The parts of Markdown that the checks need: fences, code spans, headings and links.

/// One line of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Outside of fenced blocks.
    Prose(&'a str),
    /// The fence that opens a block, and the language it names.
    Opening(&'a str),
    /// Inside a fenced block.
    Code(&'a str),
    /// The fence that closes it.
    Closing,
}

/// The lines of a document with their numbers, from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    let mut fence = None;
    (1..).zip(text.lines()).map(move |(number, line)| {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        let line = match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                Line::Opening(trimmed.trim_start_matches(&mark[..1]).trim())
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                Line::Closing
            }
            (Some(_), _) => Line::Code(line),
            (None, None) => Line::Prose(line),
        };
        (number, line)
    })
}

/// The prose lines of a document with their numbers.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text).filter_map(|(number, line)| match line {
        Line::Prose(prose) => Some((number, prose)),
        _ => None,
    })
}

/// What stands in backticks on a line.
pub(crate) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Where the links and images of a line lead, and link definitions, as they are written.
pub(crate) fn link_targets(line: &str) -> Vec<String> {
    let without_code: String = line.split('`').step_by(2).collect();
    let definition = without_code
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target);
    without_code
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .chain(definition)
        .map(|target| target.trim_matches(['<', '>', ' ']).to_owned())
        .collect()
}

/// The anchors that links into a document can name: its headings as GitHub turns them into
/// anchors, and `id="…"`.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() < line.len() && title.starts_with(' ') {
            let anchor = anchor_of(title.trim());
            let repeats = |n: &usize| {
                let numbered = numbered(&anchor, *n);
                anchors.contains(&numbered)
            };
            let n = (0..).find(|n| !repeats(n)).unwrap_or_default();
            anchors.push(numbered(&anchor, n));
        }
        let ids = line.split("id=\"").skip(1);
        anchors.extend(ids.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    anchors
}

fn numbered(anchor: &str, n: usize) -> String {
    match n {
        0 => anchor.to_owned(),
        _ => format!("{anchor}-{n}"),
    }
}

/// GitHub's rule: lower case, punctuation dropped, spaces become hyphens.
fn anchor_of(title: &str) -> String {
    let mut shown = title.to_owned();
    // Of a link only the text is shown.
    while let Some((start, rest)) = shown.split_once("](") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        shown = format!("{start}{after}");
    }
    shown
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_divide_prose_from_code() {
        let text = "a\n```console\n$ b\n~~~\n```\nc";
        let found: Vec<_> = lines(text).collect();
        assert_eq!(
            found,
            [
                (1, Line::Prose("a")),
                (2, Line::Opening("console")),
                (3, Line::Code("$ b")),
                (4, Line::Code("~~~")),
                (5, Line::Closing),
                (6, Line::Prose("c")),
            ]
        );
    }

    #[test]
    fn links_are_found_and_code_is_no_link() {
        assert_eq!(
            link_targets("see [a](x.md#b) and ![i](<y.png>), not `[c](z)` [d](w \"title\")"),
            ["x.md#b", "y.png", "w"]
        );
        assert_eq!(link_targets("[name]: docs/a.md"), ["docs/a.md"]);
        assert_eq!(code_spans("a `b` c `d`").collect::<Vec<_>>(), ["b", "d"]);
    }

    #[test]
    fn headings_become_the_anchors_of_github() {
        let text = "# 3. The line protocol (TCP)\n## `serve` & [co](x)\n## Words\n## Words\n```\n# no\n```\n<a id=\"here\"></a>";
        assert_eq!(
            anchors(text),
            ["3-the-line-protocol-tcp", "serve--co", "words", "words-1", "here"]
        );
    }
}
