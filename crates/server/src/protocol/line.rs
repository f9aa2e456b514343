//! A conversation in the line protocol: a symbol in, a price out.

use stockd_engine::Batch;
use stockd_wire::line::{self, Decoded, Framing, LineDecoder};

use crate::conversation::{Conversation, Definition, Ending, Waits};
use crate::turn::Turn;

pub(super) const DEFINITION: Definition = Definition {
    begin: |_| Box::new(LineConversation::default()),
    encode_error: line::encode_error,
};

/// One client's conversation.
#[derive(Debug, Default)]
struct LineConversation {
    decoder: LineDecoder,
}

impl Conversation for LineConversation {
    fn answer(&mut self, input: &[u8], turn: &mut Turn<'_>) -> (usize, Waits) {
        let mut rest = input;
        let mut batch = turn.executor.batch(turn.access);
        let waits = loop {
            let together = turn.replies.lookups_together(line::REPLY_BYTES_MAX);
            if together == 0 {
                break Waits::Room;
            }
            let waits = begin_lines(&mut self.decoder, &mut rest, &mut batch, together);
            turn.cells.lines.add(batch.begun() as u64);
            let framing = self.decoder.framing();
            batch.answer(|answer| line::encode(answer, framing, turn.replies.out));
            if let Some(waits) = waits {
                break waits;
            }
        };
        (input.len() - rest.len(), waits)
    }

    fn end(&mut self, rest: &[u8], turn: &mut Turn<'_>) {
        if let Some(symbol) = self.decoder.decode_end(rest) {
            let mut batch = turn.executor.batch(turn.access);
            batch.begin(&symbol);
            turn.cells.lines.add(1);
            batch.answer(|answer| line::encode(answer, self.decoder.framing(), turn.replies.out));
        }
    }

    fn may_be_unterminated(&self) -> bool {
        self.decoder.framing() == Framing::Undecided
    }
}

/// Decodes up to `together` lines and begins their lookups. Says what the conversation waits for if
/// there are fewer.
#[inline(always)]
fn begin_lines(
    decoder: &mut LineDecoder,
    rest: &mut &[u8],
    batch: &mut Batch<'_>,
    together: usize,
) -> Option<Waits> {
    while batch.begun() < together {
        match decoder.decode(rest) {
            Ok(Some(Decoded { symbol, consumed })) => {
                batch.begin(&symbol);
                *rest = &rest[consumed..];
            }
            Ok(None) => return Some(Waits::Input),
            Err(line::LineTooLong) => return Some(Waits::Nothing(Ending::LineTooLong)),
        }
    }
    None
}
