//! A run: connections, threads, the measured window, and the CPU time of the server in it.
//!
//! The main thread only watches: it reads the server's CPU time when the window begins and when it
//! ends, and lets others see how far the run is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stockd_latency::{Latencies, nanoseconds};
use stockd_model::limits::FILES_RESERVED;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::codec::Protocol;
use crate::disturbance::{Disturbance, ProcessorTimes};
use crate::driver::{Driver, Mode, Orders};
use crate::error::LoadError;
use crate::figures::Figures;
use crate::opening::{self, Opened};
use crate::pacer::{Arrivals, Pacer};
use crate::peer::Serving;
use crate::process::{ServerProcess, allow_files};
use crate::stocks::Texts;
use crate::subscribers::{Carrier, Subscribers, Told};
use crate::target::Target;
use crate::workload::Workload;

/// How much load, and how it comes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Connections, over all threads.
    pub connections: usize,
    /// Requests of a connection in flight at once. Closed loop alone.
    pub pipeline: usize,
    /// Threads of the load generator.
    pub threads: usize,
    /// Requests a second over all connections; without, the loop is closed.
    pub rate: Option<f64>,
    /// How an open loop spreads them.
    pub arrivals: Arrivals,
}

/// The settings of a run, besides its load.
#[derive(Clone, Debug)]
pub struct Course {
    /// The server.
    pub target: Target,
    /// Time before the window.
    pub warmup: Duration,
    /// When the window ends.
    pub extent: Extent,
    /// The seed of names and arrivals.
    pub seed: u64,
    /// Whether the threads poll instead of sleeping.
    pub spins: bool,
    /// The server's process, if it is to be watched.
    pub process: Option<ServerProcess>,
    /// Subscribers beside the load.
    pub subscribers: Option<Audience>,
}

/// Subscribers: how many, where, and over what.
#[derive(Clone, Debug)]
pub struct Audience {
    /// How many.
    pub count: usize,
    /// The server.
    pub target: Target,
    /// What carries their messages.
    pub carrier: Carrier,
}

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// By time.
    Time(Duration),
    /// By the number of requests.
    Requests(u64),
}

/// The results of one run.
#[derive(Debug)]
pub struct Outcome {
    /// All counts and latencies.
    pub figures: Figures,
    /// CPU time that the server used for each request.
    pub server_cpu_ns_per_request: Option<f64>,
    /// CPU time of the server as a share of the window; 2.0 is two cores.
    pub server_cores: Option<f64>,
    /// Resident memory of the server at the end.
    pub server_memory_bytes: Option<u64>,
    /// Messages that subscribers read in the window, a second.
    pub messages_a_second: Option<f64>,
    /// How old what changed in the window was when a subscriber read it.
    pub message_age: Option<Latencies>,
    /// What came between the run and the processor.
    pub disturbance: Disturbance,
}

/// Time between connecting and the first request, in which the threads start.
const START_PAUSE: Duration = Duration::from_millis(5);

/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since it began, including the warm-up.
    pub elapsed: Duration,
    /// Requests answered since then.
    pub answered: u64,
}

