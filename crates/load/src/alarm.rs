//! Wakes a readiness loop at a time finer than the millisecond that the loop itself knows.
//!
//! On Linux it is a timer of the system (timerfd). Elsewhere the loop does not sleep through the
//! last millisecond: it looks again and again.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// The alarm of one loop.
#[derive(Debug)]
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: rustix::fd::OwnedFd,
    /// How long after being set it rings, where it rings at all.
    #[cfg(target_os = "linux")]
    set_for: u64,
}

#[cfg(target_os = "linux")]
impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        use mio::unix::SourceFd;
        use rustix::fd::{AsFd, AsRawFd};
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let raw = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&raw), token, mio::Interest::READABLE)?;
        Ok(Alarm { timer, set_for: 0 })
    }

    /// Rings at `due`, both times by the clock of the run. Where it does not ring, it says how long
    /// the loop may sleep before it looks again.
    pub(crate) fn set(&mut self, now: u64, due: u64) -> io::Result<Option<Duration>> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        if self.set_for == due {
            return Ok(None);
        }
        let pause = due.saturating_sub(now).max(1);
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: (pause / 1_000_000_000) as i64,
            tv_nsec: (pause % 1_000_000_000) as i64,
        };
        let times = Itimerspec { it_interval: zero, it_value: value };
        // It is never read: each setting makes it unread again, and each ring is an event.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times)?;
        self.set_for = due;
        Ok(None)
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Alarm> {
        Ok(Alarm {})
    }

    pub(crate) fn set(&mut self, now: u64, due: u64) -> io::Result<Option<Duration>> {
        Ok(Some(Duration::from_millis(due.saturating_sub(now) / 1_000_000)))
    }
}
