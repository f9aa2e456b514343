//! A conversation in the line protocol: a symbol in, a price out.

use std::sync::Arc;

use stockd_engine::Batch;
use stockd_model::{Answer, Symbol};
use stockd_wire::line::{self, Asked, Framing, LineDecoder, LineError};

use crate::client_list::ClientInfo;
use crate::conversation::{Conversation, Definition, Ending, Patience, Waits};
use crate::turn::Turn;

pub(super) const DEFINITION: Definition = Definition {
    begin: |client, _| Box::new(LineConversation::new(Arc::clone(client))),
    encode_error: line::encode_error,
};

/// One client's conversation.
#[derive(Debug)]
struct LineConversation {
    decoder: LineDecoder,
    client: Arc<ClientInfo>,
}

/// What comes behind the lookups that were begun together.
enum Next {
    /// More of them.
    Lookups,
    /// A call: the name within it is meant where the whole is not listed.
    Call { whole: Symbol, name: Symbol },
    /// Nothing, for now.
    Wait(Waits),
    /// What is no name.
    Error(LineError),
}

impl Conversation for LineConversation {
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        let mut rest = input;
        let is_decided = self.decoder.framing() == Framing::Lines;
        if !is_decided {
            self.end_late(&mut rest, turn);
        }
        let mut batch = turn.executor.batch(turn.identity.access());
        let waits = loop {
            let together = turn.replies.lookups_together(line::REPLY_BYTES_MAX);
            if together == 0 {
                break Waits::Room;
            }
            let next = begin_lookups(&mut self.decoder, &mut rest, &mut batch, together);
            turn.cells.lines.add(batch.begun() as u64);
            let framing = self.decoder.framing();
            batch.answer(|answer| line::encode(answer, framing, turn.replies.out));
            match next {
                Next::Lookups => {}
                Next::Call { whole, name } => {
                    turn.cells.lines.add(1);
                    let answer = answer_call(&mut batch, whole, name);
                    line::encode(answer, framing, turn.replies.out);
                }
                Next::Wait(waits) => break waits,
                Next::Error(LineError::TooLong) => break Waits::Nothing(Ending::LineTooLong),
                Next::Error(LineError::Foreign(foreign)) => {
                    line::encode_refusal(foreign, turn.replies.out);
                    break Waits::Nothing(Ending::Foreign);
                }
            }
        };
        let denied = batch.denied();
        drop(batch);
        if denied > 0 {
            turn.cells.refused_line_read.add(denied);
        }
        if !is_decided {
            self.note_framing(turn);
        }
        (input.len() - rest.len(), waits)
    }

    fn end(&mut self, rest: &[u8], turn: &mut Turn<'_>) {
        if let Some(asked) = self.decoder.decode_end(rest) {
            let mut batch = turn.executor.batch(turn.identity.access());
            turn.cells.lines.add(1);
            let answer = match asked {
                Asked::Call { whole, name } => answer_call(&mut batch, whole, name),
                Asked::Symbol(symbol) => {
                    batch.begin_symbol(&symbol);
                    answer_begun(&mut batch)
                }
                Asked::Impossible(_) => {
                    batch.begin_impossible();
                    answer_begun(&mut batch)
                }
            };
            turn.cells.refused_line_read.add(batch.denied());
            line::encode(answer, self.decoder.framing(), turn.replies.out);
        }
    }

    fn patience(&self, turn: &Turn<'_>) -> Option<Patience> {
        let is_known = || turn.server.unterminated_peers.knows(self.client.peer());
        match self.decoder.framing() {
            Framing::Undecided if is_known() => Some(Patience::Short),
            Framing::Undecided => Some(Patience::Usual),
            Framing::Lines | Framing::Unterminated => None,
        }
    }

    fn fall_silent(&mut self, rest: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        self.decoder.declare_unterminated();
        let answered = self.answer(rest, turn);
        if self.decoder.framing() == Framing::Unterminated {
            turn.cells.unterminated.add(1);
            turn.server.unterminated_peers.remember(self.client.peer());
        }
        answered
    }
}

impl LineConversation {
    fn new(client: Arc<ClientInfo>) -> LineConversation {
        LineConversation { decoder: LineDecoder::new(), client }
    }

    /// The newline that comes late ends the reply which went out without one.
    #[cold]
    fn end_late(&mut self, rest: &mut &[u8], turn: &mut Turn<'_>) {
        if self.decoder.take_late_newline(rest) {
            turn.replies.out.push(b'\n');
        }
    }

    /// The client may have turned out to speak in lines.
    #[cold]
    fn note_framing(&self, turn: &Turn<'_>) {
        if self.decoder.framing() == Framing::Lines {
            turn.server.unterminated_peers.forget(self.client.peer());
        }
    }
}

/// Decodes up to `together` lines and begins their lookups.
#[inline(always)]
fn begin_lookups(
    decoder: &mut LineDecoder,
    rest: &mut &[u8],
    batch: &mut Batch<'_>,
    together: usize,
) -> Next {
    while batch.begun() < together {
        match decoder.decode(rest) {
            Ok(Some(Asked::Symbol(symbol))) => batch.begin_symbol(&symbol),
            Ok(Some(Asked::Impossible(_))) => batch.begin_impossible(),
            Ok(Some(Asked::Call { whole, name })) => return Next::Call { whole, name },
            Ok(None) => return Next::Wait(Waits::Input),
            Err(error) => return Next::Error(error),
        }
    }
    Next::Lookups
}

#[cold]
fn answer_call(batch: &mut Batch<'_>, whole: Symbol, name: Symbol) -> Answer {
    batch.begin_symbol(&whole);
    match answer_begun(batch) {
        Answer::NotFound | Answer::NotPermitted => {
            batch.begin_symbol(&name);
            answer_begun(batch)
        }
        answer => answer,
    }
}

/// The answer to the one lookup that was begun.
fn answer_begun(batch: &mut Batch<'_>) -> Answer {
    let mut answer = Answer::NotFound;
    batch.answer(|it| answer = it);
    answer
}
