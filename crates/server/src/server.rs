use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use stockd_engine::Engine;
use stockd_model::limits::{
    MEMORY_FLOOR, SHUTDOWN_MARGIN, SHUTDOWN_TIMEOUT, WORK_QUEUE_MAX, WORKERS_MAX,
};

use crate::admission::Admission;
use crate::file_limit::connections_allowed;
use crate::listener::{Acceptor, Bound};
use crate::memory::Memory;
use crate::metrics::Cells;
use crate::observer::Observer;
use crate::pool::Pool;
use crate::reactor::Reactor;
use crate::seat::Seat;
use crate::server_state::ServerState;
use crate::sweep::Sweep;
use crate::worker::Worker;
use crate::{Config, Endpoint, Metrics, Protocol, StartError, Transport};

/// Between two looks whether a thread has ended.
const JOIN_STEP: Duration = Duration::from_millis(1);

/// How long a thread that has lost its worker may wait for the disk before it is left behind.
const DISK_PATIENCE: Duration = Duration::from_millis(200);

/// A running data plane: one acceptor thread and a pool of workers.
///
/// Dropping it shuts it down as [`shutdown`](Server::shutdown) does.
#[derive(Debug)]
pub struct Server {
    endpoints: Vec<Arc<Endpoint>>,
    admission: Arc<Admission>,
    pool: Arc<Pool>,
    state: Arc<ServerState>,
    acceptor_waker: Waker,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
    workers: Vec<Crew>,
}

/// The threads of one worker: two where it commits writes itself.
#[derive(Debug)]
struct Crew {
    seat: Arc<Seat>,
    threads: Vec<JoinHandle<Option<usize>>>,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that were open when it began.
    pub connections: usize,
    /// Those whose client had not taken all its replies when time was up. Their replies are lost.
    pub unflushed: usize,
}

impl Server {
    /// Binds every listener and starts the threads. When it returns, clients are served.
    ///
    /// The limit of connections is lowered, with a warning in the log, to what the limit of open
    /// files allows; see [`raise_file_limit`](crate::raise_file_limit).
    ///
    /// # Errors
    ///
    /// [`StartError`] when the configuration is impossible, an address cannot be listened on, or
    /// the system gives no more threads. Nothing is left behind then.
    pub fn start(config: Config, engine: Arc<Engine>) -> Result<Server, StartError> {
        check(&config)?;
        let sweep = Sweep::new(&config);
        let listeners =
            config.endpoints.into_iter().map(Bound::listen).collect::<Result<Vec<_>, _>>()?;
        let (acceptor_poll, acceptor_waker) =
            readiness().map_err(|source| system("the acceptor", source))?;
        let (reactors, wakers): (Vec<_>, Vec<_>) = (0..config.workers)
            .map(|index| Reactor::open().map_err(|source| system(&worker_name(index), source)))
            .collect::<Result<_, _>>()?;
        let admission =
            Admission::new(connections_allowed(config.connections_max, config.files_reserved));
        let pool = Pool::new(wakers, WORK_QUEUE_MAX);
        let acceptor_cells = Arc::<Cells>::default();
        let memory = Memory::new(config.memory_max, config.unread_replies_max);
        let state = ServerState::new(engine, memory, Arc::clone(&config.authority), {
            let (admission, pool) = (Arc::clone(&admission), Arc::clone(&pool));
            let acceptor_cells = Arc::clone(&acceptor_cells);
            let lost = Arc::clone(&config.log_lines_lost);
            let insecure_listeners = config.insecure_listeners;
            move || Metrics {
                log_lines_lost: lost.load(Ordering::Relaxed),
                insecure_listeners,
                ..gather(&admission, &pool, &acceptor_cells)
            }
        });
        let is_resp = |bound: &&Bound| bound.endpoint.protocol == Protocol::Resp;
        let address = |bound: &Bound| bound.endpoint.address.tcp();
        if let Some(address) = listeners.iter().filter(is_resp).find_map(address) {
            let _ = state.port.set(address.port());
        }
        for bound in &listeners {
            if let Transport::Tls(tls) = &bound.endpoint.transport {
                let _ = state.tls.set(Arc::clone(tls));
            }
        }
        let mut server = Server {
            endpoints: listeners.iter().map(|bound| Arc::clone(&bound.endpoint)).collect(),
            admission,
            pool,
            state,
            acceptor_waker,
            stopping: Arc::default(),
            acceptor: None,
            workers: Vec::new(),
        };
        // Should a thread fail to start, dropping the server ends those that run.
        for (index, reactor) in reactors.into_iter().enumerate() {
            let (pool, state) = (Arc::clone(&server.pool), Arc::clone(&server.state));
            let worker = Box::new(Worker::new(index, reactor, pool, state, sweep, config.spin));
            let role = server.state.engine.commit_role().filter(|_| !config.spin);
            let seat = Arc::new(Seat::new(role));
            let drive = |worker| {
                let seat = Arc::clone(&seat);
                move || seat.drive(worker)
            };
            let mut threads = vec![spawn(&worker_name(index), drive(Some(worker)))?];
            if seat.has_second() {
                threads.push(spawn(&format!("stockd-second-{index}"), drive(None))?);
            }
            server.workers.push(Crew { seat, threads });
        }
        let acceptor = Acceptor::new(
            acceptor_poll,
            listeners,
            Arc::clone(&server.admission),
            Arc::clone(&server.pool),
            acceptor_cells,
            Arc::clone(&server.stopping),
        )
        .map_err(|source| system("the acceptor", source))?;
        server.acceptor = Some(spawn("stockd-acceptor", || acceptor.run())?);
        Ok(server)
    }

