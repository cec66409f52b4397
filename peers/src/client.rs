//! The load generator: N connections that keep P messages each under way.
//!
//! Made to cost less than any server, so that the server is what is measured: sends complete while
//! they are submitted; small answers come in by multishot receives and are all checked; large ones
//! are thrown away by the kernel without copying them, but for one receive in [`CHECK_EVERY`],
//! which is copied and compared byte by byte. All answers are counted.
//!
//! Datagrams are messages like any other, one under way on each of N sockets: fewer than a socket
//! keeps, so that none is lost.

use crate::histogram::Histogram;
use crate::load::Script;
use crate::sys::arena::Arena;
use crate::sys::process::{cpu_time_ns, own_cpu_ns};
use crate::sys::ring::{self, Completion, Port, RecvHow, SendKind, SlotRange};
use io_uring::types::Timespec;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The pattern that is sent.
const PATTERN: u32 = 0;
/// Where answers that nobody looks at would go.
const DISCARD: u32 = 1;
/// First of the slots that answers are received into.
const SLOTS: u32 = 2;
/// Small answers that the kernel has room for, at least; more where there are more connections. A
/// multishot receive that finds no room ends: with one in a hundred that found some, the load once
/// spent all of its time on starting them again.
const HELD_MIN: u32 = 128;
/// Most entries of a provided ring (io_uring_register_buf_ring(3)).
const HELD_MAX: u32 = 1 << 15;
const LINE: usize = 64;
/// Entries of the submission queue, at least; the queue of completions has four times as many, and
/// what does not fit there ends a multishot receive.
const ENTRIES_MIN: u32 = 1024;
const ENTRIES_MAX: u32 = 8192;
const CHECK_EVERY: u64 = 64;
/// Above this size of an answer, receives are one-shot and discard.
const SMALL_MAX: usize = 4096;
/// Most messages that a connection may have under way.
pub const PIPELINE_MAX: usize = 64;

const RECV: u64 = 1 << 32;
const RECV_CHECKED: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const SEND_INLINE: u64 = 4 << 32;
const BEGIN: u64 = 5 << 32;
const END: u64 = 6 << 32;
const OVERDUE: u64 = 7 << 32;
/// Seconds after the end in which what is under way must be answered.
const OVERDUE_SECONDS: f64 = 5.0;
/// What others on a core are owed in each second, and some: they get 50 ms of it (`fair_server` in
/// kernel/sched/deadline.c, 6.12+), from whoever goes before them, and late in the second.
pub const REST: Duration = Duration::from_millis(60);

/// What to do.
pub struct Plan {
    /// The server.
    pub addr: SocketAddr,
    /// The server's process, to read its CPU time.
    pub server: Option<u32>,
    /// Connections.
    pub connections: u32,
    /// Messages that each keeps under way.
    pub pipeline: usize,
    /// Seconds before counting begins.
    pub warm_up: f64,
    /// Seconds that are counted.
    pub seconds: f64,
    /// End after so many messages instead.
    pub messages: Option<u64>,
    /// Messages per second, at times that are fixed beforehand, instead of a new one for each answer.
    /// Then [`Outcome::latency`] counts from the time that was intended, so that what waits behind a
    /// slow answer is not left out ("coordinated omission").
    pub rate: Option<f64>,
}

/// What came of it, between the end of the warm-up and the end.
#[derive(Default)]
pub struct Outcome {
    /// Messages answered.
    pub messages: u64,
    /// Wall time.
    pub seconds: f64,
    /// CPU time of the server.
    pub server_cpu_ns: u64,
    /// CPU time of this process.
    pub client_cpu_ns: u64,
    /// Answered bytes that were compared, over the whole run.
    pub checked_bytes: u64,
    /// Time from sending a message to having its whole answer.
    pub latency: Histogram,
    /// With a rate: how much later than intended messages were sent, where the server did not hold
    /// them up.
    pub late: Histogram,
}

