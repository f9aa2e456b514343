//! `AUTH`, `HELLO` with a token, and what is answered to those who are not known.
//!
//! Who shows a right token is let in at once. A wrong one is answered at once too, until too many have
//! come from one address: then each answer waits, and nothing else does.
//!
//! Invariant: a wrong token changes nothing of what the client may do; no token gets into the log.

use std::str;

use stockd_model::escaped;
use stockd_wire::resp::{CommandError, Credentials, Encoder, Hello};

use super::after::After;
use crate::client_list::ClientInfo;
use crate::conversation::Waits;
use crate::metrics::Cells;
use crate::turn::Turn;

/// Why a client is not let in.
pub(super) enum Refused {
    /// For this.
    Because(CommandError<'static>),
    /// For a wrong token, which it is told only after a while.
    Later,
}

/// Lets a client in that shows the right token.
pub(super) fn check(
    credentials: &Credentials<'_>,
    client: &ClientInfo,
    turn: &mut Turn<'_>,
) -> Result<After, Refused> {
    let authority = &turn.server.authority;
    if authority.is_open() {
        return credentials.check_open().map(|()| After::Admit).map_err(Refused::Because);
    }
    let user = credentials.user.map(str::from_utf8);
    let shown = user
        .transpose()
        .ok()
        .and_then(|user| authority.show_token(turn.identity, user, credentials.password));
    let Some(identity) = shown else {
        return Err(refuse(credentials, client, turn));
    };
    let before = std::mem::replace(turn.identity, identity);
    tracing::info!("{} is user '{}'", client.peer(), turn.identity.user().unwrap_or_default());
    let is_other = before.access() != turn.identity.access();
    Ok(if is_other { After::Identified } else { After::Admit })
}

/// Lets a client in that shows the right token along with `HELLO`, or is let in already.
pub(super) fn check_hello(
    hello: &Hello<'_>,
    client: &ClientInfo,
    turn: &mut Turn<'_>,
) -> Result<After, Refused> {
    match &hello.credentials {
        Some(credentials) => check(credentials, client, turn),
        None if turn.identity.is_known() => Ok(After::Admit),
        None => {
            let error = CommandError::HelloNotAuthenticated;
            count(&error, turn.cells);
            Err(Refused::Because(error))
        }
    }
}

#[cold]
fn refuse(credentials: &Credentials<'_>, client: &ClientInfo, turn: &Turn<'_>) -> Refused {
    turn.cells.refused_resp_credentials.add(1);
    let peer = client.peer();
    let waits = turn.server.failed_attempts.note(peer.tcp().map(|it| it.ip()), turn.now);
    let user = credentials
        .user
        .map_or_else(String::new, |user| format!(" for user '{}'", escaped(user).at_most(64)));
    tracing::warn!("{peer} has shown a wrong token{user}");
    if waits { Refused::Later } else { Refused::Because(CommandError::WrongUser) }
}

impl Refused {
    /// Answers, or sees to it that this is done later.
    pub(super) fn answer(
        self,
        encoder: &Encoder,
        is_wrong: &mut bool,
        turn: &mut Turn<'_>,
    ) -> After {
        match self {
            Refused::Because(error) => {
                encoder.error(&error, turn.replies.out);
                After::Nothing
            }
            Refused::Later => {
                *is_wrong = true;
                After::Wait(Waits::Pause)
            }
        }
    }
}

/// Counts a command that was refused for want of a right or of a token.
pub(super) fn count(error: &CommandError<'_>, cells: &Cells) {
    match error {
        CommandError::NotPermitted { right, .. } => cells.count_refused_resp(*right, 1),
        CommandError::NotAuthenticated | CommandError::HelloNotAuthenticated => {
            cells.refused_resp_unauthenticated.add(1);
        }
        _ => {}
    }
}
