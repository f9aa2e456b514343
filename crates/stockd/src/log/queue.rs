//! Lines on their way to standard error: any thread adds without waiting, and one writes.
//!
//! It knows neither what logs nor what is written to. A line that finds no room is dropped and
//! counted, and so are all after it until the writer has taken what is there, so the writer knows
//! where in the log the dropped ones are missing.
//!
//! Invariant: at most [`LOG_QUEUE_BYTES_MAX`] bytes wait, and as many again are being written.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stockd_model::limits::{LOG_QUEUE_BYTES_MAX, LOG_WRITE_BYTES};

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct LineQueue {
    waiting: Mutex<Waiting>,
    /// The writer waits here.
    filled: Condvar,
    /// Who flushes waits here.
    written: Condvar,
    /// Lines that were lost: dropped, or refused by where they go.
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that found no room behind these.
    dropped: u64,
    /// Whether taken lines are not all written yet.
    writing: bool,
    /// Writes so far, to see whether they go on.
    writes: u64,
}

/// What the writer has taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Whole lines with their line feeds.
    pub(crate) lines: Vec<u8>,
    /// How many are missing behind them.
    pub(crate) dropped: u64,
}

impl LineQueue {
    /// Adds whole lines that belong together, or drops them.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut waiting = self.lock();
        if waiting.dropped > 0 || waiting.lines.len() + lines.len() > LOG_QUEUE_BYTES_MAX {
            let dropped = count(lines);
            waiting.dropped += dropped;
            self.lost.fetch_add(dropped, Ordering::Relaxed);
        } else {
            waiting.lines.extend_from_slice(lines);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// How many lines were lost, to be watched by others.
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Takes all that waits, in exchange for an empty vector. Waits for something, until `until` if
    /// that is given. What was taken before must be written.
    pub(crate) fn take(&self, taken: &mut Taken, until: Option<Instant>) {
        taken.lines.clear();
        let mut waiting = self.lock();
        waiting.writing = false;
        self.written.notify_all();
        while waiting.lines.is_empty() && waiting.dropped == 0 {
            waiting = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(patience) => {
                    let waited = self.filled.wait_timeout(waiting, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        waiting.writing = true;
        std::mem::swap(&mut waiting.lines, &mut taken.lines);
        taken.dropped = std::mem::take(&mut waiting.dropped);
    }

    /// Writes whole lines, a few at a time. Returns how many could not be written.
    pub(crate) fn write(&self, mut lines: &[u8], to: &mut impl Write) -> u64 {
        let mut lost = 0;
        while !lines.is_empty() {
            let (some, rest) = lines.split_at(whole_lines(lines));
            if to.write_all(some).is_err() {
                lost += count(some);
                self.lost.fetch_add(count(some), Ordering::Relaxed);
            }
            lines = rest;
            self.lock().writes += 1;
            self.written.notify_all();
        }
        lost
    }

    /// Waits until everything is written, but not longer than `patience` for any write. Whether it
    /// is.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let mut waiting = self.lock();
        loop {
            if waiting.lines.is_empty() && waiting.dropped == 0 && !waiting.writing {
                return true;
            }
            let (writes, was_writing) = (waiting.writes, waiting.writing);
            let until = Instant::now() + patience;
            while waiting.writes == writes && waiting.writing == was_writing {
                let patience = until.saturating_duration_since(Instant::now());
                if patience.is_zero() {
                    return false;
                }
                let waited = self.written.wait_timeout(waiting, patience);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each change is complete or has not begun, so a poisoned lock holds good lines.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// The length of the first lines, as many as one write takes, but one at least.
fn whole_lines(lines: &[u8]) -> usize {
    let some = &lines[..lines.len().min(LOG_WRITE_BYTES)];
    let end = memchr::memrchr(b'\n', some).or_else(|| memchr::memchr(b'\n', lines));
    end.map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// No test waits longer than this; it is a guard against hanging alone.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A pipe whose reader takes one write when it is told to.
    struct Gated(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn taken(queue: &LineQueue) -> Taken {
        let mut taken = Taken::default();
        queue.take(&mut taken, Some(Instant::now()));
        taken
    }

    #[test]
    fn what_finds_no_room_is_counted_and_leaves_no_gap_before_it() {
        let queue = LineQueue::default();
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        let fit = LOG_QUEUE_BYTES_MAX / line.len();
        (0..fit + 7).for_each(|_| queue.push(&line));
        // It would fit, but not in its place.
        queue.push(b"short\n");
        let first = taken(&queue);
        assert_eq!((first.lines.len(), first.dropped), (fit * line.len(), 8));
        assert_eq!(queue.lost().load(Ordering::Relaxed), 8);
        queue.push(b"again\n");
        let then = taken(&queue);
        assert_eq!((then.lines.as_slice(), then.dropped), (b"again\n".as_slice(), 0));
        let none = taken(&queue);
        assert_eq!((none.lines.len(), none.dropped), (0, 0));
    }

    #[test]
    fn lines_are_written_whole_and_what_fails_is_counted() {
        let queue = LineQueue::default();
        let (opener, gate) = channel();
        let (writes, written) = channel();
        let long = format!("{}\n", "y".repeat(3 * LOG_WRITE_BYTES));
        let lines = format!("{}{long}end\n", "x\n".repeat(LOG_WRITE_BYTES));
        (0..100).for_each(|_| opener.send(()).unwrap());
        assert_eq!(queue.write(lines.as_bytes(), &mut Gated(gate, writes.clone())), 0);
        let chunks: Vec<Vec<u8>> = written.try_iter().collect();
        assert_eq!(chunks.concat(), lines.as_bytes());
        assert!(chunks.iter().all(|chunk| chunk.ends_with(b"\n")));
        assert!(chunks.iter().all(|c| c.len() <= LOG_WRITE_BYTES || c.len() == long.len()));
        let (_, broken) = channel();
        let lost = queue.write(lines.as_bytes(), &mut Gated(broken, writes));
        assert_eq!(lost, LOG_WRITE_BYTES as u64 + 2);
    }

    #[test]
    fn a_flush_waits_while_writes_go_on_and_gives_up_when_they_do_not() {
        let queue = LineQueue::default();
        assert!(queue.flush(Duration::ZERO));
        (0..3).for_each(|_| queue.push(&[[b'x'; LOG_WRITE_BYTES - 1].as_slice(), b"\n"].concat()));
        let (opener, gate) = channel();
        let (writes, written) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut taken, mut to) = (Taken::default(), Gated(gate, writes));
                queue.take(&mut taken, None);
                assert_eq!(queue.write(&taken.lines, &mut to), 0);
                queue.take(&mut taken, None);
            });
            assert!(!queue.flush(Duration::from_millis(1)));
            let flushing = scope.spawn(|| queue.flush(PATIENCE));
            for _ in 0..3 {
                opener.send(()).unwrap();
                written.recv().unwrap();
            }
            assert!(flushing.join().unwrap());
            // Lets the writer go.
            queue.push(b"\n");
        });
    }
}
