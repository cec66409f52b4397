//! Latency at a rate below saturation, the same for all: times at which messages are sent are fixed
//! beforehand, and latency counts from there, so that a server which stalls cannot hold up the load
//! that would show it ("coordinated omission").
//!
//! What else runs on a machine now and then keeps a server from its core for some milliseconds, and one
//! such time decides the slowest hundredth of half a second. So rounds are short, that most are without,
//! and many; the figures are medians of the rounds' own, and say by how much those differ.

use super::cell::{Cell, Effort, Measured};
use super::contest::Yardstick;
use super::program::Program;
use std::io;

/// Connections that the messages are spread over.
const CONNECTIONS: u32 = 64;
const SIZE: u32 = 64;
/// Seconds of a measurement, at least: the slowest thousandth is to be some messages.
const SECONDS: f64 = 0.2;
/// Rounds for each of another part.
pub const ROUNDS: u32 = 4;

/// What is measured: the rate is `share` of that of the slowest server, which is tried first.
pub fn cell(
    servers: &[Program],
    yardsticks: &[Yardstick],
    share: f64,
    effort: Effort,
) -> io::Result<Cell> {
    let (mode, page) = ("echo".to_owned(), None);
    let (connections, size) = (CONNECTIONS, SIZE);
    let mut cell = Cell { mode, size, page, connections, pipeline: 1, rate: None };
    let rates = cell.measure(servers, yardsticks, Effort { rounds: 1, ..effort })?;
    let slowest = rates.iter().map(|row| row.rate.median).fold(f64::INFINITY, f64::min);
    cell.rate = Some(round_down(slowest * share));
    Ok(cell)
}

/// To two digits, for a name that can be read.
fn round_down(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.max(10.0).log10().floor() - 1.0);
    (rate / unit).floor() * unit
}

/// Measures it.
pub fn measure(
    cell: &Cell,
    servers: &[Program],
    yardsticks: &[Yardstick],
    effort: Effort,
) -> io::Result<Vec<Measured>> {
    let (rounds, seconds) = (effort.rounds * ROUNDS, effort.seconds.max(SECONDS));
    cell.measure(servers, yardsticks, Effort { rounds, seconds, ..effort })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits() {
        assert_eq!(round_down(123_456.0), 120_000.0);
        assert_eq!(round_down(98_765.0), 98_000.0);
        assert_eq!(round_down(17.9), 17.0);
    }
}
