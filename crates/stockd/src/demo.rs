//! `stockd demo`: a server with built-in real data and live updates, and a client run against it.
//!
//! This file owns the course of the demo: it starts the server in this process, replays the
//! history through the engine while it looks every name up over TCP, checks every reply, and then
//! goes on serving. What is replayed, asked and shown is in the files beneath it.
//!
//! Invariant: it succeeds only if every reply was correct at that moment.

mod client;
mod history;
mod names;
mod playback;
mod screen;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use stockd_client::Client;
use stockd_engine::{Engine, Totals};
use stockd_latency::grouped;
use stockd_server::{Config, Endpoint, Protocol, Server};

use self::client::CheckingClient;
use self::history::History;
use self::playback::Playback;
use self::screen::Screen;
use crate::interruption::Interruption;
use crate::output;
use crate::web::Web;

/// The port of `stockd serve`, which the demo takes too if it is free.
const USUAL_PORT: u16 = 7878;

/// Where RESP is served by default, if that is free.
const USUAL_RESP_PORT: u16 = 7879;

/// Where HTTP is served by default, if that is free.
const USUAL_HTTP_PORT: u16 = 7880;

/// How long the history lasts while the client runs.
const REPLAY_TIME: Duration = Duration::from_secs(3);

/// The time of one day of the history while the demo goes on serving, slow enough to be watched: two minutes for all
/// of it.
const LATER_DAY: Duration = Duration::from_millis(40);

/// How often the status line is rewritten.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// How long clients of the dashboard may take to be told that it ends.
const WEB_END_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server's counters may take to show what the client has seen.
const COUNTERS_TIMEOUT: Duration = Duration::from_secs(5);

/// See it work: a server with built-in real data, live updates, and a client run against it.
///
/// Serves five real stocks and a few invented ones (DEMO.…) and replays 13 years of daily prices
/// as live updates, while the client looks up a list of names over TCP. Prints every reply with
/// its latency, checks that each was right, and ends with a table of the latencies. Then it keeps
/// serving and replaying until Ctrl-C; a browser shows the prices move on its dashboard. Exits with 1 if
/// any reply was wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Address to serve on; port 0 takes a free one [default: 127.0.0.1:7878, or a free port
    /// where that is taken].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    line: Option<SocketAddr>,

    /// How often the client looks up the whole list, 2 to 1000 times.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    runs: u32,

    /// Exit when the list is done, instead of serving on.
    #[arg(long)]
    once: bool,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write IP:PORT such as 127.0.0.1:7878 or [::1]:7878")
}

/// Plays the demo.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    play(args).map_or_else(output::end, |()| Ok(ExitCode::SUCCESS))
}

fn play(args: &DemoArgs) -> anyhow::Result<()> {
    let interruption = Interruption::watch().context("cannot watch for signals")?;
    let mut screen = Screen::new();
    let history = Arc::new(History::load()?);
    let engine = Arc::new(Engine::default());
    names::list_invented(&mut engine.executor())?;
    let server = start_server(args, &engine)?;
    let [address, resp] = [0, 1]
        .map(|listener| server.endpoints()[listener].address.tcp().expect("both listen on TCP"));
    let web = start_web(args, &engine, &server)?;
    let stage = Stage { address, resp, history, engine, server, web };
    stage.introduce(args, &mut screen)?;
    let finished = stage.look_up(args, &interruption, &mut screen)?;
    match (finished, args.once) {
        (true, true) => {}
        (true, false) => stage.serve_on(&interruption, &mut screen)?,
        (false, true) => bail!("interrupted before the list was done"),
        (false, false) => screen.farewell("interrupted, stopped")?,
    }
    let Stage { server, web, .. } = stage;
    web.iter().for_each(Web::stop);
    server.shutdown();
    if let Some(web) = web {
        web.end(Instant::now() + WEB_END_TIMEOUT);
    }
    Ok(())
}

