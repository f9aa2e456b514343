//! Processes that take every core from whatever is measured.

use std::process::{Child, Command, Stdio};

/// Several on each core that the test may use. They end when this is dropped.
pub(crate) struct BusyNeighbours(Vec<Child>);

/// With these, what is measured gets a third of a core at most.
const ON_EACH_CORE: usize = 2;

impl BusyNeighbours {
    pub(crate) fn start() -> BusyNeighbours {
        let cores = rustix::thread::sched_getaffinity(None).unwrap();
        let mut neighbours = BusyNeighbours(Vec::new());
        for core in (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| cores.is_set(core)) {
            for _ in 0..ON_EACH_CORE {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string(), "sh", "-c", "while :; do :; done"]);
                command.stdin(Stdio::null()).stdout(Stdio::null());
                neighbours.0.push(command.spawn().unwrap());
            }
        }
        neighbours
    }
}

impl Drop for BusyNeighbours {
    fn drop(&mut self) {
        for neighbour in &mut self.0 {
            let _ = neighbour.kill();
            let _ = neighbour.wait();
        }
    }
}
