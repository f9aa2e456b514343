//! Nodes over a log that drops, repeats, delays and reorders, whose clocks jump, which crash and start again from what
//! they kept: whatever happens, they hold the same, what was acknowledged is there, and nothing counts twice.
//!
//! What they are told of one stock has to be linearizable, through each node (`stockd_witness`).
//!
//! Hundreds of seeds in CI; `STOCKD_SEEDS=100000 cargo test --release -p stockd-cluster` for more. A failure names its
//! seed; `STOCKD_SEED=7` runs that one alone.

mod history;
mod lone;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use stockd_engine::Trap;

use self::world::{Plan, World};
use crate::traps;

/// Seeds to run: one, or this number of them from 1 on.
fn seeds(usual: u64) -> std::ops::RangeInclusive<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("STOCKD_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("STOCKD_SEEDS").unwrap_or(usual),
    }
}

/// Runs a plan with each seed. The first that fails is named.
fn run(plan: Plan, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let run = || World::new(plan, seed).run();
        if let Err(failure) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("seed {seed} of {plan:?}; alone: STOCKD_SEED={seed}");
            std::panic::resume_unwind(failure);
        }
    }
}

/// Whether one of the first seeds fails.
fn fails(plan: Plan) -> bool {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let failed = (1..=100)
        .any(|seed| catch_unwind(AssertUnwindSafe(|| World::new(plan, seed).run())).is_err());
    std::panic::set_hook(hook);
    failed
}

/// Whether what clients are told has no order with one of the first seeds.
fn has_no_order(plan: Plan) -> bool {
    (1..=100).any(|seed| !World::new(plan, seed).has_an_order().0)
}

#[test]
fn whatever_the_log_does_nodes_hold_the_same_and_what_was_acknowledged() {
    run(Plan::default(), seeds(250));
}

#[test]
fn a_clock_that_jumps_a_day_ends_sessions_and_nothing_counts_twice() {
    run(Plan { clocks_jump: true, ..Plan::default() }, seeds(100));
}

#[test]
fn a_log_that_loses_its_end_is_found_out() {
    run(Plan { loses_tail: true, ..Plan::default() }, seeds(100));
}

#[test]
fn a_node_whose_quotes_were_changed_is_found_out_and_the_others_go_on() {
    run(Plan { tampers: true, ..Plan::default() }, seeds(50));
}

#[test]
fn the_tests_fail_without_the_rule_of_sessions() {
    traps::set_no_session_rule(true);
    let failed = fails(Plan::default());
    traps::set_no_session_rule(false);
    assert!(failed, "batches that came twice were not noticed");
}

#[test]
fn what_clients_are_told_has_no_order_without_the_rule_of_sessions() {
    let plan = Plan::default();
    let mut fenced = 0;
    for seed in 1..=20 {
        let (has_an_order, reads) = World::new(plan, seed).has_an_order();
        assert!(has_an_order, "seed {seed}");
        fenced += reads;
    }
    assert!(fenced > 100, "{fenced} reads behind a fence, of all nodes");
    traps::set_no_session_rule(true);
    let wrong = has_no_order(plan);
    traps::set_no_session_rule(false);
    assert!(wrong, "shares that were sold twice were not noticed");
}

#[test]
fn what_clients_are_told_has_no_order_where_a_node_answers_for_another_one() {
    assert!(has_no_order(Plan { reads_elsewhere: true, ..Plan::default() }));
}

#[test]
fn what_clients_are_told_has_no_order_where_a_fence_does_not_wait() {
    assert!(has_no_order(Plan { fences_do_not_wait: true, ..Plan::default() }));
}

#[test]
fn the_tests_fail_with_the_clock_of_each_machine() {
    assert!(fails(Plan { trap: Some(Trap::OwnClock), ..Plan::default() }));
}

#[test]
fn the_tests_fail_with_versions_from_the_rows_of_each_machine() {
    assert!(fails(Plan { trap: Some(Trap::FloorOfRows), ..Plan::default() }));
}
