//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stockd_model::limits::{CONNECTIONS_MAX, FILES_RESERVED};

/// Raises the process's limit of open files as far as it may: to its hard limit, and beyond that
/// to what [`CONNECTIONS_MAX`] connections need when the process is privileged. Returns the limit
/// that is in force then; `usize::MAX` stands for none.
///
/// Call it once, before [`Server::start`](crate::Server::start): a server keeps its connections
/// below the limit that it finds.
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
pub(crate) fn file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
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
}
