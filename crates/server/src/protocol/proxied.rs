//! A conversation that a proxy's header precedes: who the client is, and then any protocol.
//!
//! It reads the header and hands all that follows to the conversation within. Until the header is
//! whole nothing is answered; what is no header ends the connection, so that a client which comes past
//! the proxy is never served under the proxy's address.

use std::sync::Arc;

use stockd_access::Identity;
use stockd_engine::{Answered, Feed};
use stockd_wire::proxy;

use crate::client_list::ClientInfo;
use crate::connection_id::ConnectionId;
use crate::conversation::{Conversation, Definition, Ending, Patience, Waits};
use crate::memory::Held;
use crate::turn::Turn;

/// One client's conversation.
#[derive(Debug)]
pub(super) struct ProxiedConversation {
    client: Arc<ClientInfo>,
    header_is_read: bool,
    /// Encodes an error in the protocol of the conversation within.
    encode_error: fn(&str, &mut Vec<u8>),
    within: Box<dyn Conversation>,
}

impl ProxiedConversation {
    pub(super) fn new(
        client: &Arc<ClientInfo>,
        identity: &Identity,
        definition: &Definition,
    ) -> Self {
        ProxiedConversation {
            client: Arc::clone(client),
            header_is_read: false,
            encode_error: definition.encode_error,
            within: (definition.begin)(client, identity),
        }
    }

    /// Refuses a client that does not begin with a header.
    fn refuse(&self, error: proxy::NoProxyHeader, turn: &mut Turn<'_>) -> Waits {
        (self.encode_error)(&error.to_string(), turn.replies.out);
        Waits::Nothing(Ending::Foreign)
    }
}

impl Conversation for ProxiedConversation {
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        if self.header_is_read {
            return self.within.answer(input, turn);
        }
        match proxy::decode(input) {
            Ok(Some(header)) => {
                self.header_is_read = true;
                if let Some(source) = header.source {
                    self.client.speaks_for(source.into());
                }
                let rest = input.get(header.bytes..).unwrap_or_default();
                let (consumed, waits) = self.within.answer(rest, turn);
                (header.bytes + consumed, waits)
            }
            Ok(None) => (0, Waits::Input),
            Err(error) => (0, self.refuse(error, turn)),
        }
    }

    fn end(&mut self, rest: &[u8], turn: &mut Turn<'_>) {
        if self.header_is_read {
            self.within.end(rest, turn);
        }
    }

    fn patience(&self, turn: &Turn<'_>) -> Option<Patience> {
        if self.header_is_read { self.within.patience(turn) } else { None }
    }

    fn fall_silent(&mut self, rest: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        self.within.fall_silent(rest, turn)
    }

    fn identified(&mut self, turn: &mut Turn<'_>) {
        self.within.identified(turn);
    }

    fn awaits_commit(&self) -> bool {
        self.within.awaits_commit()
    }

    fn committed(&mut self, answered: &Answered, out: &mut Vec<u8>) {
        self.within.committed(answered, out);
    }

    fn add_held(&self, held: &mut Held) {
        self.within.add_held(held);
    }

    fn has_messages(&self, id: ConnectionId, feed: &Feed) -> bool {
        self.within.has_messages(id, feed)
    }

    fn tell(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        self.within.tell(turn, bytes_max)
    }
}