struct Connection {
    socket: OwnedFd,
    /// Bytes handed to the socket, ever; the position in the stream of requests.
    sent: u64,
    /// Bytes owed to the server.
    owed: u32,
    /// Bytes of the send under way.
    sending: u32,
    resend: bool,
    dirty: bool,
    receiving: bool,
    received: u64,
    /// When each message under way was sent, by message number.
    stamps: [u64; PIPELINE_MAX],
    begun: u64,
    answered: u64,
}

/// The clocks at one moment.
pub struct Mark {
    time: Instant,
    messages: u64,
    server_cpu_ns: u64,
    client_cpu_ns: u64,
}

impl Mark {
    /// Now, with so many messages answered.
    pub fn now(plan: &Plan, messages: u64) -> io::Result<Self> {
        Ok(Self {
            time: Instant::now(),
            messages,
            server_cpu_ns: plan.server.map_or(Ok(0), cpu_time_ns)?,
            client_cpu_ns: own_cpu_ns()?,
        })
    }

    /// What came to pass from this moment to another.
    pub fn until(&self, end: &Mark, outcome: &mut Outcome) {
        outcome.messages = end.messages - self.messages;
        outcome.seconds = (end.time - self.time).as_secs_f64();
        outcome.server_cpu_ns = end.server_cpu_ns - self.server_cpu_ns;
        outcome.client_cpu_ns = end.client_cpu_ns - self.client_cpu_ns;
    }
}

/// Messages at intended times, one connection after another.
struct Pace {
    interval_ns: f64,
    begun: u64,
    /// What was due when the server last had too much under way: up to there it is the server that is
    /// late, and not the load.
    held_up: u64,
    /// Those that there are in all, once the time is over.
    last: Option<u64>,
}

struct Client<'r> {
    port: Port<'r>,
    script: Script,
    plan: Plan,
    /// Answers come in by multishot receives, into these.
    parts: Option<Parts>,
    connections: Vec<Connection>,
    dirty: Vec<u32>,
    sent: Vec<u32>,
    returned: Vec<u32>,
    receives: u64,
    epoch: Instant,
    now_ns: u64,
    messages: u64,
    /// Messages that may still be begun.
    budget: u64,
    pace: Option<Pace>,
    begin: Option<Mark>,
    outcome: Outcome,
    done: bool,
}

/// Leaves both cores to the others for a moment, before a time that is measured. They are then owed
/// nothing for 0.9 seconds, in which neither the load nor the server is held up for them. The server
/// has nothing to do meanwhile.
pub fn rest(plan: &Plan) {
    if plan.messages.is_none() {
        std::thread::sleep(REST);
    }
}

/// Where the kernel puts small answers: in parts of slots, each with room for all that a connection
/// has under way, close together.
struct Parts {
    count: u32,
    /// Bytes of each.
    len: u32,
    in_slot: u32,
}

impl Parts {
    fn of(connections: u32, burst: usize, slot_size: u32) -> Self {
        let count = connections.clamp(HELD_MIN, HELD_MAX).next_power_of_two();
        let len = burst.next_multiple_of(LINE) as u32;
        Self { count, len, in_slot: slot_size / len }
    }

    fn slots(&self) -> u32 {
        self.count.div_ceil(self.in_slot)
    }

    /// The first `len` bytes of one.
    fn range(&self, number: u32, len: u32) -> SlotRange {
        let slot = SLOTS + number / self.in_slot;
        SlotRange { slot, offset: number % self.in_slot * self.len, len }
    }

    fn provide(&self, port: &mut Port<'_>, number: u32) {
        port.provide_part(self.range(number, self.len), number as u16);
    }
}

