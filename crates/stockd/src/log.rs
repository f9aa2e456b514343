//! The log of the server, which never makes anybody wait.
//!
//! A line goes to a bounded queue, and one thread, `stockd-log`, writes it to standard error. When
//! it is not read, that thread waits and lines are dropped; the server serves on, and ends when
//! it is told to. What is dropped is counted in the log itself, in its place, when there is room
//! again. What clients can cause at will is shown once a second for each kind.
//!
//! Once the server serves, nothing else writes to standard error: it could wait for a reader.
//!
//! Invariant: who logs holds two locks at most, each for a copy, and neither while anything is
//! written.

mod format;
mod queue;
mod repeats;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use stockd_model::escaped;
use stockd_model::limits::{EXCERPT_BYTES_MAX, LOG_FLUSH_TIMEOUT, LOG_REPEAT_INTERVAL};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use self::format::JsonLines;
pub(crate) use self::format::LogFormat;
use self::queue::{LineQueue, Taken};
use self::repeats::Repeats;
use crate::output;

/// The crate whose events clients can cause at will.
const CAUSED_BY_CLIENTS: &str = "stockd_server";

/// The client of NATS, which logs each attempt to connect; the node says once what becomes of them.
const TELLS_EACH_ATTEMPT: &str = "async_nats";

/// The log of this process. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: LineQueue,
    level: OnceLock<reload::Handle<LevelFilter, Registry>>,
    repeats: Mutex<Repeats<Identifier, (Level, String)>>,
    format: OnceLock<LogFormat>,
}

impl Log {
    /// Logs to standard error from now on. Once in a process.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no file.
    pub(crate) fn to_stderr(level: LevelFilter, format: LogFormat) -> io::Result<Log> {
        let log = Log::default();
        let _ = log.0.format.set(format);
        let is_colourful = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // Without the lock of the standard library, for which others would wait.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let writer = log.clone();
        let thread = thread::Builder::new().name("stockd-log".to_owned());
        thread.spawn(move || writer.write_to(stderr))?;
        log.tell_panics();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(log.clone())
            .with_target(false)
            .log_internal_errors(false);
        let lines: Box<dyn Layer<_> + Send + Sync> = match format {
            LogFormat::Text => Box::new(lines.with_ansi(is_colourful)),
            LogFormat::Json => Box::new(lines.event_format(JsonLines)),
        };
        let (level, handle) = reload::Layer::new(level);
        tracing_subscriber::registry().with(level).with(log.clone()).with(lines).init();
        let _ = log.0.level.set(handle);
        Ok(log)
    }

    /// How many lines were lost so far.
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        self.0.queue.lost()
    }

    /// Logs at this level from now on.
    pub(crate) fn set_level(&self, level: LevelFilter) {
        if let Some(handle) = self.0.level.get() {
            // It fails where there is no log any more.
            let _ = handle.reload(level);
        }
    }

    /// How the process ends: says the error, if there is one, and waits for what was logged, as long
    /// as somebody reads it.
    pub(crate) fn end(&self, outcome: anyhow::Result<ExitCode>) -> ExitCode {
        let code = outcome.unwrap_or_else(|error| {
            let text = output::without_numbers(&format!("{error:#}"));
            let text = escaped(&text).to_string();
            let line = match self.format() {
                LogFormat::Text => format!("stockd: {text}\n").into_bytes(),
                json => json.line(Level::ERROR, &text),
            };
            self.0.queue.push(&line);
            ExitCode::FAILURE
        });
        // The spells that are not over end here.
        for (level, text) in self.counted(Instant::now() + LOG_REPEAT_INTERVAL) {
            self.0.queue.push(&self.format().line(level, &text));
        }
        self.0.queue.flush(LOG_FLUSH_TIMEOUT);
        code
    }

    /// Panics are told here, too. The process ends right after, so their lines are waited for.
    fn tell_panics(&self) {
        let log = self.clone();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let mut text = format!("thread '{}' {panic}", thread.name().unwrap_or("?"));
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                text.push_str(&format!("\n{backtrace}"));
            }
            log.0.queue.push(&match log.format() {
                LogFormat::Text => format!("{text}\n").into_bytes(),
                json => json.line(Level::ERROR, &text),
            });
            log.0.queue.flush(LOG_FLUSH_TIMEOUT);
        }));
    }

    /// Writes what is logged, for ever.
    fn write_to(self, mut stderr: impl Write) {
        let queue = &self.0.queue;
        let mut taken = Taken::default();
        let mut dropped = 0;
        loop {
            let until = self.repeats().next_end();
            queue.take(&mut taken, until);
            dropped += queue.write(&taken.lines, &mut stderr) + taken.dropped;
            if dropped > 0 {
                let text = format!("{dropped} lines of the log were dropped: nobody read it");
                if queue.write(&self.format().line(Level::WARN, &text), &mut stderr) == 0 {
                    dropped = 0;
                }
            }
            for (level, text) in self.counted(Instant::now()) {
                dropped += queue.write(&self.format().line(level, &text), &mut stderr);
            }
        }
    }

    /// What is to be told of the spells that are over.
    fn counted(&self, now: Instant) -> Vec<(Level, String)> {
        let ended = self.repeats().end(now).into_iter();
        ended.map(|((level, first), more)| (level, format!("{more} more like: {first}"))).collect()
    }

    fn format(&self) -> LogFormat {
        self.0.format.get().copied().unwrap_or_default()
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats<Identifier, (Level, String)>> {
        // At worst an event is counted once too often.
        self.0.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one event after the other, each whole.
impl Write for &Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.queue.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Log;

    fn make_writer(&'a self) -> &'a Log {
        self
    }
}

/// Decides which events are shown.
impl<S: Subscriber> Layer<S> for Log {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target().starts_with(TELLS_EACH_ATTEMPT) {
            return LevelFilter::current() > LevelFilter::INFO;
        }
        // At this level every connection is told of.
        if *metadata.level() > Level::INFO || !metadata.target().starts_with(CAUSED_BY_CLIENTS) {
            return true;
        }
        self.repeats().shows(metadata.callsite(), Instant::now(), || {
            let mut message = Message(String::new());
            event.record(&mut message);
            (*metadata.level(), message.0)
        })
    }
}

/// The message of an event, without control characters.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = escaped(&format!("{value:?}")).at_most(EXCERPT_BYTES_MAX).to_string();
        }
    }
}
