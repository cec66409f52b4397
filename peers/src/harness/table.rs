//! What the harness prints.

use super::cell::{Cell, Measured};

/// The head of the table of cells.
pub fn head() {
    println!(
        "{:<22} {:<18} {:>11} {:>5} {:>7} {:>6}  {:>9} {:>5} {:>7} {:>6}  {:>8} {:>8}  {:>9}",
        "cell",
        "server",
        "messages/s",
        "±%",
        "ratio",
        "±%",
        "CPU ns/m",
        "±%",
        "ratio",
        "±%",
        "p50 µs",
        "p99 µs",
        "busy s/c"
    );
}

/// The rows of one cell.
pub fn rows(cell: &Cell, measured: &[Measured]) {
    for (at, server) in measured.iter().enumerate() {
        let percent = |spread: super::stats::Spread| spread.relative() * 100.0;
        println!(
            "{:<22} {:<18} {:>11.0} {:>5.1} {:>7.3} {:>6.1}  {:>9.0} {:>5.1} {:>7.3} {:>6.1}  \
             {:>8.1} {:>8.1}  {:>4.2}/{:.2}",
            if at == 0 { cell.name() } else { String::new() },
            server.label,
            server.rate.median,
            percent(server.rate),
            server.rate_ratio.median,
            percent(server.rate_ratio),
            server.cpu_ns.median,
            percent(server.cpu_ns),
            server.cpu_ratio.median,
            percent(server.cpu_ratio),
            server.median("p50_us"),
            server.median("p99_us"),
            server.median("server_busy"),
            server.median("client_busy"),
        );
    }
}