    /// Where it really listens, in the order of the configuration.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// What it has done so far and what it holds now. The numbers are read one after another
    /// while the threads go on, so they need not fit together exactly.
    pub fn metrics(&self) -> Metrics {
        self.state.metrics()
    }

    /// Another access file has come into force: has every worker end what it does not allow any more. What
    /// clients ask is decided by the new file already.
    pub fn access_changed(&self) {
        self.pool.wake_all();
    }

    /// What other planes may know of it while it runs.
    pub fn observer(&self) -> Observer {
        Observer::new(Arc::clone(&self.state), Arc::clone(&self.pool))
    }

    /// Stops accepting, answers what every client has sent by now, lets the clients take their
    /// replies, closes and ends all threads. Takes at most
    /// [`SHUTDOWN_TIMEOUT`](stockd_model::limits::SHUTDOWN_TIMEOUT); without clients that dawdle,
    /// about [`LINGER_TIMEOUT`](stockd_model::limits::LINGER_TIMEOUT).
    pub fn shutdown(mut self) -> ShutdownReport {
        self.stop()
    }

    fn stop(&mut self) -> ShutdownReport {
        let until = Instant::now() + (SHUTDOWN_TIMEOUT - SHUTDOWN_MARGIN);
        self.stopping.store(true, Ordering::Release);
        if let Some(acceptor) = self.acceptor.take() {
            if let Err(error) = self.acceptor_waker.wake() {
                tracing::error!("cannot wake the acceptor: {error}");
            }
            if acceptor.join().is_err() {
                tracing::error!("the acceptor had panicked");
            }
        }
        let mut report = ShutdownReport { connections: self.admission.open(), unflushed: 0 };
        self.pool.drain(until);
        for crew in self.workers.drain(..) {
            report.unflushed += crew.join();
        }
        report
    }
}

impl Crew {
    /// Waits until the worker has ended. Returns how many clients had not taken all their replies by then.
    fn join(self) -> usize {
        self.seat.wait_until_ended();
        let until = Instant::now() + DISK_PATIENCE;
        let mut unflushed = 0;
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(JOIN_STEP);
            }
            if !thread.is_finished() {
                // It waits for the disk, and has no worker any more.
                continue;
            }
            match thread.join() {
                Ok(left) => unflushed += left.unwrap_or_default(),
                Err(_) => tracing::error!("a worker had panicked"),
            }
        }
        unflushed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What all threads have counted.
fn gather(admission: &Admission, pool: &Pool, acceptor_cells: &Cells) -> Metrics {
    let mut metrics = Metrics {
        open: admission.open(),
        connections_max: admission.connections_max(),
        queued: pool.queue().len(),
        queued_peak: pool.queue().len_peak(),
        open_per_worker: pool.open_per_worker().collect(),
        ..Metrics::default()
    };
    metrics.add(acceptor_cells);
    for worker in 0..metrics.open_per_worker.len() {
        metrics.add(pool.cells(worker));
    }
    metrics
}

fn check(config: &Config) -> Result<(), StartError> {
    if !(1..=WORKERS_MAX).contains(&config.workers) {
        return Err(StartError::Workers(config.workers));
    }
    if config.connections_max == 0 {
        return Err(StartError::NoConnections);
    }
    if config.memory_max < MEMORY_FLOOR {
        return Err(StartError::Memory(config.memory_max));
    }
    Ok(())
}

/// What the acceptor waits with. Its waker's token is no listener's.
fn readiness() -> io::Result<(Poll, Waker)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), Token(usize::MAX))?;
    Ok((poll, waker))
}

fn worker_name(index: usize) -> String {
    format!("stockd-worker-{index}")
}

fn spawn<R: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> R + Send + 'static,
) -> Result<JoinHandle<R>, StartError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|source| system(name, source))
}

fn system(what: &str, source: io::Error) -> StartError {
    StartError::System { what: what.to_owned(), source }
}
