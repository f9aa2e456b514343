//! What a connection needs to know of the protocol that it speaks: how requests become bytes and
//! bytes become replies. The protocols themselves are in `line` and `resp`.

use std::borrow::Cow;
use std::fmt;

use stockd_model::limits::{PIPELINE_BYTES_MAX, PIPELINE_NAMES_MAX};

use crate::buffer::ReplyBuffer;

/// The replies of one connection as they arrive. Moves no bytes itself and knows no clock.
pub(crate) trait Replies: Default {
    /// The protocol, in the words of the command line: `line` or `resp`.
    const PROTOCOL: &'static str;

    type Reply: fmt::Display;

    /// Takes the next whole reply; `None` while more bytes are needed. The buffer then has room
    /// for them.
    fn next(&mut self) -> Option<Result<Self::Reply, NoAnswer>>;

    fn buffer(&mut self) -> &mut ReplyBuffer;
}

/// Something that can be sent.
pub(crate) trait Request {
    /// Appends the request as it is sent.
    fn encode(&self, chunk: &mut Vec<u8>);

    /// What errors call it.
    fn name(&self) -> Cow<'_, str>;
}

/// A request that has one reply.
pub(crate) trait Question<R: Replies>: Request {
    type Answer;

    /// What the reply means; the connection is not usable after one that means nothing.
    fn answer(&self, reply: R::Reply) -> Result<Self::Answer, NoAnswer>;
}

/// What came answers nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The server refuses to serve this connection, for this reason.
    TurnedAway(String),
    /// What came, escaped and shortened, is none of this protocol.
    Rubbish(String),
}

impl NoAnswer {
    /// A reply that answers nothing, or what is wrong with it.
    pub(crate) fn rubbish(what: &impl fmt::Display) -> NoAnswer {
        NoAnswer::Rubbish(what.to_string())
    }
}

/// Puts as many of the requests as one chunk holds in place of what `chunk` held; at least one
/// if there is one. Returns how many.
pub(crate) fn encode_chunk(requests: &[impl Request], chunk: &mut Vec<u8>) -> usize {
    chunk.clear();
    for (encoded, request) in requests.iter().take(PIPELINE_NAMES_MAX).enumerate() {
        let end = chunk.len();
        request.encode(chunk);
        if encoded > 0 && chunk.len() > PIPELINE_BYTES_MAX {
            chunk.truncate(end);
            return encoded;
        }
    }
    requests.len().min(PIPELINE_NAMES_MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every reply in `bytes`, which arrive in pieces of at most `piece` bytes; stops at the
    /// first that is no answer.
    pub(crate) fn replies<R: Replies>(
        replies: &mut R,
        bytes: &[u8],
        piece: usize,
    ) -> Vec<Result<R::Reply, NoAnswer>> {
        let mut taken = Vec::new();
        let mut rest = bytes;
        loop {
            while let Some(reply) = replies.next() {
                let stop = reply.is_err();
                taken.push(reply);
                if stop {
                    return taken;
                }
            }
            if rest.is_empty() {
                return taken;
            }
            let room = replies.buffer().room();
            let count = rest.len().min(piece).min(room.len());
            assert!(count > 0, "no room although more bytes are needed");
            room[..count].copy_from_slice(&rest[..count]);
            replies.buffer().received(count);
            rest = &rest[count..];
        }
    }
}
