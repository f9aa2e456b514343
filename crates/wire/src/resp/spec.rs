//! What a row of the [table](super::table) tells, and how it is found.
//!
//! Invariant: a name is found if and only if it is in the table, in any case of its letters.

use stockd_model::{Right, Rights};

use super::command_error::CommandError;
use super::table::{COMMANDS, READ, STREAMED, Spec, TRADE, Verb, WRITE};

/// The names of all commands, packed. No name packs to that of a subcommand.
static NAMES: [u128; COMMANDS.len()] = {
    let mut names = [u128::MAX; COMMANDS.len()];
    let mut index = 0;
    while index < names.len() {
        if !is_subcommand(COMMANDS[index].name) {
            names[index] = packed_literal(COMMANDS[index].name);
        }
        index += 1;
    }
    names
};

/// The number of a command or subcommand among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandId(u16);

impl CommandId {
    /// How many there are.
    pub const COUNT: usize = COMMANDS.len();

    /// That of `GET`.
    pub const GET: CommandId = CommandId(Verb::Get as u16);

    /// That of `CLIENT INFO`.
    pub const CLIENT_INFO: CommandId = CommandId(Verb::ClientInfo as u16);

    /// That of `CLIENT CACHING`.
    pub const CLIENT_CACHING: CommandId = CommandId(Verb::ClientCaching as u16);

    /// That of `CLIENT LIST`.
    pub const CLIENT_LIST: CommandId = CommandId(Verb::ClientList as u16);

    /// The number, below [`COUNT`](CommandId::COUNT).
    #[inline]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl From<Verb> for CommandId {
    #[inline]
    fn from(verb: Verb) -> CommandId {
        CommandId(verb as u16)
    }
}

/// The name of the command with this number, in small letters; of a subcommand with that of its command,
/// as `client|id`.
pub fn command_name(index: usize) -> Option<&'static str> {
    COMMANDS.get(index).map(|spec| spec.name)
}

/// What one must be allowed to do in order to give the command with this number, any of these, with some
/// stock at least; none for one that concerns the connection alone.
pub fn command_rights(index: usize) -> &'static [Right] {
    COMMANDS.get(index).map_or(&[], |spec| spec.kind.rights)
}

/// The command of this name, in any case.
#[inline]
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    let packed = packed(name)?;
    let index = NAMES.iter().position(|&own| own == packed)?;
    COMMANDS.get(index)
}

/// The command or subcommand (`client|id`) of this name, in any case.
pub(super) fn find_any(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Spec {
    /// The subcommand of this name, in any case.
    pub(super) fn find_subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        let own = |spec: &&Spec| {
            let (_, own) = spec.name.split_once('|').unwrap_or_default();
            own.as_bytes().eq_ignore_ascii_case(name)
        };
        self.subcommands().find(own)
    }

    /// Its subcommands.
    pub(super) fn subcommands(&self) -> impl Iterator<Item = &'static Spec> + Clone {
        let command = self.name;
        let is_own = move |name: &str| name.split_once('|').is_some_and(|(own, _)| own == command);
        COMMANDS.iter().filter(move |spec| is_own(spec.name))
    }

    /// Whether it is nothing without a subcommand, or can have one.
    #[inline]
    pub(super) fn has_subcommands(&self) -> bool {
        use Verb::{
            Acl, Client, Command, Config, Feed, Latency, Memory, Module, Object, PubSub, SlowLog,
        };
        matches!(
            self.verb,
            Acl | Client
                | Command
                | Config
                | Feed
                | Latency
                | Memory
                | Module
                | Object
                | PubSub
                | SlowLog
        )
    }

    /// Whether these rights suffice for it.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotPermitted`].
    #[inline]
    pub(super) fn check_rights(&self, rights: Rights) -> Result<(), CommandError<'static>> {
        match self.kind.rights {
            [right, ..] if !self.kind.rights.iter().any(|right| rights.has(*right)) => {
                Err(CommandError::NotPermitted { command: self.name, right: *right })
            }
            _ => Ok(()),
        }
    }

    /// Where the symbols stand in a command of this number of parts.
    pub(super) fn key_positions(&self, parts: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, last, step) = self.keys;
        let last =
            if last < 0 { parts.saturating_add_signed(last as isize) } else { last as usize };
        let first = if first == 0 { usize::MAX } else { first as usize };
        (first..=last).step_by(step.max(1) as usize).filter(move |at| *at < parts)
    }

    pub(super) fn is_subcommand(&self) -> bool {
        is_subcommand(self.name)
    }

    /// Whether it is executed part by part as they come.
    #[inline]
    pub(super) fn is_streamed(&self) -> bool {
        *self.parts.end() == STREAMED
    }

    /// Whether a subscribed RESP2 connection may give it.
    pub(super) fn is_for_subscribed(&self) -> bool {
        use Verb::{PSubscribe, PUnsubscribe, Ping, Quit, Reset, Subscribe, Unsubscribe};
        matches!(
            self.verb,
            Subscribe | PSubscribe | Unsubscribe | PUnsubscribe | Ping | Quit | Reset
        )
    }

    /// Whether it is executed at once while a transaction is queued.
    pub(super) fn is_for_queueing(&self) -> bool {
        use Verb::{Discard, Exec, Multi, Quit, Reset, Watch};
        matches!(self.verb, Multi | Exec | Discard | Watch | Quit | Reset)
    }

    /// Whether it may be queued: it reads or writes stocks that it names, or says no more than it was
    /// told. Its reply is not much longer than itself, or is one quote.
    pub(super) fn may_be_queued(&self) -> bool {
        use Verb::{Echo, Ping, Select, Time, Unwatch};
        [READ, WRITE, TRADE].contains(&self.kind)
            || matches!(self.verb, Echo | Ping | Select | Time | Unwatch)
    }

    /// The number of parts as Redis puts it: negative where there may be more.
    pub(super) fn arity(&self) -> i64 {
        let least = *self.parts.start() as i64;
        if self.parts.start() == self.parts.end() { least } else { -least }
    }
}

