//! What the drivers have in common: every operation in every situation, on each of them, with the
//! outcome that it must have.
//!
//! ```text
//!   table.rs: operation × situation ──▶ Cell: how to run it, and its outcome; or why it has none
//!                                         │ on io_uring, on readiness; by itself on the simulator
//!                                         ▼
//!   results in order, error codes, counts, contents of buffers; what did not come back
//! ```
//!
//! A new operation or situation is a line in `table.rs`; the compiler then asks for its cells.
//!
//! On Windows, where there is one driver, its outcomes are those of the others but for what `windows.rs`
//! says, with the reason.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg_attr(windows, allow(dead_code, reason = "some is for files and Unix sockets alone"))]

mod bench;
mod common;
mod connect;
#[cfg(unix)]
mod data_file;
#[allow(dead_code, reason = "the conformance suite needs more of it")]
#[cfg(unix)]
#[path = "../common/disk.rs"]
mod disk;
#[cfg(unix)]
mod files;
mod halves;
mod listen;
mod near;
mod own;
#[path = "../common/patient.rs"]
mod patient;
#[allow(dead_code, unused_imports, reason = "the conformance suite needs more of it")]
#[path = "../common/peer.rs"]
mod peer;
mod post;
mod ready;
mod receive;
mod receive_from;
mod scene;
#[path = "../common/scratch.rs"]
mod scratch;
mod send;
mod send_to;
#[cfg(unix)]
mod signal;
mod simulated;
mod start;
#[cfg_attr(windows, path = "system_windows.rs")]
mod system;
mod table;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_datagram;
#[cfg(windows)]
mod windows;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bench::{Bench, Count, Log};
use scene::any;
use table::{Cell, Family, Operation, Run, Situation, cell};
use tigereye::{DriverKind, Io};

/// The drivers that run here.
fn drivers() -> Vec<DriverKind> {
    if cfg!(windows) {
        return vec![DriverKind::Iocp];
    }
    if peer::is_simulated() {
        // By itself, for its peers are simulated, too.
        return vec![DriverKind::Sim];
    }
    match Io::builder().driver(DriverKind::Uring).build() {
        Ok(_) => vec![DriverKind::Uring, DriverKind::Readiness],
        Err(error) => {
            eprintln!("SKIPPED: no io_uring here, so readiness is compared with nobody: {error}");
            vec![DriverKind::Readiness]
        }
    }
}

/// What became of it, as text.
fn outcome(kind: DriverKind, operation: Operation, run: Run) -> String {
    let (log, count) = (Log::default(), Count::default());
    let bench = Bench::new(kind, &log, &count).unwrap();
    if catch_unwind(AssertUnwindSafe(|| run(bench, operation))).is_err() {
        log.put("panics");
    }
    if count.get() != 0 {
        log.put(format!("contexts and buffers that did not come back: {}", count.get()));
    }
    log.joined()
}

/// Whether whoever runs the tests has named a cell, as `Recv/ResetBefore`, that cannot be served here.
fn is_skipped(operation: Operation, situation: Situation) -> bool {
    let name = format!("{operation:?}/{situation:?}");
    let skipped = std::env::var("TIGEREYE_TEST_SKIPPED_CELLS").unwrap_or_default();
    skipped.split(' ').any(|other| other == name)
}

fn expected(
    cell: &Cell,
    operation: Operation,
    situation: Situation,
    kind: DriverKind,
) -> Vec<&str> {
    match simulated::instead(operation, situation) {
        Some((outcome, _reason)) if kind == DriverKind::Sim => vec![outcome],
        _ => cell.expected(kind),
    }
}

/// Runs every cell of a family on every driver, and lists those that are not as they must be.
#[track_caller]
fn compare(family: Family) {
    let drivers = drivers();
    let mut wrong = Vec::new();
    for &operation in Operation::ALL.iter().filter(|operation| operation.family() == family) {
        for &situation in Situation::ALL {
            let cell = cell(operation, situation);
            let is_without =
                peer::is_simulated() && simulated::without(operation, situation).is_some();
            let run = cell.run().filter(|_| !is_without && !is_skipped(operation, situation));
            let Some(run) = run else { continue };
            let outcomes = drivers.iter().map(|&kind| (kind, outcome(kind, operation, run)));
            let outcomes: Vec<_> = outcomes.collect();
            if outcomes.iter().all(|(kind, is)| {
                expected(&cell, operation, situation, *kind).contains(&is.as_str())
            }) {
                continue;
            }
            let mut lines = format!("{operation:?}, {situation:?}:");
            for (kind, is) in outcomes {
                let expected = expected(&cell, operation, situation, kind).join("\n       or  ");
                lines += &format!("\n  {kind:?}\n    is     {is}\n    not    {expected}");
            }
            wrong.push(lines);
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong\n\n{}\n", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn accepting() {
    compare(Family::Listen);
}

#[test]
fn connecting() {
    compare(Family::Connect);
}

#[test]
fn receiving() {
    compare(Family::Receive);
}

#[test]
fn sending() {
    compare(Family::Send);
}

#[test]
fn receiving_datagrams() {
    compare(Family::ReceiveFrom);
}

#[test]
fn sending_datagrams() {
    compare(Family::SendTo);
}

#[test]
fn shutting_down_and_closing() {
    compare(Family::Halves);
}

#[test]
fn readiness_of_descriptors() {
    compare(Family::Ready);
}

#[test]
fn files_and_paths() {
    compare(Family::Files);
}

#[test]
fn unix_sockets() {
    compare(Family::Unix);
}

#[test]
fn sending_datagrams_by_unix_sockets() {
    compare(Family::UnixDatagram);
}

#[test]
fn what_the_loop_does_itself() {
    compare(Family::Own);
}

#[test]
fn hearing_of_signals() {
    compare(Family::Signal);
}

#[test]
fn posting() {
    compare(Family::Post);
}

#[test]
fn opening_data_files() {
    compare(Family::DataFile);
}

/// A cell that is not compared, or not strictly, says why.
#[test]
fn exceptions_have_reasons() {
    let (mut compared, mut loose, mut without, mut simulated) = (0, 0, 0, 0);
    for &operation in Operation::ALL {
        for &situation in Situation::ALL {
            let cell = cell(operation, situation);
            match &cell {
                Cell::Is(..) => compared += 1,
                Cell::OneOf(..) | Cell::Differs { .. } => loose += 1,
                Cell::No(_) => without += 1,
            }
            let here = simulated::without(operation, situation);
            let instead = simulated::instead(operation, situation).map(|(_, reason)| reason);
            for reason in [cell.reason(), here, instead].into_iter().flatten() {
                assert!(reason.split(' ').count() > 3, "{operation:?}, {situation:?}: {reason:?}");
            }
            simulated += u32::from(
                cell.run().is_some() && simulated::without(operation, situation).is_none(),
            );
        }
    }
    let (operations, situations) = (Operation::ALL.len(), Situation::ALL.len());
    println!(
        "{operations} operations in {situations} situations: {compared} cells with one outcome, \
         {loose} with several, {without} that have no sense; {simulated} on the simulator as well"
    );
}
