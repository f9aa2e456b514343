//! What came between a run and the processor: how long threads waited for a core although they could have
//! gone on, and how much of the cores others took meanwhile.
//!
//! Linux tells it (proc(5), `schedstat` and `stat`). What it does not tell, nothing is concluded from.
//!
//! Invariant: whether a run was disturbed does not depend on what was measured of the server.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::peer::Serving;
use crate::process::{Scheduled, ServerProcess};

/// What was measured beside a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disturbance {
    /// The part of the window that a thread of the load generator waited for a core: the one that waited
    /// the most.
    pub run_delay_share: Option<f64>,
    /// The same of the server, where it runs on this machine.
    pub server_run_delay_share: Option<f64>,
    /// Cores that processes other than these two used.
    pub others_cores: Option<f64>,
    /// The part of all cores that the host of this virtual machine took for others.
    pub stolen_share: Option<f64>,
}

/// From this part of the window on, waiting for a core shows in the latencies.
const RUN_DELAY_SHARE: f64 = 0.05;

/// From this number of cores on, others are the likely reason for it.
const OTHERS_CORES: f64 = 0.25;

/// From this part of all cores on, the host is.
const STOLEN_SHARE: f64 = 0.05;

/// Windows from this length on have enough ticks of the system's clock to tell what others used.
const TICKS_MIN: Duration = Duration::from_millis(150);

impl Disturbance {
    /// Whether others, which are no part of what is measured, held it up.
    pub fn is_by_others(&self) -> bool {
        let others = self.others_cores.unwrap_or(0.0);
        self.stolen_share.unwrap_or(0.0) >= STOLEN_SHARE
            || (self.waited_for_a_core() && others >= OTHERS_CORES)
    }

    /// Whether load generator or server waited for a core long enough to show in the latencies.
    pub fn waited_for_a_core(&self) -> bool {
        self.run_delay() >= RUN_DELAY_SHARE
    }

    /// The part of the window that the thread that waited the most waited for a core.
    pub fn run_delay(&self) -> f64 {
        self.run_delay_share.unwrap_or(0.0).max(self.server_run_delay_share.unwrap_or(0.0))
    }
}

/// Times of the processor at one moment.
#[derive(Debug)]
pub(crate) struct ProcessorTimes {
    at: Instant,
    machine: Option<MachineTime>,
    own_ns: u64,
    /// `None` where the server's threads cannot be seen.
    server: Option<BTreeMap<u32, Scheduled>>,
    serving: Serving,
}

/// What all cores together did, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct MachineTime {
    /// For anything.
    busy_ns: u64,
    /// For other machines of the host. Not a part of the former.
    stolen_ns: u64,
    /// Both, and nothing.
    all_ns: u64,
}

impl ProcessorTimes {
    pub(crate) fn now(serving: Serving) -> ProcessorTimes {
        let server = match serving {
            Serving::Process(pid) => ServerProcess { pid }.threads().ok(),
            Serving::Here | Serving::Elsewhere => None,
        };
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        ProcessorTimes {
            at: Instant::now(),
            machine: machine_time(&stat),
            own_ns: own.tv_sec as u64 * 1_000_000_000 + own.tv_nsec as u64,
            server,
            serving,
        }
    }

