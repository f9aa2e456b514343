//! What is left to be done behind a command.

use crate::conversation::Waits;

/// What a command leaves to be done when it is no longer borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// Which commands are admitted may have changed.
    Admit,
    /// The client is somebody else now.
    Identified,
    /// The command is not finished.
    Wait(Waits),
    Quit,
}

impl After {
    /// The client was let in, and may do something else than before or not.
    pub(super) fn entered(is_other: bool) -> After {
        if is_other { After::Identified } else { After::Admit }
    }
}