/// Drives the load until the plan is fulfilled.
pub fn run(script: Script, plan: Plan) -> io::Result<Outcome> {
    assert!((1..=PIPELINE_MAX).contains(&plan.pipeline), "pipeline of 1 to {PIPELINE_MAX}");
    let multi = script.answer <= SMALL_MAX;
    let pipeline = if plan.rate.is_some() { PIPELINE_MAX } else { plan.pipeline };
    let burst = pipeline * script.request.max(script.answer);
    let slot_size = (script.period + burst).next_multiple_of(4096) as u32;
    let parts = Parts::of(plan.connections, burst, slot_size);
    let slots = SLOTS + if multi { parts.slots() } else { plan.connections };
    let entries = (plan.connections / 4).clamp(ENTRIES_MIN, ENTRIES_MAX).next_power_of_two();
    let mut ring = ring::build(entries)?;
    let mut port = Port::new(&mut ring, Arena::new(slots, slot_size), 0)?;
    script.fill(port.arena_mut().bytes_mut(PATTERN));
    if multi {
        port.register_provided(parts.count as u16)?;
        (0..parts.count).for_each(|number| parts.provide(&mut port, number));
        port.publish();
    }
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        connections.push(Connection {
            socket: script.connect(plan.addr)?,
            sent: 0,
            owed: 0,
            sending: 0,
            resend: false,
            dirty: false,
            receiving: false,
            received: 0,
            stamps: [0; PIPELINE_MAX],
            begun: 0,
            answered: 0,
        });
    }
    rest(&plan);
    let budget = plan.messages.unwrap_or(u64::MAX);
    let pace = |rate| Pace { interval_ns: 1e9 / rate, begun: 0, held_up: 0, last: None };
    let pace = plan.rate.map(pace);
    let client = Client {
        pace,
        port,
        script,
        plan,
        parts: multi.then_some(parts),
        connections,
        dirty: Vec::new(),
        sent: Vec::new(),
        returned: Vec::new(),
        receives: 0,
        epoch: Instant::now(),
        now_ns: 0,
        messages: 0,
        budget,
        begin: None,
        outcome: Outcome::default(),
        done: false,
    };
    client.drive()
}

fn timespec(seconds: f64) -> &'static Timespec {
    let (sec, nsec) = (seconds as u64, (seconds.fract() * 1e9) as u32);
    Box::leak(Box::new(Timespec::new().sec(sec).nsec(nsec)))
}