/// Runs once.
///
/// # Errors
///
/// When the server cannot be reached or does not speak the protocol, or the system fails. What goes
/// wrong with single requests is in the outcome.
pub fn run(
    workload: &Arc<Workload>,
    names: &Texts,
    load: &Load,
    course: &Course,
    mut progress: impl FnMut(Progress),
) -> Result<Outcome, LoadError> {
    let audience = course.subscribers.as_ref();
    allow_files(load.connections + audience.map_or(0, |it| it.count) + FILES_RESERVED);
    let subscribers = audience
        .map(|it| Subscribers::start(&it.target, it.carrier, it.count, names))
        .transpose()?;
    // Fails before the run does, where there is no such process.
    course.process.map(ServerProcess::cpu_ns).transpose()?;
    let opened = connect(&course.target, workload.protocol(), load.connections)?;
    let serving = match (course.process, opened.first()) {
        (Some(process), _) => Serving::Process(process.pid),
        (None, opened) => opened.map_or(Serving::Here, |opened| Serving::of(&opened.stream)),
    };
    let clock = Clock::starting_in(START_PAUSE);
    let begun = Instant::now() + START_PAUSE;
    let threads = load.threads.min(load.connections);
    let counters: Vec<_> = (0..threads).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let (window_over, windows) = mpsc::channel();
    let hands = deal(opened, threads);
    let handles = launch(workload, load, course, clock, hands, &counters, &window_over)?;
    drop(window_over);

    let watched = subscribers.as_ref();
    let watch = Watch { course, begun, counters: &counters, subscribers: watched, serving };
    let mut open_windows = threads;
    // Without a warm-up the window begins with the first request, which is yet to come.
    if !course.warmup.is_zero() {
        watch.until(&windows, Some(begun + course.warmup), &mut open_windows, &mut progress);
    }
    let before = watch.sample();
    if let Some(subscribers) = watched {
        subscribers.begin_window();
    }
    watch.until(&windows, None, &mut open_windows, &mut progress);
    let after = watch.sample();
    if let Some(subscribers) = watched {
        subscribers.end_window();
    }
    let server_memory_bytes = course.process.and_then(ServerProcess::memory_bytes);

    let mut figures = Figures::default();
    for handle in handles {
        match handle.join() {
            Ok(counted) => figures.add(counted?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let told = subscribers.map(Subscribers::end);
    if let Some(told) = &told {
        figures.counts.connections_closed += told.closed;
        let error = &mut figures.counts.first_error;
        *error = error.take().or_else(|| told.first_error.clone());
    }
    Ok(Outcome { server_memory_bytes, ..outcome(figures, (&before, &after), told) })
}

/// A run as it is seen from outside of its threads.
struct Watch<'a> {
    course: &'a Course,
    begun: Instant,
    /// Requests answered, by thread.
    counters: &'a [Arc<AtomicU64>],
    subscribers: Option<&'a Subscribers>,
    serving: Serving,
}

impl Watch<'_> {
    fn answered(&self) -> u64 {
        self.counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    fn sample(&self) -> Sample {
        Sample {
            at: Instant::now(),
            answered: self.answered(),
            cpu_ns: self.course.process.and_then(|process| process.cpu_ns().ok()),
            messages: self.subscribers.map(Subscribers::messages),
            processor: ProcessorTimes::now(self.serving),
        }
    }

    /// Reports progress until the time has come, or the windows of all threads have ended; `open` is the number
    /// of those that have not.
    fn until(
        &self,
        windows: &Receiver<()>,
        until: Option<Instant>,
        open: &mut usize,
        progress: &mut impl FnMut(Progress),
    ) {
        while *open > 0 {
            let now = Instant::now();
            let left = until.map_or(PROGRESS_INTERVAL, |until| {
                until.saturating_duration_since(now).min(PROGRESS_INTERVAL)
            });
            match windows.recv_timeout(left) {
                Ok(()) => *open -= 1,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let elapsed = now.saturating_duration_since(self.begun);
                    progress(Progress { elapsed, answered: self.answered() });
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return;
                    }
                }
            }
        }
    }
}

/// What happened between two samples, at the beginning and the end of the window.
fn outcome(figures: Figures, (before, after): (&Sample, &Sample), told: Option<Told>) -> Outcome {
    let window = after.at.saturating_duration_since(before.at).as_secs_f64();
    let answered = after.answered.saturating_sub(before.answered);
    let cpu = before.cpu_ns.zip(after.cpu_ns);
    let cpu_ns = cpu.map(|(before, after)| after.saturating_sub(before) as f64);
    let messages = before.messages.zip(after.messages);
    let run_delay_share = figures.run_delay_share;
    Outcome {
        disturbance: Disturbance { run_delay_share, ..before.processor.until(&after.processor) },
        figures,
        server_cpu_ns_per_request: cpu_ns.filter(|_| answered > 0).map(|ns| ns / answered as f64),
        server_cores: cpu_ns.filter(|_| window > 0.0).map(|ns| ns / 1e9 / window),
        server_memory_bytes: None,
        messages_a_second: messages
            .filter(|_| window > 0.0)
            .map(|(before, after)| (after - before) as f64 / window),
        message_age: told.map(|told| told.ages),
    }
}

