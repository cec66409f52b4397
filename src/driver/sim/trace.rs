//! What happened in a world, line by line. Two runs of one seed have the same lines, on every
//! platform: there are no addresses in it, no numbers of descriptors, no codes of a system's.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::faults::FaultKind;
use super::plan::Disturbance;
use super::schedule::Part;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Started,
    Stopped,
    Resumed,
    /// What the program says, by number.
    Note(u32),
    Fault(FaultKind),
    /// By chance; which firing of its kind it is.
    Chance(FaultKind, u64),
    /// What a plan says begins, by number.
    Planned(u64, Disturbance),
    /// Nothing passes to another machine, and it does again.
    Cut(u32),
    Healed(u32),
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
}

/// The lines, where they are kept, and how many there were.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) kept: bool,
    pub(super) lines: Vec<(u64, u32, What)>,
    notes: Vec<String>,
    pub(super) count: u64,
    /// The names of machines.
    pub(super) names: Vec<String>,
    /// Is told of each thing that goes wrong, by its name and in words.
    pub(super) tell: Option<fn(Part, &str)>,
}

impl Trace {
    pub(super) fn add(&mut self, at_ns: u64, machine: u32, what: What) {
        self.count += 1;
        if self.kept {
            self.lines.push((at_ns, machine, what));
        }
        let part = match what {
            What::Chance(kind, firing) => Part::Chance(kind, firing),
            What::Planned(number, _) => Part::Plan(number),
            _ => return,
        };
        if let Some(tell) = self.tell {
            tell(part, self.line(at_ns, machine, what).trim_end());
        }
    }

    /// Keeps what a program says, without ends of lines.
    pub(super) fn add_note(&mut self, at_ns: u64, machine: u32, text: &dyn fmt::Display) {
        if self.kept {
            self.notes.push(text.to_string().replace(char::is_control, " "));
        }
        self.add(at_ns, machine, What::Note(self.notes.len().saturating_sub(1) as u32));
    }

    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter();
        lines.map(|&(at_ns, machine, what)| self.line(at_ns, machine, what)).collect()
    }

    fn line(&self, at_ns: u64, machine: u32, what: What) -> String {
        let (seconds, rest) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        format!("{seconds}.{rest:09} {} {}\n", self.name(machine), self.words(what))
    }

    pub(super) fn name(&self, machine: u32) -> &str {
        &self.names[machine as usize]
    }

    pub(super) fn words(&self, what: What) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match what {
            What::Started => write!(text, "starts"),
            What::Stopped => write!(text, "stops"),
            What::Resumed => write!(text, "goes on"),
            What::Note(number) => write!(text, "says: {}", self.notes[number as usize]),
            What::Fault(kind) => write!(text, "fault: {kind}"),
            What::Chance(kind, firing) => write!(text, "fault: {kind} {firing}"),
            What::Planned(number, disturbance) => {
                let Disturbance { kind, lasts, other, .. } = disturbance;
                let other = other.map(|other| format!(" from {}", self.name(other.0)));
                let other = other.unwrap_or_default();
                write!(text, "plan {number}: {kind}{other}, for {lasts:.3?}")
            }
            What::Cut(to) => write!(text, "is cut off from {}", self.name(to)),
            What::Healed(to) => write!(text, "reaches {} again", self.name(to)),
            What::Listening(at) => write!(text, "listens at {at}"),
            What::Connecting(to) => write!(text, "connects to {to}"),
            What::Connected(to) => write!(text, "is connected to {to}"),
            What::Refused(to) => write!(text, "is refused by {to}"),
            What::Accepted(from) => write!(text, "accepts {from}"),
            What::Sent(to, len) => write!(text, "sends {len} to {to}"),
            What::Received(from, len) => write!(text, "receives {len} from {from}"),
            What::Ended(from) => write!(text, "hears the end of {from}"),
            What::Reset(from) => write!(text, "is reset by {from}"),
            What::Closed(to) => write!(text, "closes {to}"),
            What::TimedOut(to) => write!(text, "gives up {to}"),
            What::Datagram(to, len) => write!(text, "sends a datagram of {len} to {to}"),
            What::DatagramFrom(from, len) => {
                write!(text, "gets a datagram of {len} from {from}")
            }
            What::DatagramDropped(from, len) => {
                write!(text, "has no room for a datagram of {len} from {from}")
            }
            What::Disk(call, true) => write!(text, "disk: {call}"),
            What::Disk(call, false) => write!(text, "disk: {call}, and fails"),
        };
        text
    }
}
