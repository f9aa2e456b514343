//! How many files the process may have open, and how many connections that leaves room for: each
//! connection is a file of the process from when it is accepted.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stockd_model::limits::{CONNECTIONS_MAX, FILES_RESERVED};

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

/// The limit of connections that is in force: as configured, or what the limit of open files leaves
/// room for beside those that are reserved. That it was lowered is said in the log.
pub(crate) fn connections_allowed(connections_max: usize, reserved: usize) -> usize {
    let files_max = file_limit();
    let reserved = FILES_RESERVED.saturating_add(reserved);
    let allowed = connections_within(files_max, connections_max, reserved);
    if allowed < connections_max {
        tracing::warn!(
            "the limit of connections is {allowed}, not {connections_max}: the process may have \
             {files_max} files open and keeps {reserved} for HTTP, its data and itself; raise the limit of open files"
        );
    }
    allowed
}

fn connections_within(files_max: usize, connections_max: usize, reserved: usize) -> usize {
    connections_max.min(files_max.saturating_sub(reserved).max(1))
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
    fn each_connection_is_a_file() {
        assert_eq!(connections_within(20_000, 50_000, 64), 19_936);
        assert_eq!(connections_within(20_000, 400, 64), 400);
        assert_eq!(connections_within(1, 400, 64), 1);
        assert_eq!(connections_within(usize::MAX, 50_000, usize::MAX), 1);
    }
}
