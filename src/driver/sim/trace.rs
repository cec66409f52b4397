//! What happened in a world, line by line. Two runs of one seed have the same lines, on every
//! platform: there are no addresses in it, no numbers of descriptors, no codes of a system's.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::faults::FaultKind;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Started,
    Stopped,
    Fault(FaultKind),
    Listening(SocketAddr),
    Connecting(SocketAddr),
    Connected(SocketAddr),
    Refused(SocketAddr),
    Accepted(SocketAddr),
    Sent(SocketAddr, usize),
    Received(SocketAddr, usize),
    Ended(SocketAddr),
    Reset(SocketAddr),
    Closed(SocketAddr),
    TimedOut(SocketAddr),
    Datagram(SocketAddr, usize),
    DatagramFrom(SocketAddr, usize),
    DatagramDropped(SocketAddr, usize),
    /// A call on the disk is over; whether it succeeded.
    Disk(&'static str, bool),
    /// A wall clock jumps by so many nanoseconds.
    ClockSet(i64),
    /// A clock runs so many millionths fast.
    Drifts(i32),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Started => write!(f, "starts"),
            What::Stopped => write!(f, "stops"),
            What::Fault(kind) => write!(f, "fault: {kind}"),
            What::Listening(at) => write!(f, "listens at {at}"),
            What::Connecting(to) => write!(f, "connects to {to}"),
            What::Connected(to) => write!(f, "is connected to {to}"),
            What::Refused(to) => write!(f, "is refused by {to}"),
            What::Accepted(from) => write!(f, "accepts {from}"),
            What::Sent(to, len) => write!(f, "sends {len} to {to}"),
            What::Received(from, len) => write!(f, "receives {len} from {from}"),
            What::Ended(from) => write!(f, "hears the end of {from}"),
            What::Reset(from) => write!(f, "is reset by {from}"),
            What::Closed(to) => write!(f, "closes {to}"),
            What::TimedOut(to) => write!(f, "gives up {to}"),
            What::Datagram(to, len) => write!(f, "sends a datagram of {len} to {to}"),
            What::DatagramFrom(from, len) => write!(f, "gets a datagram of {len} from {from}"),
            What::Disk(call, true) => write!(f, "disk: {call}"),
            What::Disk(call, false) => write!(f, "disk: {call}, and fails"),
            What::ClockSet(by_ns) => {
                let sign = if *by_ns < 0 { '-' } else { '+' };
                let (seconds, rest) = parts(by_ns.unsigned_abs());
                write!(f, "has its wall clock set by {sign}{seconds}.{rest:09} s")
            }
            What::Drifts(millionths) => write!(f, "has its clock drift by {millionths:+} ppm"),
            What::DatagramDropped(from, len) => {
                write!(f, "has no room for a datagram of {len} from {from}")
            }
        }
    }
}

/// The lines, where they are kept, and how many there were.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) kept: bool,
    lines: Vec<(u64, u32, What)>,
    pub(super) count: u64,
}

impl Trace {
    pub(super) fn add(&mut self, at_ns: u64, machine: u32, what: What) {
        self.count += 1;
        if self.kept {
            self.lines.push((at_ns, machine, what));
        }
    }

    pub(super) fn text(&self, name: impl Fn(u32) -> String) -> String {
        let mut text = String::new();
        for &(at_ns, machine, what) in &self.lines {
            let (seconds, rest) = parts(at_ns);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{seconds}.{rest:09} {} {what}", name(machine));
        }
        text
    }
}

/// Whole seconds, and nanoseconds on top of them.
fn parts(ns: u64) -> (u64, u64) {
    (ns / 1_000_000_000, ns % 1_000_000_000)
}
