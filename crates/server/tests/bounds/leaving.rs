//! Clients that leave take nothing from those that stay.

use stockd_server::Config;

use crate::stage::{Stage, set};

#[test]
fn many_that_leave_at_once_are_forgotten_while_others_are_served() {
    const LEAVING: usize = 20;
    const PATTERNS: usize = 300;
    let stage = Stage::new(100);
    let mut neighbour = stage.client();
    neighbour.is_served();
    let before = stage.server.metrics().memory;
    let mut leaving: Vec<_> = (0..LEAVING).map(|_| stage.client()).collect();
    for (number, client) in leaving.iter_mut().enumerate() {
        let mut command = "PSUBSCRIBE".to_owned();
        for pattern in 0..PATTERNS {
            command += &format!(" S{number}[0-9]{pattern}*");
        }
        client.send(format!("{command}\n"));
        for _ in 0..PATTERNS * 6 {
            client.line();
        }
    }
    let held = stage.wait_until(|metrics| metrics.subscriptions as usize == LEAVING * PATTERNS);
    assert_eq!(held.subscribers, LEAVING as u64);
    assert!(held.memory > before);
    drop(leaving);
    neighbour.is_served();
    for stock in 0..100 {
        set(&stage.engine, stock, "1");
        neighbour.is_served();
    }
    stage.wait_until(|metrics| metrics.open == 1 && metrics.memory <= before);
    assert_eq!(stage.server.metrics().subscriptions, 0);
}

#[test]
fn idle_clients_are_closed_a_few_in_a_pass() {
    const IDLE: usize = 300;
    let idle_timeout = Some(std::time::Duration::from_millis(50));
    let stage = Stage::with(1, Config { workers: 1, idle_timeout, ..Config::default() });
    let clients: Vec<_> = (0..IDLE).map(|_| stage.client()).collect();
    stage.wait_until(|metrics| metrics.closed_idle as usize == IDLE && metrics.open == 0);
    drop(clients);
}
