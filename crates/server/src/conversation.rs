//! The seam between a session and what is spoken on it.
//!
//! A [`Conversation`] is one client's side of a protocol: bytes in, replies out. It knows no socket and
//! no clock, and reaches the server through its [`Turn`] alone.

use std::fmt;
use std::sync::Arc;

use stockd_access::Identity;
use stockd_engine::{Answered, Feed};

use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::memory::Held;
use crate::turn::Turn;

/// What the server needs to know of a protocol.
pub(crate) struct Definition {
    /// Begins a conversation with a client that has connected.
    pub(crate) begin: fn(&Arc<ClientInfo>, &Identity) -> Box<dyn Conversation>,
    /// Appends an error, as a client is told that is not let in.
    pub(crate) encode_error: fn(&str, &mut Vec<u8>),
}

/// One client's conversation.
///
/// Invariant: requests are answered in the order they came, each once.
pub(crate) trait Conversation: fmt::Debug + Send {
    /// Answers as many requests at the front of the input as there are and as there is room for.
    /// Returns how many bytes they took, and what it waits for before it goes on.
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits);

    /// The client says no more: answers what is left of the input, if that is a request without its
    /// end.
    fn end(&mut self, rest: &[u8], turn: &mut Turn<'_>);

    /// How long what follows bytes that make no whole request may take to come, before they are one by
    /// themselves. `None` where they cannot be one.
    fn patience(&self, _: &Turn<'_>) -> Option<Patience> {
        None
    }

    /// Nothing has followed them for that time: answers them, if they are a request. Returns as
    /// [`answer`](Conversation::answer) does.
    fn fall_silent(&mut self, _: &[u8], _: &mut Turn<'_>) -> (usize, Waits) {
        (0, Waits::Input)
    }

    /// The client is somebody else from now on, or may do something else.
    fn identified(&mut self, _: &mut Turn<'_>) {}

    /// Whether replies are to come from the committer.
    fn awaits_commit(&self) -> bool {
        false
    }

    /// The committer has answered what was handed to it first.
    fn committed(&mut self, _: &Answered, _: &mut Vec<u8>) {
        debug_assert!(false, "this protocol hands nothing to the committer");
    }

    /// Adds the bytes that it holds.
    fn add_held(&self, _: &mut Held) {}

    /// Whether there is something to tell a subscriber now.
    fn has_messages(&self, _: ConnectionId, _: &Feed) -> bool {
        false
    }

    /// Tells a subscriber what it has not been told, until the replies have `bytes_max` bytes. Returns
    /// how many messages that were.
    fn tell(&mut self, _: &mut Turn<'_>, _bytes_max: usize) -> u64 {
        0
    }
}

/// How long the rest of a request may take to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// [`UNTERMINATED_AFTER_KNOWN`](stockd_model::limits::UNTERMINATED_AFTER_KNOWN).
    Short,
    /// [`UNTERMINATED_AFTER`](stockd_model::limits::UNTERMINATED_AFTER).
    Usual,
}

/// What a conversation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waits {
    /// More input.
    Input,
    /// The client, to take replies: there is no room for more.
    Room,
    /// Its next turn: this one has done its work.
    Turn,
    /// The committer, to answer what was handed to it.
    Commit,
    /// [`FAILED_ATTEMPT_WAIT`](stockd_model::limits::FAILED_ATTEMPT_WAIT) to pass: the client is told only
    /// then that it has shown a wrong token, like too many before.
    Pause,
    /// Nothing more: the connection is to be closed once the replies are written.
    Nothing(Ending),
}

/// Why a conversation wants no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A line was too long.
    LineTooLong,
    /// The client speaks another protocol, in which it is told so.
    Foreign,
    /// The input was no command. The reply says so.
    ProtocolError,
    /// The client said goodbye.
    Quit,
    /// The client has killed its own connection.
    Killed,
}
