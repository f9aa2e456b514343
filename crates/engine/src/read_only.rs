//! Whether writes are refused because a commit has failed, and why.
//!
//! The committer says it, any thread asks. It knows nothing of stores.
//!
//! Invariant: a cause, once told, stays readable for ever, since replies carry it. Each text is kept once.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why writes are refused, if they are.
#[derive(Debug, Default)]
pub(crate) struct ReadOnly {
    /// One more than the number of the cause; 0 while writes are taken.
    current: AtomicUsize,
    causes: Mutex<Vec<&'static str>>,
}

impl ReadOnly {
    /// Why writes are refused; `None` while they are taken.
    #[inline]
    pub(crate) fn cause(&self) -> Option<&'static str> {
        match self.current.load(Ordering::Acquire) {
            0 => None,
            number => self.causes().get(number - 1).copied(),
        }
    }

    /// Refuses writes from now on. Returns the cause as it is told.
    pub(crate) fn begin(&self, cause: &dyn Display) -> &'static str {
        let text = cause.to_string();
        let mut causes = self.causes();
        let known = causes.iter().position(|own| *own == text);
        let number = known.unwrap_or_else(|| {
            causes.push(Box::leak(text.into_boxed_str()));
            causes.len() - 1
        });
        self.current.store(number + 1, Ordering::Release);
        causes[number]
    }

    /// Takes writes from now on.
    pub(crate) fn end(&self) {
        self.current.store(0, Ordering::Release);
    }

    fn causes(&self) -> MutexGuard<'_, Vec<&'static str>> {
        // A cause is there or not, so a poisoned lock holds good ones.
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_holds_until_it_ends() {
        let read_only = ReadOnly::default();
        assert_eq!(read_only.cause(), None);
        for _ in 0..3 {
            assert_eq!(read_only.begin(&"no room"), "no room");
            assert_eq!(read_only.cause(), Some("no room"));
            assert_eq!(read_only.begin(&"no disk"), "no disk");
            assert_eq!(read_only.cause(), Some("no disk"));
            read_only.end();
            assert_eq!(read_only.cause(), None);
        }
        assert_eq!(read_only.causes().len(), 2);
    }
}
