//! Waiting for what the metrics of a server are to become.

use std::time::{Duration, Instant};

use stockd_server::{Metrics, Server};

/// Far more than anything here takes. A test that reaches it hangs and fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until the server's numbers are as they should become.
pub(crate) fn wait_until(server: &Server, reached: impl Fn(&Metrics) -> bool) -> Metrics {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = server.metrics();
        if reached(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "never reached: {metrics:?}");
        std::thread::yield_now();
    }
}
