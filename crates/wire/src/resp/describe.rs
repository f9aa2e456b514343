//! The replies of `COMMAND`: what the [table] says, in the form that clients read.

use super::command::Describe;
use super::encoder::Encoder;
use super::frame::{bulk, simple};
use super::table::{self, Spec};

/// What is left of a reply of `COMMAND`. It is made one command at a time, since a client may ask
/// for many.
#[derive(Debug)]
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
            Some(None) => encoder.nil_array(out),
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
                self.integer(table::commands().count() as u64, out);
                return Description { left: Vec::new(), is_docs: false };
            }
            Describe::Named(names) => names.map(table::find_any).collect(),
            Describe::Docs(names) if names.len() > 0 => {
                names.filter_map(table::find_any).map(Some).collect()
            }
            Describe::All | Describe::Docs(_) => table::commands().map(Some).collect(),
        };
        let is_docs = matches!(describe, Describe::Docs(_));
        match is_docs {
            true => self.map(left.len(), out),
            false => self.array(left.len(), out),
        }
        left.reverse();
        Description { left, is_docs }
    }

    /// Name, arity, flags, first key, last key, step; then ACL categories, tips and key
    /// specifications, of which there are none; then the subcommands.
    fn info(&self, spec: &Spec, out: &mut Vec<u8>) {
        self.array(10, out);
        bulk(spec.name.as_bytes(), out);
        self.signed(spec.arity(), out);
        self.set(spec.flags.len(), out);
        for flag in spec.flags {
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

    /// A name and what the command is for; subcommands are a map of such pairs within.
    fn doc(&self, spec: &Spec, out: &mut Vec<u8>) {
        let subcommands = spec.subcommands().count();
        bulk(spec.name.as_bytes(), out);
        self.map(if subcommands > 0 { 3 } else { 2 }, out);
        for (key, text) in [("summary", spec.summary), ("group", spec.group)] {
            bulk(key.as_bytes(), out);
            bulk(text.as_bytes(), out);
        }
        if subcommands > 0 {
            bulk(b"subcommands", out);
            self.map(subcommands, out);
            for subcommand in spec.subcommands() {
                self.doc(subcommand, out);
            }
        }
    }

    fn signed(&self, number: i64, out: &mut Vec<u8>) {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}