/// Starts the dashboard, which a demo that ends by itself does not need: on the usual port or a free one.
fn start_web(
    args: &DemoArgs,
    engine: &Arc<Engine>,
    server: &Server,
) -> anyhow::Result<Option<Web>> {
    if args.once {
        return Ok(None);
    }
    let start = |ip, port| Web::start_plain(SocketAddr::new(ip, port), engine, server);
    let web = match args.line {
        Some(line) => start(line.ip(), 0),
        None => {
            let ip = Ipv4Addr::LOCALHOST.into();
            start(ip, USUAL_HTTP_PORT).or_else(|_| start(ip, 0))
        }
    };
    web.map(Some)
}

/// Starts the server on the address that was given, or else on the usual port or a free one.
fn start_server(args: &DemoArgs, engine: &Arc<Engine>) -> anyhow::Result<Server> {
    let start = |line: SocketAddr, resp_port| {
        let resp = SocketAddr::new(line.ip(), resp_port);
        let addresses = [(Protocol::Line, line), (Protocol::Resp, resp)];
        let listeners = addresses.map(|(protocol, address)| Endpoint::plain(protocol, address));
        let config = Config { endpoints: listeners.into(), ..Config::default() };
        Server::start(config, Arc::clone(engine))
    };
    let server = match args.line {
        Some(line) => start(line, 0),
        None => start((Ipv4Addr::LOCALHOST, USUAL_PORT).into(), USUAL_RESP_PORT)
            .or_else(|_| start((Ipv4Addr::LOCALHOST, 0).into(), 0)),
    };
    // The error says the cause itself; its source would say it again.
    server.map_err(|error| anyhow!("{error}"))
}

/// The running server and what the demo plays on it.
struct Stage {
    history: Arc<History>,
    engine: Arc<Engine>,
    server: Server,
    address: SocketAddr,
    /// Where it speaks RESP.
    resp: SocketAddr,
    /// The dashboard, unless the demo ends by itself.
    web: Option<Web>,
}

impl Stage {
    fn introduce(&self, args: &DemoArgs, screen: &mut Screen) -> io::Result<()> {
        let bars = self.history.bars();
        let (first, last) = (&bars[0], &bars[bars.len() - 1]);
        let stocks = self.history.symbols().len();
        let taken = match args.line {
            None if self.address.port() != USUAL_PORT => {
                format!(", since port {USUAL_PORT} is taken")
            }
            _ => String::new(),
        };
        let lines = [
            ("server", format!("listens on line {} and resp {}{taken}", self.address, self.resp)),
            (
                "catalog",
                format!("{stocks} real stocks, {} invented (DEMO.…)", names::INVENTED.len()),
            ),
            (
                "updates",
                format!(
                    "{} daily prices, {} to {}, in {} s",
                    grouped(bars.len() as u64),
                    first.date,
                    last.date,
                    REPLAY_TIME.as_secs()
                ),
            ),
            (
                "client",
                format!(
                    "{} names, {} times, one request at a time over TCP",
                    names::NAMES.len(),
                    args.runs
                ),
            ),
        ];
        screen.title("stockd demo: lookups beside live updates")?;
        screen.facts(&lines)?;
        match self.dashboard() {
            Some(page) => screen.facts(&[("dashboard", page)]),
            None => Ok(()),
        }
    }

    /// Where a browser shows it.
    fn dashboard(&self) -> Option<String> {
        self.web.as_ref()?.dashboard()
    }

    /// Looks all names up on the first day of the history. Then replays the rest once, and looks
    /// all names up at even intervals until its end. Returns false if it was interrupted.
    fn look_up(
        &self,
        args: &DemoArgs,
        interruption: &Interruption,
        screen: &mut Screen,
    ) -> anyhow::Result<bool> {
        let mut client = CheckingClient::new(Client::connect(self.address)?, &self.history);
        let days = u32::try_from(self.history.days().count())?;
        let day = REPLAY_TIME / days;
        let mut playback = Playback::open(&self.engine, &self.history);
        let mut began = Instant::now();
        screen.headings()?;
        let last_run = args.runs - 1;
        for run in 0..=last_run {
            if run == 1 {
                began = Instant::now();
                playback.play_once(day)?;
            }
            if run > 0 {
                let due = began + REPLAY_TIME * run / last_run;
                let patience = due.saturating_duration_since(Instant::now());
                if interruption.within(patience) {
                    return Ok(false);
                }
                screen.gap()?;
            }
            if run == last_run {
                // The last run is to see the last prices, the first one too where it is the only
                // one.
                playback.play_once(day)?;
                playback.finish();
            }
            for name in names::NAMES {
                screen.row(&client.look_up(name, &playback)?)?;
            }
        }
        self.conclude(&client, screen)?;
        Ok(true)
    }

