//! The replies of `COMMAND`: what the [table] says, in the form that clients read.

use super::arguments::Arguments;
use super::command::Describe;
use super::encoder::Encoder;
use super::frame::{bulk, simple};
use super::glob::Glob;
use super::spec;
use super::table::Spec;
use super::usage::{self, Argument, Kind};

/// What is left of a reply of `COMMAND`. It is made one command at a time, since a client may ask
/// for many.
#[derive(Debug, Default)]
pub struct Description {
    /// In reverse. `None` stands for what is no command.
    left: Vec<Option<&'static Spec>>,
    /// Whether it says what they are for, or how they are called.
    is_docs: bool,
}

impl Description {
    /// Appends the next command. Returns whether there was one.
    pub fn next(&mut self, encoder: &Encoder, out: &mut Vec<u8>) -> bool {
        match self.left.pop() {
            None => return false,
            Some(None) => encoder.nil(out),
            Some(Some(spec)) if self.is_docs => encoder.doc(spec, out),
            Some(Some(spec)) => encoder.info(spec, out),
        }
        true
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.left.capacity() * size_of::<Option<&Spec>>()
    }
}

impl Encoder {
    /// Begins the reply to `COMMAND` or one of its subcommands. What is left of it follows at once.
    pub fn describe(&self, describe: &Describe<'_>, out: &mut Vec<u8>) -> Description {
        let mut left: Vec<_> = match *describe {
            Describe::Count => {
                self.integer(spec::commands().count() as u64, out);
                return Description::default();
            }
            Describe::Names(pattern) => {
                self.names(pattern, out);
                return Description::default();
            }
            Describe::Keys(command) => {
                self.keys(command, out);
                return Description::default();
            }
            Describe::Help(command) => {
                self.help(command, out);
                return Description::default();
            }
            Describe::Named(names) => names.map(spec::find_any).collect(),
            Describe::Docs(names) if names.len() > 0 => {
                names.filter_map(spec::find_any).map(Some).collect()
            }
            Describe::All | Describe::Docs(_) => spec::commands().map(Some).collect(),
        };
        let is_docs = matches!(describe, Describe::Docs(_));
        match is_docs {
            true => self.map(left.len(), out),
            false => self.array(left.len(), out),
        }
        left.reverse();
        Description { left, is_docs }
    }

    /// The names of the commands that match.
    fn names(&self, pattern: Option<Glob<'_>>, out: &mut Vec<u8>) {
        let fits = |name: &str| pattern.is_none_or(|pattern| pattern.matches(name.as_bytes()));
        let names = spec::commands().map(|spec| spec.name).filter(|name| fits(name));
        self.array(names.clone().count(), out);
        names.for_each(|name| bulk(name.as_bytes(), out));
    }

    /// The symbols in a command that comes with its name.
    fn keys(&self, command: Arguments<'_>, out: &mut Vec<u8>) {
        let mut parts = command;
        let spec = parts.next().and_then(spec::find);
        let positions = |spec: &Spec| spec.key_positions(command.len());
        let positions: Vec<_> = spec.map(positions).into_iter().flatten().collect();
        self.array(positions.len(), out);
        for at in positions {
            bulk(command.into_iter().nth(at).unwrap_or_default(), out);
        }
    }

    /// How each subcommand is called and what it does, line by line, as Redis words it.
    fn help(&self, command: &str, out: &mut Vec<u8>) {
        let spec = spec::find(command.as_bytes());
        let subcommands = spec.map(Spec::subcommands).into_iter().flatten();
        self.array(1 + 2 * subcommands.clone().count(), out);
        let name = command.to_uppercase();
        let mut line = |text: &str| bulk(text.trim_end().as_bytes(), out);
        line(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for Spec { name, arguments, summary, .. } in subcommands {
            let (_, name) = name.split_once('|').unwrap_or_default();
            line(&format!("{} {arguments}", name.to_uppercase()));
            line(&format!("    {summary}"));
        }
    }

    /// Name, arity, flags, first key, last key, step; then ACL categories, tips and key
    /// specifications, of which there are none; then the subcommands.
    fn info(&self, spec: &Spec, out: &mut Vec<u8>) {
        self.array(10, out);
        bulk(spec.name.as_bytes(), out);
        self.signed(spec.arity(), out);
        self.set(spec.kind.flags.len(), out);
        for flag in spec.kind.flags {
            simple(flag, out);
        }
        let (first, last, step) = spec.keys;
        for key in [first, last, step] {
            self.signed(key, out);
        }
        self.set(0, out);
        self.array(0, out);
        self.array(0, out);
        self.array(spec.subcommands().count(), out);
        for subcommand in spec.subcommands() {
            self.info(subcommand, out);
        }
    }

    /// A name, what the command is for and what may stand behind it; subcommands are a map of such
    /// pairs within.
    fn doc(&self, spec: &Spec, out: &mut Vec<u8>) {
        let subcommands = spec.subcommands().count();
        let usage = if subcommands > 0 { Vec::new() } else { usage::read(spec.arguments) };
        bulk(spec.name.as_bytes(), out);
        self.map(2 + usize::from(subcommands > 0) + usize::from(!usage.is_empty()), out);
        for (key, text) in [("summary", spec.summary), ("group", spec.group)] {
            bulk(key.as_bytes(), out);
            bulk(text.as_bytes(), out);
        }
        if !usage.is_empty() {
            bulk(b"arguments", out);
            self.usage(&usage, out);
        }
        if subcommands > 0 {
            bulk(b"subcommands", out);
            self.map(subcommands, out);
            for subcommand in spec.subcommands() {
                self.doc(subcommand, out);
            }
        }
    }

    /// Arguments, each a map; those of a block or a choice are within.
    fn usage(&self, arguments: &[Argument<'_>], out: &mut Vec<u8>) {
        self.array(arguments.len(), out);
        for Argument { name, kind, token, optional, multiple } in arguments {
            let within: &[Argument<'_>] = match kind {
                Kind::Block(within) | Kind::OneOf(within) => within,
                _ => &[],
            };
            let flags = [(*optional, "optional"), (*multiple, "multiple")];
            let flags = flags.into_iter().filter_map(|(has, flag)| has.then_some(flag));
            let has_flags = *optional || *multiple;
            let more = [token.is_some(), has_flags, !within.is_empty()].map(usize::from);
            self.map(2 + more.iter().sum::<usize>(), out);
            for (key, text) in [("name", *name), ("type", kind.name())] {
                bulk(key.as_bytes(), out);
                bulk(text.as_bytes(), out);
            }
            if let Some(token) = token {
                bulk(b"token", out);
                bulk(token.as_bytes(), out);
            }
            if has_flags {
                bulk(b"flags", out);
                self.set(flags.clone().count(), out);
                flags.for_each(|flag| simple(flag, out));
            }
            if !within.is_empty() {
                bulk(b"arguments", out);
                self.usage(within, out);
            }
        }
    }
}
