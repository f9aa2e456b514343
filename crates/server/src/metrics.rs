//! What the server counts. The acceptor and each worker count in cells of their own that they
//! alone write, so that counting costs no shared writes; a snapshot sums them up.

use stockd_model::{Refusal, Right};
use stockd_wire::resp::{CommandId, ErrorCounts, command_rights};

use crate::cell::Cell;
use crate::command_times::{CommandTimes, TimesSum};
use crate::time_buckets::TIME_BUCKETS;

/// Declares the counters once: their names and meanings, the cells and the snapshot.
macro_rules! counters {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// What the server has done since it was started, and what it holds now.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$meaning])* pub $name: u64,)*
            /// Connections open now, those in the work queue included.
            pub open: usize,
            /// The limit of connections in force, after the limit of open files.
            pub connections_max: usize,
            /// Accepted connections that wait for a worker now.
            pub queued: usize,
            /// The most that ever waited for a worker at once.
            pub queued_peak: usize,
            /// Connections that each worker serves now.
            pub open_per_worker: Vec<usize>,
            /// How often each command of RESP was executed, in the order of
            /// [`command_name`](stockd_wire::resp::command_name).
            pub calls: Vec<u64>,
            /// Errors that RESP has answered, in the order of
            /// [`error_codes`](stockd_wire::resp::error_codes).
            pub errors: Vec<u64>,
            /// How long commands took, in the order of `calls`.
            pub(crate) times: Vec<TimesSum>,
            /// Bytes of replies that wait now for clients to take them.
            pub bytes_unsent: u64,
            /// Connections that are subscribed to something now.
            pub subscribers: u64,
            /// Symbols and patterns that they are subscribed to.
            pub subscriptions: u64,
            /// Connections that have their reads tracked.
            pub trackers: u64,
            /// Stocks and prefixes that they track.
            pub tracked: u64,
            /// Connections that have not taken all that was sent to them, or have still to be told.
            pub slow: u64,
            /// Bytes that all connections hold now.
            pub memory: u64,
            /// What they may hold.
            pub memory_max: u64,
            /// Of those bytes: replies that wait for clients to take them.
            pub memory_replies: u64,
            /// Of those bytes: requests that have not come whole or wait for their turn.
            pub memory_requests: u64,
            /// Of those bytes: replies that are being made.
            pub memory_walks: u64,
            /// Of those bytes: requests that wait for the disk.
            pub memory_parked: u64,
            /// Of those bytes: subscriptions, and marks of what subscribers have still to be told.
            pub memory_subscriptions: u64,
            /// Bytes of what writes have saved for snapshots that are being read: bounded on their own.
            pub snapshot_bytes: u64,
            /// Lines of the log that were lost: see [`Config`](crate::Config).
            pub log_lines_lost: u64,
            /// Access files that were not taken because of a mistake in them.
            pub access_failed_loads: u64,
            /// Listeners that others can reach and that protect nothing: see [`Config`](crate::Config).
            pub insecure_listeners: u64,
        }

        /// The cells of one thread. That thread writes them, any thread reads them.
        #[derive(Debug, Default)]
        pub(crate) struct Cells {
            $(pub(crate) $name: Cell,)*
            pub(crate) calls: PerKind<{ CommandId::COUNT }>,
            pub(crate) errors: PerKind<{ ErrorCounts::CODES }>,
            pub(crate) times: CommandTimes,
            pub(crate) bytes_unsent: Cell,
            pub(crate) subscribers: Cell,
            pub(crate) subscriptions: Cell,
            pub(crate) trackers: Cell,
            pub(crate) tracked: Cell,
            pub(crate) slow: Cell,
            pub(crate) memory_replies: Cell,
            pub(crate) memory_requests: Cell,
            pub(crate) memory_walks: Cell,
            pub(crate) memory_parked: Cell,
            pub(crate) memory_subscriptions: Cell,
        }

        impl Metrics {
            /// Adds what one thread has counted.
            pub(crate) fn add(&mut self, cells: &Cells) {
                $(self.$name = self.$name.wrapping_add(cells.$name.get());)*
                cells.calls.add_to(&mut self.calls);
                cells.errors.add_to(&mut self.errors);
                cells.times.add_to(&mut self.times);
                self.bytes_unsent += cells.bytes_unsent.get();
                self.subscribers += cells.subscribers.get();
                self.subscriptions += cells.subscriptions.get();
                self.trackers += cells.trackers.get();
                self.tracked += cells.tracked.get();
                self.slow += cells.slow.get();
                self.memory_replies += cells.memory_replies.get();
                self.memory_requests += cells.memory_requests.get();
                self.memory_walks += cells.memory_walks.get();
                self.memory_parked += cells.memory_parked.get();
                self.memory_subscriptions += cells.memory_subscriptions.get();
            }
        }
    };
}

impl Metrics {
    /// Requests executed, over all protocols.
    pub fn requests(&self) -> u64 {
        self.lines + self.calls.iter().sum::<u64>()
    }

    /// How long commands of RESP took, as far as they were measured: how many calls are in each of the buckets that
    /// [`longest_ns`](crate::longest_ns) has the bounds of.
    pub fn command_latencies(&self) -> Vec<u64> {
        self.latencies_of(|_| true).0
    }

    /// The same of the commands that one may give with one of these rights, and the nanoseconds of all these calls.
    pub fn command_latencies_of(&self, rights: &[Right]) -> (Vec<u64>, u64) {
        self.latencies_of(|command| {
            command_rights(command).iter().any(|right| rights.contains(right))
        })
    }

