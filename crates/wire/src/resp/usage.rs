//! The arguments of a command, read from how documents write them.
//!
//! `symbol [MATCH pattern] [COUNT n]`: words in order; `[…]` may be left out; `a|b` is one of these;
//! words in capitals are written as they stand, before what belongs to them; `…` repeats.
//!
//! Invariant: every text of the [table](super::table) is read whole.

/// One argument, or several that belong together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Argument<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind<'a>,
    /// What is written before it.
    pub(super) token: Option<&'a str>,
    pub(super) optional: bool,
    pub(super) multiple: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Key,
    Pattern,
    Integer,
    String,
    /// Nothing but its token.
    PureToken,
    OneOf(Vec<Argument<'a>>),
    Block(Vec<Argument<'a>>),
}

impl Kind<'_> {
    /// As Redis calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::Integer => "integer",
            Kind::String => "string",
            Kind::PureToken => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }

    fn of(word: &str) -> Kind<'_> {
        match word {
            _ if word.contains('|') => Kind::OneOf(word.split('|').map(choice).collect()),
            "symbol" => Kind::Key,
            "pattern" => Kind::Pattern,
            "n" | "count" | "id" | "cursor" | "replicas" | "seconds" | "milliseconds"
            | "timeout-ms" => Kind::Integer,
            _ => Kind::String,
        }
    }
}

/// The arguments that are written so.
pub(super) fn read(text: &str) -> Vec<Argument<'_>> {
    let mut arguments = Vec::new();
    let mut token = None;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (mut argument, behind) = match rest.strip_prefix('[') {
            Some(inner) => {
                let end = group_end(inner);
                let behind = inner.get(end + 1..).unwrap_or_default();
                (group(inner.get(..end).unwrap_or(inner)), behind)
            }
            None => {
                let end = rest.find([' ', '[']).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                if is_token(word) {
                    arguments.extend(token.replace(word).map(pure_token));
                    rest = behind.trim_start();
                    continue;
                }
                (Argument::new(word, Kind::of(word)), behind)
            }
        };
        rest = behind.trim_start();
        if let Some(behind) = rest.strip_prefix('…') {
            argument.multiple = true;
            rest = behind.trim_start();
        }
        match (argument.optional, token.take()) {
            (false, word) => argument.token = word,
            (true, word) => arguments.extend(word.map(pure_token)),
        }
        arguments.push(argument);
    }
    arguments.extend(token.map(pure_token));
    arguments
}

/// What stands in brackets: one argument, or a block of them.
fn group(text: &str) -> Argument<'_> {
    let mut within = read(text);
    let mut argument = match (within.len(), within.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            within.extend(last);
            let token = within.first_mut().and_then(|first| first.token.take());
            let name = within.first().map_or("", |first| first.name);
            Argument { token, ..Argument::new(name, Kind::Block(within)) }
        }
    };
    argument.optional = true;
    argument
}

/// Where the bracket closes that was opened before this.
fn group_end(inner: &str) -> usize {
    let mut depth = 1;
    let closes = |byte: u8| {
        depth += i32::from(byte == b'[') - i32::from(byte == b']');
        depth == 0
    };
    inner.bytes().position(closes).unwrap_or(inner.len())
}

/// One of several. A single letter stands for a value.
fn choice(word: &str) -> Argument<'_> {
    if word.len() == 1 && !word.starts_with(|first: char| first.is_ascii_digit()) {
        return Argument::new(word, Kind::String);
    }
    pure_token(word)
}

fn pure_token(word: &str) -> Argument<'_> {
    Argument { token: Some(word), ..Argument::new(word, Kind::PureToken) }
}

fn is_token(word: &str) -> bool {
    !word.contains('|') && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

impl<'a> Argument<'a> {
    fn new(name: &'a str, kind: Kind<'a>) -> Argument<'a> {
        Argument { name, kind, token: None, optional: false, multiple: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::table::COMMANDS;

    /// As it was written, from what was read.
    fn written(arguments: &[Argument<'_>]) -> String {
        let one = |argument: &Argument<'_>| {
            let name = match &argument.kind {
                Kind::PureToken => String::new(),
                Kind::Block(within) => written(within),
                Kind::OneOf(choices) => {
                    let names: Vec<_> = choices.iter().map(|choice| choice.name).collect();
                    names.join("|")
                }
                _ => argument.name.to_owned(),
            };
            let text = format!("{} {}", argument.token.unwrap_or_default(), name.trim());
            let repeated = if argument.multiple { " …" } else { "" };
            match argument.optional {
                true => format!("[{}{repeated}]", text.trim()),
                false => format!("{}{repeated}", text.trim()),
            }
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_text_of_the_table_is_read_whole() {
        for spec in &COMMANDS {
            assert_eq!(written(&read(spec.arguments)), spec.arguments, "{}", spec.name);
        }
    }

    #[test]
    fn tokens_belong_to_what_follows_them() {
        let read = read("cursor [MATCH pattern] [AUTH user password] [NEXT] on|off");
        let names: Vec<_> = read.iter().map(|it| (it.kind.name(), it.token)).collect();
        assert_eq!(
            names,
            [
                ("integer", None),
                ("pattern", Some("MATCH")),
                ("block", Some("AUTH")),
                ("pure-token", Some("NEXT")),
                ("oneof", None)
            ]
        );
    }
}
