//! Whether the workers turn: each is asked, and has answered when it next passes.
//!
//! It knows no clock, and costs a worker nothing that is not asked. Invariant: a worker that turns has soon answered all that
//! it was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// What the workers were asked, and what they have answered.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// How often they were asked.
    asked: AtomicU64,
    /// Of each worker the number of the last question that it has answered.
    answered: Vec<CachePadded<AtomicU64>>,
    /// Of each worker the first question that it had not answered when it was last looked at.
    waiting: Mutex<Vec<Question>>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    number: u64,
    asked: Option<Instant>,
}

impl Pulse {
    pub(crate) fn new(workers: usize) -> Pulse {
        Pulse {
            asked: AtomicU64::new(0),
            answered: (0..workers).map(|_| CachePadded::default()).collect(),
            waiting: Mutex::new(vec![Question { number: 0, asked: None }; workers]),
        }
    }

    /// Asks all workers, which have to be woken then. Returns for how long the one that was silent the longest has left a
    /// question unanswered.
    pub(crate) fn ask(&self, now: Instant) -> Duration {
        // What is behind the lock is whole at any moment.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.asked.load(Ordering::Relaxed) + 1;
        let mut longest = Duration::ZERO;
        for (question, answered) in waiting.iter_mut().zip(&self.answered) {
            if answered.load(Ordering::Relaxed) >= question.number {
                *question = Question { number, asked: Some(now) };
            }
            let silence = question.asked.map(|asked| now.saturating_duration_since(asked));
            longest = longest.max(silence.unwrap_or_default());
        }
        self.asked.store(number, Ordering::Release);
        longest
    }

    /// A worker passes.
    pub(crate) fn answer(&self, worker: usize) {
        if let Some(answered) = self.answered.get(worker) {
            answered.store(self.asked.load(Ordering::Acquire), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_is_that_of_the_worker_that_has_not_answered_for_the_longest() {
        let pulse = Pulse::new(2);
        let began = Instant::now();
        let ask = |seconds| pulse.ask(began + Duration::from_secs(seconds)).as_secs();
        assert_eq!(ask(100), 0, "they were asked nothing before");
        pulse.answer(0);
        assert_eq!(ask(110), 10);
        pulse.answer(0);
        assert_eq!(ask(120), 20);
        // It turned after all.
        pulse.answer(1);
        assert_eq!(ask(130), 10, "the other one was asked at 120");
        pulse.answer(0);
        pulse.answer(1);
        assert_eq!(ask(1000), 0);
    }
}
