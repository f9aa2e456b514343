//! The replies of `COMMAND`: what the [table] says, in the form that clients read.

use super::command::Describe;
use super::encoder::Encoder;
use super::frame::{bulk, simple};
use super::table::{self, Spec};

impl Encoder {
    /// Appends the reply to `COMMAND` or one of its subcommands.
    pub fn describe(&self, describe: &Describe<'_>, out: &mut Vec<u8>) {
        match *describe {
            Describe::Count => self.integer(table::commands().count() as u64, out),
            Describe::All => {
                self.array(table::commands().count(), out);
                for spec in table::commands() {
                    self.info(spec, out);
                }
            }
            Describe::Named(names) => {
                self.array(names.len(), out);
                for name in names {
                    match table::find_any(name) {
                        Some(spec) => self.info(spec, out),
                        None => self.nil_array(out),
                    }
                }
            }
            Describe::Docs(names) if names.len() == 0 => self.docs(table::commands(), out),
            Describe::Docs(names) => self.docs(names.filter_map(table::find_any), out),
        }
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

    /// A map from names to what the commands are for; subcommands are such a map within.
    fn docs(&self, specs: impl Iterator<Item = &'static Spec> + Clone, out: &mut Vec<u8>) {
        self.map(specs.clone().count(), out);
        for spec in specs {
            let subcommands = spec.subcommands();
            let has_subcommands = subcommands.clone().next().is_some();
            bulk(spec.name.as_bytes(), out);
            self.map(if has_subcommands { 3 } else { 2 }, out);
            for (key, text) in [("summary", spec.summary), ("group", spec.group)] {
                bulk(key.as_bytes(), out);
                bulk(text.as_bytes(), out);
            }
            if has_subcommands {
                bulk(b"subcommands", out);
                self.docs(subcommands, out);
            }
        }
    }

    fn signed(&self, number: i64, out: &mut Vec<u8>) {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}