    /// What happened from here to a later moment, but for what the load generator's threads know themselves.
    pub(crate) fn until(&self, end: &ProcessorTimes) -> Disturbance {
        let window = end.at.saturating_duration_since(self.at);
        if window.is_zero() {
            return Disturbance::default();
        }
        let has_ticks = window >= TICKS_MIN;
        let window = window.as_nanos() as f64;
        let share = |ns: u64| ns as f64 / window;
        let server = self.server.as_ref().zip(end.server.as_ref());
        let machine = self.machine.zip(end.machine).filter(|_| has_ticks);
        // Threads that ended meanwhile are gone, with what they used.
        let later = |(before, after): (&BTreeMap<u32, Scheduled>, &BTreeMap<u32, Scheduled>)| {
            let zero = Scheduled::default();
            let of =
                |(thread, now): (&u32, &Scheduled)| now.since(*before.get(thread).unwrap_or(&zero));
            after.iter().map(of).collect::<Vec<_>>()
        };
        let server: Option<Vec<Scheduled>> = server.map(later);
        let server_ns = match self.serving {
            Serving::Elsewhere => Some(0),
            _ => server.as_ref().map(|threads| threads.iter().map(|it| it.cpu_ns).sum::<u64>()),
        };
        let known_ns = server_ns.map(|ns| ns + end.own_ns.saturating_sub(self.own_ns));
        let of_machine = |part: fn(&MachineTime) -> u64| {
            machine.map(|(before, after)| part(&after).saturating_sub(part(&before)))
        };
        let busy = of_machine(|it| it.busy_ns);
        Disturbance {
            run_delay_share: None,
            server_run_delay_share: server
                .map(|threads| threads.iter().map(|it| share(it.waited_ns)).fold(0.0, f64::max)),
            others_cores: busy.zip(known_ns).map(|(busy, known)| share(busy.saturating_sub(known))),
            stolen_share: of_machine(|it| it.stolen_ns)
                .zip(of_machine(|it| it.all_ns).filter(|all| *all > 0))
                .map(|(stolen, all)| stolen as f64 / all as f64),
        }
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in ticks, which
/// are hundredths of a second for all programs.
fn machine_time(stat: &str) -> Option<MachineTime> {
    const TICK_NS: u64 = 10_000_000;
    let ticks = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = ticks.split_whitespace().map_while(|it| it.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, stolen, ..] = ticks[..] else {
        return None;
    };
    let busy = [user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add);
    let all = [busy, idle, iowait, stolen].into_iter().fold(0, u64::saturating_add);
    let ns = |ticks: u64| ticks.saturating_mul(TICK_NS);
    Some(MachineTime { busy_ns: ns(busy), stolen_ns: ns(stolen), all_ns: ns(all) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn times(
        at: Instant,
        busy: u64,
        stolen: u64,
        own: u64,
        server: &[(u32, u64, u64)],
    ) -> ProcessorTimes {
        let thread = |&(thread, cpu_ns, waited_ns): &_| (thread, Scheduled { cpu_ns, waited_ns });
        ProcessorTimes {
            at,
            machine: Some(MachineTime {
                busy_ns: busy,
                stolen_ns: stolen,
                all_ns: if busy > 0 { 20 * SECOND } else { 0 },
            }),
            own_ns: own,
            server: Some(server.iter().map(thread).collect()),
            serving: Serving::Process(1),
        }
    }

    /// Ten seconds of two cores.
    #[test]
    fn what_others_took_is_what_is_left_of_the_machine() {
        let begin = Instant::now();
        let before = times(begin, 0, 0, 0, &[(1, SECOND, SECOND), (2, 0, 0)]);
        let end = begin + Duration::from_secs(10);
        let threads = [(1, 4 * SECOND, 3 * SECOND), (3, SECOND, SECOND / 2)];
        let after = times(end, 14 * SECOND, 2 * SECOND, 5 * SECOND, &threads);
        let during = before.until(&after);
        let expected = Disturbance {
            run_delay_share: None,
            server_run_delay_share: Some(0.2),
            // 14 of busy cores, 5 its own and 4 the server's.
            others_cores: Some(0.5),
            stolen_share: Some(0.1),
        };
        assert_eq!(during, expected);
        assert_eq!(before.until(&before), Disturbance::default());
        let soon =
            ProcessorTimes { at: begin + Duration::from_millis(100), ..times(end, 9, 9, 0, &[]) };
        assert_eq!(before.until(&soon).others_cores, None);
        let unseen = ProcessorTimes { server: None, serving: Serving::Here, ..after };
        assert_eq!(before.until(&unseen).others_cores, None);
    }

    #[test]
    fn it_takes_others_and_a_wait_to_disturb() {
        let waited = |own, others, stolen| Disturbance {
            run_delay_share: Some(own),
            server_run_delay_share: Some(0.0),
            others_cores: others,
            stolen_share: Some(stolen),
        };
        // Others on other cores, and a server that shares a core with the load generator.
        assert!(!waited(0.01, Some(6.0), 0.0).is_by_others());
        assert!(!waited(0.3, Some(0.05), 0.01).is_by_others());
        assert!(!waited(0.3, None, 0.0).is_by_others());
        assert!(waited(0.3, Some(0.05), 0.01).waited_for_a_core());
        assert!(waited(0.3, Some(0.9), 0.0).is_by_others());
        assert!(waited(0.0, Some(0.0), 0.2).is_by_others());
        let server =
            Disturbance { server_run_delay_share: Some(0.4), ..waited(0.0, Some(1.0), 0.0) };
        assert!(server.is_by_others());
        assert!(!Disturbance::default().is_by_others());
    }

    #[test]
    fn the_first_line_of_stat_is_read() {
        let stat = "cpu  100 20 30 400 5 6 7 8 0 0\ncpu0 1 2 3";
        let ms = 1_000_000;
        let expected = MachineTime { busy_ns: 1630 * ms, stolen_ns: 80 * ms, all_ns: 5760 * ms };
        assert_eq!(machine_time(stat), Some(expected));
        for rubbish in ["", "cpu", "cpu  1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 x 4 5 6 7 8"] {
            assert_eq!(machine_time(rubbish), None, "{rubbish}");
        }
    }
}
