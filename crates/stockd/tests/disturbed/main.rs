//! `stockd load` on a machine that is busy with something else. A suite of its own, so that the neighbours are there for
//! no longer than it takes: what runs beside it has to wait.

mod neighbour;
#[path = "../redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the tests of Redis clients")]
mod packages;
#[path = "../load/running.rs"]
#[allow(dead_code, reason = "shared with the tests of the load generator")]
mod running;
#[path = "../quotes/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod server;

use neighbour::BusyNeighbours;
use running::Running;
use serde_json::Value;

/// The story of a busy neighbour: processes that do nothing but take all cores from a server and a load
/// generator on them. Nothing is said of the server then, though it answers less than it was offered.
#[test]
fn runs_beside_a_busy_neighbour_are_marked_and_repeated_and_verdicts_withheld() {
    if !packages::have("taskset", "util-linux") {
        return;
    }
    let server = Running::stockd();
    assert_eq!(server.load(&["--stocks", "100", "--fill", "--requests", "1"]).0, Some(0));
    let _neighbours = BusyNeighbours::start();
    // Far more than can be answered, so that an undisturbed run would be an overload.
    let args = ["--duration", "1s", "--rate", "5000000", "--repeats", "1", "--assert", "p50<1ns"];
    let (code, out, err) = server.load(&args);
    assert_eq!(code, Some(1), "{err}");
    let all = err.replace("\n  ", " ");
    assert!(all.contains("run 1 was disturbed by other processes; it is repeated"), "{err}");
    assert!(
        all.contains("disturbed: in each of the 2 runs, at worst a thread waited for a core for "),
        "{err}"
    );
    assert!(all.contains("other processes used "), "{err}");
    assert!(all.contains("no verdict on the server is given"), "{err}");
    assert!(
        all.contains("in runs that others disturbed: it may not be the server's fault"),
        "{err}"
    );
    for verdict in ["overload", "bottleneck", "offered"] {
        assert!(!err.contains(verdict), "{verdict}: {err}");
    }
    assert!(out.contains("disturbed") && out.contains("2 of 2"), "{out}");

    // A moment of `cargo xtask compare --quick`, which marks a round and withholds its verdict by this word.
    let pid = server.child.id().to_string();
    let args = ["--duration", "200ms", "--repeats", "0", "--pid", &pid, "--json", "-"];
    let (code, out, err) = server.load(&args);
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["points"][0]["repetitions"][0]["disturbed"], true, "{report}");
}
