//! What is done wrong on purpose, on one thread, to see tests fail.

use std::cell::Cell;

thread_local! {
    static NO_SESSION_RULE: Cell<bool> = const { Cell::new(false) };
}

/// Whether messages count as often as they come.
pub(crate) fn no_session_rule() -> bool {
    NO_SESSION_RULE.get()
}

/// Has messages count as often as they come, on this thread.
pub(crate) fn set_no_session_rule(on: bool) {
    NO_SESSION_RULE.set(on);
}
