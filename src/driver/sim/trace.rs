//! What happened in a world, line by line. Two runs of one seed have the same lines, on every
//! platform: there are no addresses in it, no numbers of descriptors, no codes of a system's.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use super::faults::FaultKind;
use super::plan::Disturbance;
use super::schedule::Part;

/// What happened.
#[derive(Debug, Clone, Copy, Hash)]
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
    /// A wall clock jumps by so many nanoseconds.
    ClockSet(i64),
    /// A clock runs so many millionths fast.
    Drifts(i32),
}

/// What goes from one machine to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Ask,
    Agreed,
    Refused,
    Bytes(usize),
    End,
    Reset,
    Datagram(usize),
}

/// A message on its way, or lost there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) sent_ns: u64,
    /// When it arrived, or was found to be lost.
    pub(super) arrived_ns: u64,
    pub(super) sort: Sort,
    pub(super) is_lost: bool,
}

/// The lines, where they are kept, and how many there were.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) kept: bool,
    pub(super) lines: Vec<(u64, u32, What)>,
    pub(super) messages: Vec<Message>,
    notes: Vec<String>,
    digest: Option<DefaultHasher>,
    pub(super) count: u64,
    /// The names of machines, and who has an address that is the only one of its machine.
    pub(super) names: Vec<String>,
    addresses: BTreeMap<IpAddr, u32>,
    /// Is told of each thing that goes wrong, by its name and in words.
    pub(super) tell: Option<fn(Part, &str)>,
}

impl Trace {
    pub(super) fn add(&mut self, at_ns: u64, machine: u32, what: What) {
        self.count += 1;
        if self.kept {
            self.lines.push((at_ns, machine, what));
        }
        if let Some(digest) = &mut self.digest {
            (at_ns, machine, what).hash(digest);
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

    pub(super) fn keep_digest(&mut self) {
        // Its keys are always the same.
        self.digest.get_or_insert_default();
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.as_ref().map_or(0, DefaultHasher::finish)
    }

    pub(super) fn add_message(&mut self, message: Message) {
        if self.kept && message.from != message.to {
            self.messages.push(message);
        }
    }

    pub(super) fn add_machine(&mut self, name: &str, addresses: &[IpAddr]) {
        if let [address] = addresses {
            self.addresses.entry(*address).or_insert(self.names.len() as u32);
        }
        self.names.push(name.into());
    }

    /// An address, by the name of the host that it is the only one of.
    fn peer(&self, address: SocketAddr) -> String {
        match self.addresses.get(&address.ip()) {
            Some(&machine) => format!("{}:{}", self.name(machine), address.port()),
            None => address.to_string(),
        }
    }

    /// Keeps what a program says, without ends of lines.
    pub(super) fn add_note(&mut self, at_ns: u64, machine: u32, text: &dyn fmt::Display) {
        if self.kept || self.digest.is_some() {
            let text = text.to_string().replace(char::is_control, " ");
            if let Some(digest) = &mut self.digest {
                text.hash(digest);
            }
            self.notes.push(text);
        }
        self.add(at_ns, machine, What::Note(self.notes.len().saturating_sub(1) as u32));
    }

    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter();
        lines.map(|&(at_ns, machine, what)| self.line(at_ns, machine, what)).collect()
    }

    fn line(&self, at_ns: u64, machine: u32, what: What) -> String {
        let (seconds, rest) = parts(at_ns);
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
            What::Cut(to) => write!(text, "no longer reaches {}", self.name(to)),
            What::Healed(to) => write!(text, "reaches {} again", self.name(to)),
            What::Listening(at) => write!(text, "listens at {}", self.peer(at)),
            What::Connecting(to) => write!(text, "connects to {}", self.peer(to)),
            What::Connected(to) => write!(text, "is connected to {}", self.peer(to)),
            What::Refused(to) => write!(text, "is refused by {}", self.peer(to)),
            What::Accepted(from) => write!(text, "accepts {}", self.peer(from)),
            What::Sent(to, len) => write!(text, "sends {len} to {}", self.peer(to)),
            What::Received(from, len) => write!(text, "receives {len} from {}", self.peer(from)),
            What::Ended(from) => write!(text, "hears the end of {}", self.peer(from)),
            What::Reset(from) => write!(text, "is reset by {}", self.peer(from)),
            What::Closed(to) => write!(text, "closes {}", self.peer(to)),
            What::TimedOut(to) => write!(text, "gives up {}", self.peer(to)),
            What::Datagram(to, len) => {
                write!(text, "sends a datagram of {len} to {}", self.peer(to))
            }
            What::DatagramFrom(from, len) => {
                write!(text, "gets a datagram of {len} from {}", self.peer(from))
            }
            What::DatagramDropped(from, len) => {
                write!(text, "has no room for a datagram of {len} from {}", self.peer(from))
            }
            What::Disk(call, true) => write!(text, "disk: {call}"),
            What::Disk(call, false) => write!(text, "disk: {call}, and fails"),
            What::ClockSet(by_ns) => {
                let sign = if by_ns < 0 { '-' } else { '+' };
                let (seconds, rest) = parts(by_ns.unsigned_abs());
                write!(text, "has its wall clock set by {sign}{seconds}.{rest:09} s")
            }
            What::Drifts(millionths) => {
                write!(text, "has its clock drift by {millionths:+} ppm")
            }
        };
        text
    }
}

/// Whole seconds, and nanoseconds on top of them.
fn parts(ns: u64) -> (u64, u64) {
    (ns / 1_000_000_000, ns % 1_000_000_000)
}