    /// Shows the latencies and the counters.
    ///
    /// # Errors
    ///
    /// When a reply was wrong, or the server counted less than the client has seen.
    fn conclude(&self, client: &CheckingClient<'_>, screen: &mut Screen) -> anyhow::Result<()> {
        screen.report(&client.report)?;
        let seen = client.report.tally();
        let found = seen.prices + seen.not_tradable;
        let totals = self.totals_of_at_least(found + seen.not_listed);
        let updates = totals.listings + totals.updates - names::INVENTED.len() as u64;
        let counters = [
            (
                "lookups",
                format!(
                    "{}: {} listed, {} not listed",
                    grouped(totals.lookups()),
                    grouped(totals.hits),
                    grouped(totals.misses)
                ),
            ),
            (
                "replies",
                format!(
                    "{}: {} prices, {} times 0 (not tradable), {} times -1 (not listed)",
                    grouped(found + seen.not_listed),
                    grouped(seen.prices),
                    grouped(seen.not_tradable),
                    grouped(seen.not_listed)
                ),
            ),
            ("updates", format!("{} applied while serving", grouped(updates))),
        ];
        screen.facts(&counters)?;
        if let [first, others @ ..] = client.wrong.as_slice() {
            let and_more = match others.len() {
                0 => String::new(),
                more => format!(", and {more} more replies were wrong"),
            };
            bail!("{first}{and_more}");
        }
        // Others may look up here too, so the server may have counted more.
        if totals.hits < found || totals.misses < seen.not_listed {
            bail!(
                "the server counted {} lookups of listed names and {} of others, the client {found} and {}",
                totals.hits,
                totals.misses,
                seen.not_listed
            );
        }
        screen.good("every reply was right")?;
        Ok(())
    }

    /// The server's counters. A worker updates them shortly after it has sent replies, so this
    /// waits until they show as many lookups as the client has seen.
    fn totals_of_at_least(&self, lookups: u64) -> Totals {
        let deadline = Instant::now() + COUNTERS_TIMEOUT;
        loop {
            let totals = self.engine.totals();
            if totals.lookups() >= lookups || Instant::now() >= deadline {
                return totals;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Serves and replays until it is interrupted.
    fn serve_on(&self, interruption: &Interruption, screen: &mut Screen) -> anyhow::Result<()> {
        let mut playback = Playback::open(&self.engine, &self.history);
        playback.repeat(LATER_DAY)?;
        screen.invitation(self.address, self.resp, self.dashboard().as_deref())?;
        loop {
            let date = self.history.date_of_last(playback.applied());
            let counts = self.counts();
            let open = self.server.metrics().open;
            screen
                .status(&format!("replay at {date}: {counts} so far, connections open: {open}"))?;
            // Without a status line to refresh there is nothing to do in between.
            let interrupted = if screen.refreshes() {
                interruption.within(STATUS_INTERVAL)
            } else {
                interruption.wait();
                true
            };
            if interrupted {
                drop(playback);
                screen.farewell(&format!("stopped after {}", self.counts()))?;
                return Ok(());
            }
        }
    }

    /// The lookups and updates so far, in words.
    fn counts(&self) -> String {
        let totals = self.engine.totals();
        let (lookups, updates) = (grouped(totals.lookups()), grouped(totals.updates));
        format!("{lookups} lookups and {updates} updates")
    }
}