    fn latencies_of(&self, counts: impl Fn(usize) -> bool) -> (Vec<u64>, u64) {
        let (mut all, mut sum_ns) = (vec![0; TIME_BUCKETS], 0_u64);
        let commands = self.times.iter().enumerate().filter(|(command, _)| counts(*command));
        for (_, times) in commands {
            for (sum, calls) in all.iter_mut().zip(times.buckets()) {
                *sum += calls;
            }
            let of_command = times.sum_and_mean_ns().map_or(0, |(sum_ns, _)| sum_ns);
            sum_ns = sum_ns.saturating_add(of_command);
        }
        (all, sum_ns)
    }
}

counters! {
    /// Connections accepted, those refused afterwards included.
    accepted,
    /// Connections refused because as many as may be were open.
    refused_at_limit,
    /// Connections refused because the work queue was full.
    refused_queue_full,
    /// Times that accepting paused because the system had no file or memory left.
    accept_pauses,
    /// Connections closed because the client took none of its replies for too long.
    closed_stalled,
    /// Connections closed because nothing came or went for too long.
    closed_idle,
    /// Connections closed because the rest of a request did not come in time.
    closed_request_timeout,
    /// Connections closed because the handshake of TLS did not end in time, or too many others came.
    closed_handshake,
    /// Connections closed because the client broke the protocol of TLS, or showed no certificate where one
    /// is required.
    closed_tls_error,
    /// Handshakes of TLS that have ended well.
    tls_handshakes,
    /// Connections closed by `CLIENT KILL`.
    closed_killed,
    /// Connections closed because they held the most when all together held more than they may.
    closed_memory,
    /// Commands refused because connections held nearly as much memory as they may.
    refused_memory,
    /// Writes refused because of what is written in them: no price, no field, no possible symbol.
    refused_invalid,
    /// Lookups by the line protocol refused because they are not permitted.
    refused_line_read,
    /// Commands of RESP refused because the user may not read those stocks.
    refused_resp_read,
    /// The same, because the user may not write them.
    refused_resp_write,
    /// The same, because the user may not trade in them.
    refused_resp_trade,
    /// The same, because the user has not the right `admin`.
    refused_resp_admin,
    /// The same, because the user has not the right `metrics`.
    refused_resp_metrics,
    /// Commands of RESP refused because the client has not shown who it is.
    refused_resp_unauthenticated,
    /// Wrong tokens that were shown in RESP.
    refused_resp_credentials,
    /// Connections closed because of a line longer than the limit.
    closed_line_too_long,
    /// Connections that ended with an error, such as a reset by the client.
    closed_failed,
    /// Connections closed because of bytes that are no command.
    closed_protocol_error,
    /// Messages sent to subscribers.
    messages,
    /// Messages that subscribers were spared because a newer quote took their place.
    conflated,
    /// Connections declared unterminated: the client ends its requests with silence.
    unterminated,
    /// Requests of the line protocol.
    lines,
    /// Times that a connection was read.
    reads,
    /// Times that a connection was written to.
    writes,
    /// Bytes of requests received.
    bytes_in,
    /// Bytes of replies sent.
    bytes_out,
}

impl Cells {
    /// Counts commands of RESP that were refused for want of a right.
    #[cold]
    pub(crate) fn count_refused_resp(&self, right: Right, times: u64) {
        let cell = match right {
            Right::Read => &self.refused_resp_read,
            Right::Write => &self.refused_resp_write,
            Right::Trade => &self.refused_resp_trade,
            Right::Admin => &self.refused_resp_admin,
            Right::Metrics => &self.refused_resp_metrics,
        };
        cell.add(times);
    }

    /// The same, of what may be another refusal.
    #[cold]
    pub(crate) fn count_refusal(&self, refusal: &Refusal) {
        if let Refusal::NotPermitted { right, .. } = refusal {
            self.count_refused_resp(*right, 1);
        }
    }
}

/// Numbers that one thread writes and any thread reads, one for each kind of something.
#[derive(Debug)]
pub(crate) struct PerKind<const KINDS: usize>([Cell; KINDS]);

impl<const KINDS: usize> Default for PerKind<KINDS> {
    fn default() -> PerKind<KINDS> {
        PerKind([const { Cell::new() }; KINDS])
    }
}

impl<const KINDS: usize> PerKind<KINDS> {
    /// Adds to the number of a kind. Only the one writer may call this.
    #[inline]
    pub(crate) fn add(&self, kind: usize, count: u64) {
        if let Some(cell) = self.0.get(kind) {
            cell.add(count);
        }
    }

    /// The number of a kind.
    pub(crate) fn get(&self, kind: usize) -> u64 {
        self.0.get(kind).map_or(0, Cell::get)
    }

    fn add_to(&self, sums: &mut Vec<u64>) {
        sums.resize(KINDS, 0);
        for (sum, cell) in sums.iter_mut().zip(&self.0) {
            *sum = sum.wrapping_add(cell.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_commands_are_told_by_what_they_need() {
        let cells = Cells::default();
        cells.times.sample(CommandId::GET, 1_000, 60);
        cells.times.sample(CommandId::CLIENT_INFO, 9_000, 1);
        let mut metrics = Metrics::default();
        metrics.add(&cells);
        assert_eq!(command_rights(CommandId::GET.index()), [Right::Read]);
        let (reads, sum_ns) = metrics.command_latencies_of(&[Right::Read]);
        assert_eq!((reads.iter().sum::<u64>(), sum_ns), (60, 60_000));
        let (writes, sum_ns) = metrics.command_latencies_of(&[Right::Write, Right::Trade]);
        assert_eq!((writes.iter().sum::<u64>(), sum_ns), (0, 0));
        assert_eq!(metrics.command_latencies().iter().sum::<u64>(), 61);
    }
}
