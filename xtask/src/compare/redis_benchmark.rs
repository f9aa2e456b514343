//! redis-benchmark as the load generator, for readers who trust it more than ours.
//!
//! It does not measure the server's CPU time, which is read here, and measures latency less exactly.
//! Its output becomes a report in the form of `stockd load`, with the fields that it can fill.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bench::{Bench, on_core};
use super::scenario::Scenario;

/// The part of the time that a server waited for its core from which on something else ran there: as
/// `stockd load` has it.
const RUN_DELAY_SHARE: f64 = 0.05;

/// Puts a server under the load of the scenario once.
pub(super) fn load(
    bench: &Bench<'_>,
    scenario: &Scenario,
    pid: u32,
    address: &str,
) -> Result<Value> {
    let (_, port) = address.rsplit_once(':').context("redis-benchmark is asked over TCP")?;
    // It ends by number and not by time: about what it can ask in a millisecond.
    let commands_a_ms: u64 = match (scenario.pipeline, scenario.mget) {
        (1, 1) => 80,
        (_, 1) => 1500,
        _ => 60,
    };
    let commands = commands_a_ms * bench.measured.as_millis() as u64;
    let mut command = on_core(1, "redis-benchmark");
    command.args(["--csv", "-p", port, "-c", &scenario.connections.to_string()]);
    command.args(["-P", &scenario.pipeline.to_string(), "-n", &commands.to_string()]);
    command.args(["-r", &scenario.stocks.to_string()]);
    command.arg(if scenario.mget == 1 { "GET" } else { "MGET" });
    command.args(std::iter::repeat_n("S__rand_int__", scenario.mget));
    let (began, (cpu_before, waited_before)) = (Instant::now(), scheduled_ns(pid)?);
    let output = command.output().context("cannot run redis-benchmark")?;
    let (cpu_after, waited_after) = scheduled_ns(pid)?;
    let cpu_ns_per_request = (cpu_after - cpu_before) as f64 / commands as f64;
    let waited = (waited_after - waited_before) as f64 / began.elapsed().as_nanos().max(1) as f64;
    ensure!(output.status.success(), "redis-benchmark: {}", output.status);

    // "test","rps","avg","min","p50","p95","p99","max", latencies in milliseconds.
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().last().context("redis-benchmark printed nothing")?;
    let mut figures = line.trim_matches('"').rsplit("\",\"").map(str::parse::<f64>);
    let mut next = || figures.next().and_then(Result::ok).context("redis-benchmark printed no CSV");
    let [_max, p99, _p95, p50, _min, _mean, requests_a_second] =
        [next()?, next()?, next()?, next()?, next()?, next()?, next()?];
    let lookups = scenario.mget as f64;
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy());
    Ok(json!({
        "command": words.collect::<Vec<_>>(),
        "points": [{ "repetitions": [{
            "requests": commands,
            "requests_a_second": requests_a_second,
            "lookups_a_second": requests_a_second * lookups,
            "latency": { "p50_ns": p50 * 1e6, "p99_ns": p99 * 1e6 },
            "server_cpu_ns_per_request": cpu_ns_per_request,
            "server_cpu_ns_per_lookup": cpu_ns_per_request / lookups,
            "server_run_delay_share": waited,
            // The server has its core to itself.
            "disturbed": waited >= RUN_DELAY_SHARE,
        }]}],
    }))
}

/// CPU time of all threads of a process so far, and how long they waited for a core (Linux: proc(5), `schedstat`).
fn scheduled_ns(pid: u32) -> Result<(u64, u64)> {
    let (mut cpu, mut waited) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next().context("no CPU time")?.context("no CPU time");
        cpu += next()?;
        waited += next()?;
    }
    Ok((cpu, waited))
}
