//! What is spoken on connections. Each protocol is one file beneath; [`of`] is the one place where a
//! protocol is told from another.

mod line;
mod proxied;
mod resp;

use std::sync::Arc;

use stockd_access::Identity;

use crate::client_list::ClientInfo;
use crate::conversation::{Conversation, Definition};
use crate::{Endpoint, Protocol};
use proxied::ProxiedConversation;

/// Begins the conversation with a client that has come to an endpoint.
pub(crate) fn begin(
    endpoint: &Endpoint,
    client: &Arc<ClientInfo>,
    identity: &Identity,
) -> Box<dyn Conversation> {
    let definition = of(endpoint.protocol);
    match endpoint.proxied {
        true => Box::new(ProxiedConversation::new(client, identity, definition)),
        false => (definition.begin)(client, identity),
    }
}

/// The definition of a protocol.
pub(crate) fn of(protocol: Protocol) -> &'static Definition {
    match protocol {
        Protocol::Line => &line::DEFINITION,
        Protocol::Resp => &resp::DEFINITION,
    }
}
