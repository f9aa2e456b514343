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
