//! How many files the process may have open, and how many connections that leaves room for.
//!
//! A connection is a file of the process from when it is accepted until a worker takes it, and from
//! then on too unless the worker's reactor [keeps](crate::reactor::Reactor::keeps) its socket.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stockd_model::limits::{CONNECTIONS_MAX, FILES_RESERVED, WORK_QUEUE_MAX};

/// What the limit of open files leaves room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections open at once.
    pub(crate) connections_max: usize,
    /// Of those, the ones that wait for a worker.
    pub(crate) waiting_max: usize,
}

/// Raises the process's limit of open files as far as it may: to its hard limit, and beyond that
/// to what [`CONNECTIONS_MAX`] connections need when the process is privileged. Returns the limit
/// that is in force then; `usize::MAX` stands for none.
///
/// Call it once, before [`Server::start`](crate::Server::start): a server has as many connections as
/// the limit allows that it finds.
pub fn raise_file_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = (CONNECTIONS_MAX + FILES_RESERVED) as u64;
    let beyond_hard = maximum.is_some_and(|hard| hard < needed);
    let raised = beyond_hard && set(Some(needed), Some(needed));
    if !raised && current != maximum {
        // Where the hard limit is infinite, macOS refuses a soft limit that is infinite too.
        let _ = set(maximum, maximum) || set(Some(needed), maximum);
    }
    file_limit()
}

fn set(current: Option<u64>, maximum: Option<u64>) -> bool {
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
}

/// The limit of open files now.
fn file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// For how many sockets a reactor is made: a worker's share of the connections, and those that are
/// being closed while as many come. A reactor may keep as many as the process may have files open.
pub(crate) fn sockets_per_worker(connections_max: usize, workers: usize) -> usize {
    let share = connections_max.div_ceil(workers);
    share.saturating_add(WORK_QUEUE_MAX).min(file_limit())
}

impl Room {
    /// The room for so many connections when the reactor of each worker keeps `kept` sockets. What is
    /// lowered is said in the log.
    pub(crate) fn find(connections_max: usize, workers: usize, kept: usize) -> Room {
        let files_max = file_limit();
        let room = Room::within(files_max, connections_max, workers, kept);
        if room.connections_max < connections_max {
            let why = match kept {
                0 => format!("and keeps {FILES_RESERVED} for other uses; raise"),
                _ => format!("and each of {workers} workers as many sockets; take more, or raise"),
            };
            let told = format!(
                "the limit of connections is {}, not {connections_max}: the process may have \
                 {files_max} files open {why} the limit of open files",
                room.connections_max
            );
            // What nobody asked for is worth knowing; what somebody did ask for is a warning.
            match connections_max {
                CONNECTIONS_MAX => tracing::info!("{told}"),
                _ => tracing::warn!("{told}"),
            }
        }
        room
    }

    fn within(files_max: usize, connections_max: usize, workers: usize, kept: usize) -> Room {
        let files = files_max.saturating_sub(FILES_RESERVED).max(1);
        match kept {
            0 => Room { connections_max: connections_max.min(files), waiting_max: WORK_QUEUE_MAX },
            _ => Room {
                connections_max: connections_max.min(kept.saturating_mul(workers)),
                // Beside those in the queue, each worker may have taken as many and not yet kept them.
                waiting_max: (files / (workers + 1)).clamp(1, WORK_QUEUE_MAX),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = file_limit();
        let raised = raise_file_limit();
        assert!(raised >= before, "{raised} < {before}");
        assert_eq!(raised, file_limit());
        assert_eq!(raise_file_limit(), raised);
    }

    #[test]
    fn connections_are_files_unless_their_sockets_are_kept() {
        let room = |files, connections_max, workers, kept| {
            let Room { connections_max, waiting_max } =
                Room::within(files, connections_max, workers, kept);
            (connections_max, waiting_max)
        };
        assert_eq!(room(20_000, 50_000, 3, 0), (20_000 - FILES_RESERVED, WORK_QUEUE_MAX));
        assert_eq!(room(20_000, 50_000, 3, 17_691), (50_000, WORK_QUEUE_MAX));
        assert_eq!(room(20_000, 50_000, 1, 20_000), (20_000, WORK_QUEUE_MAX));
        assert_eq!(room(256, 400, 2, 256), (400, 64));
        assert_eq!(room(1, 400, 2, 1), (2, 1));
        assert_eq!(room(usize::MAX, 50_000, 1, 0), (50_000, WORK_QUEUE_MAX));
    }
}
