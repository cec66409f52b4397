//! The cluster in simulated worlds: it holds, and each mistake that is planted is found. Thousands of
//! seeds are for .ci/run.

use std::process::{Command, Output};

use crate::binary;

/// Those that the example can make.
const BUGS: [&str; 5] =
    ["no-sync", "sync-error-ignored", "before-quorum", "wrong-request", "wall-clock"];

fn simulate(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(binary()).arg("simulate").args(arguments).output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output, text)
}

#[track_caller]
fn expect_success(arguments: &[&str], begin: &str) {
    let (output, text) = simulate(arguments);
    assert!(output.status.success() && text.contains(begin), "{text}");
}

#[test]
fn nothing_acknowledged_is_lost_and_the_cluster_comes_back() {
    expect_success(&["--seeds", "200"], "200 seeds, ");
}

#[test]
fn one_seed_is_one_world() {
    expect_success(&["--seeds", "30", "--replays"], "30 seeds, ");
}

#[test]
fn p50_p69_each_planted_mistake_is_found_within_a_thousand_seeds() {
    for bug in BUGS {
        let (output, text) = simulate(&["--bug", bug, "--seeds", "1000"]);
        assert!(!output.status.success(), "{bug} is not found: {text}");
        let found = text.lines().find_map(|line| line.strip_prefix("seed "));
        let seed = found.and_then(|line| line.split(' ').next()).expect(&text);
        println!("{bug}: seed {}", found.unwrap());
        // It is the mistake that fails there.
        expect_success(&["--seed", seed], "1 seeds, ");
    }
}

#[test]
fn an_hour_without_trouble_is_simulated() {
    let output = Command::new(binary()).arg("calm").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1.0 simulated hours"), "{text}");
}