/// Starts a thread for each hand of connections.
fn launch(
    workload: &Arc<Workload>,
    load: &Load,
    course: &Course,
    clock: Clock,
    hands: Vec<Vec<Opened>>,
    counters: &[Arc<AtomicU64>],
    window_over: &Sender<()>,
) -> Result<Vec<JoinHandle<Result<Figures, LoadError>>>, LoadError> {
    let window_begin = nanoseconds(course.warmup);
    let threads = hands.len();
    let start = |(thread, opened): (usize, Vec<Opened>)| {
        let orders = Orders {
            workload: Arc::clone(workload),
            opened,
            target: course.target.to_string(),
            clock,
            mode: match load.rate {
                None => Mode::Closed { pipeline: load.pipeline },
                Some(rate) => {
                    Mode::Open(Pacer::new(rate, load.arrivals, thread, threads, course.seed))
                }
            },
            window_begin,
            window_end: match course.extent {
                Extent::Time(time) => Some(window_begin + nanoseconds(time)),
                Extent::Requests(_) => None,
            },
            requests: match course.extent {
                Extent::Time(_) => None,
                Extent::Requests(requests) => Some(share(requests, thread, threads)),
            },
            chance: Chance::new(course.seed, thread as u64),
            spins: course.spins,
            answered: Arc::clone(&counters[thread]),
            window_over: window_over.clone(),
        };
        let driver = Driver::new(orders).map_err(LoadError::system("make a readiness loop"))?;
        let named = thread::Builder::new().name(format!("load-{thread}"));
        named.spawn(move || driver.run()).map_err(LoadError::system("start a thread"))
    };
    hands.into_iter().enumerate().map(start).collect()
}

/// The counters at one moment.
struct Sample {
    at: Instant,
    answered: u64,
    cpu_ns: Option<u64>,
    messages: Option<u64>,
    processor: ProcessorTimes,
}

fn connect(
    target: &Target,
    protocol: Protocol,
    connections: usize,
) -> Result<Vec<Opened>, LoadError> {
    let mut all = Vec::with_capacity(connections);
    for number in 1..=connections {
        let opened = opening::open_nonblocking(target, protocol);
        all.push(opened.map_err(|why| LoadError::Connect {
            target: target.to_string(),
            number,
            of: connections,
            remedy: match rustix::io::Errno::from_io_error(&why) {
                Some(rustix::io::Errno::MFILE) => {
                    "raise the limit of open files (ulimit -n), or use fewer --connections"
                }
                _ => "start the server, or name another with --server",
            },
            why,
        })?);
    }
    Ok(all)
}

/// Deals connections out to threads, one after the other.
fn deal(opened: Vec<Opened>, threads: usize) -> Vec<Vec<Opened>> {
    let mut hands: Vec<Vec<Opened>> = (0..threads).map(|_| Vec::new()).collect();
    for (at, one) in opened.into_iter().enumerate() {
        hands[at % threads].push(one);
    }
    hands
}

/// The part of one thread in all requests.
fn share(requests: u64, thread: usize, threads: usize) -> u64 {
    let (thread, threads) = (thread as u64, threads as u64);
    requests / threads + u64::from(thread < requests % threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_shared_out_whole() {
        let shares: Vec<u64> = (0..3).map(|thread| share(11, thread, 3)).collect();
        assert_eq!(shares, [4, 4, 3]);
    }
}