/// All top-level commands.
pub(super) fn commands() -> impl Iterator<Item = &'static Spec> + Clone {
    COMMANDS.iter().filter(|spec| !spec.is_subcommand())
}

/// Bytes of the longest name that can be packed: the last byte of the word is its length.
const NAME_BYTES_MAX: usize = size_of::<u128>() - 1;

const fn is_subcommand(name: &str) -> bool {
    let name = name.as_bytes();
    let mut index = 0;
    while index < name.len() {
        if name[index] == b'|' {
            return true;
        }
        index += 1;
    }
    false
}

/// A name in one word, to be compared at once. `None` for one longer than any in the table.
#[inline]
fn packed(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    bytes[NAME_BYTES_MAX] = name.len() as u8;
    for (byte, &given) in bytes[..NAME_BYTES_MAX].get_mut(..name.len())?.iter_mut().zip(name) {
        *byte = given.to_ascii_lowercase();
    }
    Some(u128::from_le_bytes(bytes))
}

const fn packed_literal(name: &str) -> u128 {
    let name = name.as_bytes();
    assert!(name.len() <= NAME_BYTES_MAX, "a name too long to be packed");
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    bytes[NAME_BYTES_MAX] = name.len() as u8;
    let mut index = 0;
    while index < name.len() {
        assert!(!name[index].is_ascii_uppercase(), "a name in capitals");
        bytes[index] = name[index];
        index += 1;
    }
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_nothing_else_is() {
        for spec in &COMMANDS {
            assert_eq!(find_any(spec.name.as_bytes()), Some(spec));
            assert_eq!(find_any(spec.name.to_uppercase().as_bytes()), Some(spec));
            assert_eq!(find(spec.name.as_bytes()).is_some(), !spec.is_subcommand());
        }
        for name in
            ["", "ge", "gett", "eval", "client\\id", "no-such-command-at-all", "g\x05t", "get\0"]
        {
            assert_eq!(find(name.as_bytes()), None, "{name}");
            assert_eq!(find_any(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn every_subcommand_has_its_command() {
        for spec in COMMANDS.iter().filter(|spec| spec.is_subcommand()) {
            let (command, name) = spec.name.split_once('|').unwrap();
            let command = find(command.as_bytes()).unwrap();
            assert_eq!(command.find_subcommand(name.as_bytes()), Some(spec));
            assert!(command.subcommands().any(|own| own == spec));
            assert!(command.has_subcommands() && !spec.has_subcommands());
        }
    }

    #[test]
    fn arity_is_negative_where_there_may_be_more_parts() {
        let arity = |name: &str| find_any(name.as_bytes()).unwrap().arity();
        assert_eq!(["get", "mget", "ping", "hincrby", "client|id"].map(arity), [2, -2, -1, 4, 2]);
    }
}