impl Client<'_> {
    fn drive(mut self) -> io::Result<Outcome> {
        if self.plan.messages.is_none() {
            self.port.timeout(timespec(self.plan.warm_up), BEGIN);
            self.port.timeout(timespec(self.plan.warm_up + self.plan.seconds), END);
        } else {
            self.begin = Some(self.snapshot()?);
        }
        for at in 0..self.plan.connections {
            if self.pace.is_none() {
                self.begin_messages(at, self.plan.pipeline as u64);
            }
            self.mark(at);
        }
        while !self.done {
            self.begin_due();
            self.settle();
            match self.pace {
                // A load that slept would send late.
                Some(_) => self.port.poll()?,
                None => self.port.enter(1)?,
            }
            self.now_ns = self.epoch.elapsed().as_nanos() as u64;
            while let Some(completion) = self.port.next() {
                self.dispatch(completion)?;
            }
        }
        Ok(self.outcome)
    }

    fn dispatch(&mut self, completion: Completion) -> io::Result<()> {
        let at = completion.tag as u32;
        match completion.tag & !0xffff_ffff {
            kind @ (RECV | RECV_CHECKED) => self.received(at, completion, kind == RECV_CHECKED),
            kind @ (SEND | SEND_INLINE) => self.send_ended(at, completion.result, kind == SEND),
            BEGIN => {
                self.outcome.latency.clear();
                self.outcome.late.clear();
                self.begin = Some(self.snapshot()?);
                Ok(())
            }
            END if self.pace.is_some() => self.end_pace(),
            END => self.finish(),
            OVERDUE => Err(io::Error::other("the server does not keep up with the rate")),
            other => unreachable!("a completion marked {other:#x}"),
        }
    }

    fn snapshot(&self) -> io::Result<Mark> {
        Mark::now(&self.plan, self.messages)
    }

    fn finish(&mut self) -> io::Result<()> {
        let end = self.snapshot()?;
        let Some(begin) = &self.begin else { return Err(io::Error::other("no time to measure")) };
        begin.until(&end, &mut self.outcome);
        self.done = true;
        Ok(())
    }

    /// Begins what is due by now. A connection with too many messages under way holds up the rest,
    /// and what comes late for that is late from the time that was intended.
    fn begin_due(&mut self) {
        let Some(pace) = &mut self.pace else { return };
        let due = pace.last.unwrap_or((self.now_ns as f64 / pace.interval_ns) as u64);
        while pace.begun < due {
            let at = (pace.begun % u64::from(self.plan.connections)) as u32;
            let connection = &mut self.connections[at as usize];
            if connection.begun - connection.answered == PIPELINE_MAX as u64 {
                pace.held_up = due;
                return;
            }
            // The first one at the end of the first interval.
            let intended = ((pace.begun + 1) as f64 * pace.interval_ns) as u64;
            if pace.begun >= pace.held_up {
                self.outcome.late.record(self.now_ns.saturating_sub(intended), 1);
            }
            connection.stamps[connection.begun as usize % PIPELINE_MAX] = intended;
            connection.begun += 1;
            connection.owed += self.script.request as u32;
            pace.begun += 1;
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(at);
            }
        }
    }

    /// Nothing more is begun, and every answer is waited for: to leave out the slowest would be to
    /// make the rest look fast.
    fn end_pace(&mut self) -> io::Result<()> {
        if let Some(pace) = &mut self.pace {
            pace.last = Some((self.now_ns as f64 / pace.interval_ns) as u64);
        }
        self.port.timeout(timespec(OVERDUE_SECONDS), OVERDUE);
        self.finish_pace()
    }

    fn finish_pace(&mut self) -> io::Result<()> {
        match self.pace.as_ref().and_then(|pace| pace.last) {
            Some(last) if last == self.messages => self.finish(),
            _ => Ok(()),
        }
    }

    fn begin_messages(&mut self, at: u32, count: u64) {
        let count = count.min(self.budget);
        self.budget -= count;
        let connection = &mut self.connections[at as usize];
        for _ in 0..count {
            connection.stamps[connection.begun as usize % PIPELINE_MAX] = self.now_ns;
            connection.begun += 1;
        }
        connection.owed += count as u32 * self.script.request as u32;
    }

    fn mark(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(at);
        }
    }

    fn settle(&mut self) {
        let mut sent = std::mem::take(&mut self.sent);
        for at in sent.drain(..) {
            if !self.connections[at as usize].resend {
                self.finish_send(at);
            }
        }
        self.sent = sent;
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            self.connections[at as usize].dirty = false;
            self.send(at);
            if !self.connections[at as usize].receiving {
                self.arm(at);
            }
        }
        self.dirty = dirty;
        if let Some(parts) = self.parts.as_ref().filter(|_| !self.returned.is_empty()) {
            self.returned.drain(..).for_each(|number| parts.provide(&mut self.port, number));
            self.port.publish();
        }
    }

    fn arm(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        let socket = connection.socket.as_raw_fd() as u32;
        connection.receiving = true;
        if self.parts.is_some() {
            self.port.recv_multi(socket, RECV | u64::from(at));
            return;
        }
        let under_way = connection.begun * self.script.answer as u64 - connection.received;
        let len = under_way.clamp(1, u64::from(self.port.arena().slot_size())) as u32;
        self.receives += 1;
        let checked = self.receives.is_multiple_of(CHECK_EVERY);
        let how = RecvHow { poll_first: true, discard: !checked };
        let (slot, kind) = if checked { (SLOTS + at, RECV_CHECKED) } else { (DISCARD, RECV) };
        self.port.recv_slot(socket, slot, len, how, kind | u64::from(at));
    }

    fn send(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        if connection.resend {
            connection.resend = false;
            connection.sending = 0;
            self.submit_send(at, SendKind::Complete);
        } else if connection.sending == 0 && connection.owed > 0 {
            self.submit_send(at, SendKind::Inline);
            self.sent.push(at);
        }
    }

    fn submit_send(&mut self, at: u32, kind: SendKind) {
        let connection = &mut self.connections[at as usize];
        connection.sending = connection.owed;
        let offset = (connection.sent % self.script.period as u64) as u32;
        let bytes = SlotRange { slot: PATTERN, offset, len: connection.owed };
        let socket = connection.socket.as_raw_fd() as u32;
        let tag = if kind == SendKind::Inline { SEND_INLINE } else { SEND } | u64::from(at);
        self.port.send_slot(socket, bytes, kind, tag);
    }

    fn finish_send(&mut self, at: u32) {
        let connection = &mut self.connections[at as usize];
        let done = std::mem::take(&mut connection.sending);
        connection.sent += u64::from(done);
        connection.owed -= done;
        if connection.owed > 0 {
            self.mark(at);
        }
    }

    fn send_ended(&mut self, at: u32, result: i32, waited: bool) -> io::Result<()> {
        let connection = &mut self.connections[at as usize];
        if result < 0 && result != -libc::EAGAIN {
            return Err(io::Error::from_raw_os_error(-result));
        }
        let done = result.max(0) as u32;
        if waited {
            connection.sending = done;
            self.finish_send(at);
        } else {
            connection.sent += u64::from(done);
            connection.owed -= done;
            connection.resend = true;
            self.mark(at);
        }
        Ok(())
    }

    fn received(&mut self, at: u32, completion: Completion, checked: bool) -> io::Result<()> {
        let connection = &mut self.connections[at as usize];
        if !completion.more() {
            connection.receiving = false;
            self.mark(at);
        }
        let part = completion.slot();
        let connection = &mut self.connections[at as usize];
        let len = match completion.result {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            result if result == -libc::ENOBUFS => return Ok(()),
            result if result < 0 => return Err(io::Error::from_raw_os_error(-result)),
            result => result as u32,
        };
        let own = || checked.then_some(SlotRange { slot: SLOTS + at, offset: 0, len });
        let of_part = self.parts.as_ref().zip(part).map(|(parts, part)| parts.range(part, len));
        if let Some(SlotRange { slot, offset, len }) = of_part.or_else(own) {
            let region = self.port.arena().bytes(PATTERN, self.port.arena().slot_size());
            let bytes = self.port.arena().bytes_at(slot, offset, len);
            if !self.script.check(region, connection.received, bytes) {
                return Err(io::Error::other("the answer is wrong"));
            }
            self.outcome.checked_bytes += u64::from(len);
            self.returned.extend(part);
        }
        connection.received += u64::from(len);
        let answered = connection.received / self.script.answer as u64;
        let count = answered - connection.answered;
        for message in connection.answered..answered {
            let stamp = connection.stamps[message as usize % PIPELINE_MAX];
            self.outcome.latency.record(self.now_ns - stamp, 1);
        }
        connection.answered = answered;
        self.messages += count;
        if count > 0 && self.pace.is_some() {
            self.finish_pace()?;
        } else if count > 0 {
            self.begin_messages(at, count);
            self.mark(at);
            if Some(self.messages) == self.plan.messages {
                self.finish()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_a_part_of_its_own() {
        for (connections, burst) in
            [(1, 64_usize), (512, 1024), (10_000, 64), (10_000, 4096), (40_000, 64)]
        {
            let slot_size = (16 * 1024 + burst).next_multiple_of(4096) as u32;
            let parts = Parts::of(connections, burst, slot_size);
            assert!(parts.count >= connections.min(HELD_MAX) && parts.count.is_power_of_two());
            let mut next = (SLOTS, 0);
            for number in 0..parts.count {
                let SlotRange { slot, offset, len } = parts.range(number, parts.len);
                assert!((slot, offset) >= next, "part {number} begins in another");
                assert!(len as usize >= burst && offset + len <= slot_size);
                assert!(slot < SLOTS + parts.slots());
                next = (slot, offset + len);
            }
        }
    }
}
