//! What goes wrong, by chance or by script: each kind of fault has a name, a probability and a count.

use std::fmt;

use super::random::Random;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of fault. Those of the first sort happen by chance, with the probability that
        /// [`Faults::with`] gives them; those that are done to a host or to a link happen when the
        /// world is told to, and are counted like the others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$kind),*];

            fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A receive gives fewer bytes than there are.
    ShortReceive = "short receive",
    /// A send takes fewer bytes than there is room for.
    ShortSend = "short send",
    /// A call is interrupted by a signal (`EINTR`).
    Interrupted = "interrupted call",
    /// A handle is said to be ready, and is not.
    FalseWake = "false wake-up",
    /// A cancel takes effect late: what has come already, or comes before, is done and delivered as
    /// done. With a probability of 1 cancels lose every race.
    LateCancel = "late cancel",
    /// A connection is reset, at any byte of what is on its way.
    ConnectionReset = "connection reset",
    /// A part of a stream is lost on its way, and comes when it is sent once more.
    SegmentLost = "segment lost",
    /// A part of a stream is late, and what is behind it too.
    SegmentLate = "segment late",
    /// The first message of a connection is lost on its way, and sent once more.
    HandshakeLost = "handshake lost",
    /// A connection is refused, although somebody listens.
    ConnectionRefused = "connection refused",
    /// No descriptor is left for a connection that is to be made (`EMFILE`).
    NoSocket = "no socket",
    /// A connection fails before it is accepted (`ECONNABORTED`).
    AcceptAborted = "accept aborted",
    /// No descriptor is left for a connection that is to be accepted (`EMFILE`).
    NoDescriptor = "no descriptor",
    /// A datagram is lost on its way.
    DatagramLost = "datagram lost",
    /// A datagram arrives twice.
    DatagramDuplicated = "datagram duplicated",
    /// A datagram is late, so that others overtake it.
    DatagramLate = "datagram late",
    /// The system has no memory for a datagram (`ENOBUFS`).
    NoBuffers = "no buffers",
    /// A turn of a host's loop is late, as on a busy machine.
    SlowTurn = "slow turn",
    /// A call on the pool takes long.
    SlowCall = "slow call",
    /// A host does nothing for a while, while its system goes on.
    HostPaused = "host paused",
    /// A host's program is killed; its system closes what it had open.
    HostKilled = "host killed",
    /// A host loses its power.
    HostCrashed = "host crashed",
    /// Nothing passes between two hosts.
    Partition = "partition",
    /// Nothing passes from one host to another, while what is sent the other way does.
    OneWayPartition = "one-way partition",
    /// A write, or a new length, that was not synced is lost with the power.
    LostWrite = "lost write",
    /// Of a write that was not synced some sectors are lost with the power.
    TornWrite = "torn write",
    /// Of two writes that were not synced the later one is on the disk first when the power is lost.
    ReorderedWrite = "reordered write",
    /// A name that was made, changed or removed in a directory that was not synced is lost with the
    /// power: it is as before.
    LostName = "lost name",
    /// A sector cannot be read (`EIO`), until it is written.
    LatentSectorError = "latent sector error",
    /// A read gives what is elsewhere in the file, and no error.
    MisdirectedRead = "misdirected read",
    /// A write goes elsewhere in the file, with no error.
    MisdirectedWrite = "misdirected write",
    /// A bit of a file turns over.
    BitRot = "bit rot",
    /// A sync fails (`EIO`), and some of what it was to write is not written by any later one.
    FailedSync = "failed sync",
    /// There is no room on the disk (`ENOSPC`).
    FullDisk = "full disk",
    /// A call on the disk takes long: up to a second more.
    SlowDisk = "slow disk",
    /// A call on the disk hangs: for a minute, up to ten hours.
    StuckCall = "stuck call",
    /// A host's wall clock jumps, ahead or back: by a millisecond, up to 35 minutes. By chance it does
    /// so when it is read.
    ClockJump = "clock jump",
    /// A host's clocks run faster or slower than the world's time from now on: by up to 500 millionths.
    ClockDrift = "clock drift",
    /// A call is put off, as where the submission queue is full: the system hears of it later.
    SubmissionPutOff = "submission put off",
    /// A loop hears of nothing for a while, and then of all at once, as where the completion queue was
    /// full.
    CompletionsLate = "completions late",
    /// A flow finds no buffer of its pool, although one may come back at once (`ENOBUFS`).
    NoPoolBuffer = "no buffer of a pool",
    /// There is no memory for a connection that is to be accepted (`ENOMEM`), or for a pool of buffers.
    NoMemory = "no memory",
    /// No thread can be started for a call on the pool (`EAGAIN`).
    NoThread = "no thread",
}

impl FaultKind {
    /// Those of disks.
    pub const OF_DISKS: &'static [FaultKind] = &[
        FaultKind::LostWrite,
        FaultKind::TornWrite,
        FaultKind::ReorderedWrite,
        FaultKind::LostName,
        FaultKind::LatentSectorError,
        FaultKind::MisdirectedRead,
        FaultKind::MisdirectedWrite,
        FaultKind::BitRot,
        FaultKind::FailedSync,
        FaultKind::FullDisk,
        FaultKind::SlowDisk,
        FaultKind::StuckCall,
    ];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often faults happen.
///
/// ```
/// use tigereye::sim::{FaultKind, Faults};
///
/// let faults = Faults::none()
///     .with(FaultKind::ShortReceive, 0.2)
///     .with(FaultKind::ConnectionReset, 0.001);
/// # let _ = faults;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    probabilities: Vec<f64>,
}

impl Faults {
    /// Nothing goes wrong by chance.
    pub fn none() -> Faults {
        Faults { probabilities: vec![0.0; FaultKind::ALL.len()] }
    }

    /// Each kind of fault that happens by chance does so, about once in a hundred times, resets and
    /// lost messages less often, and what is lost with the power three times in ten.
    pub fn some() -> Faults {
        use FaultKind::{
            AcceptAborted, ConnectionRefused, ConnectionReset, HandshakeLost, LostName, LostWrite,
            NoDescriptor, NoSocket, ReorderedWrite, TornWrite,
        };
        let each =
            FaultKind::ALL.iter().fold(Faults::none(), |faults, &kind| faults.with(kind, 0.01));
        let seldom = [
            AcceptAborted,
            ConnectionRefused,
            ConnectionReset,
            HandshakeLost,
            NoDescriptor,
            NoSocket,
        ];
        let each = seldom.iter().fold(each, |faults, &kind| faults.with(kind, 0.002));
        // These happen at a loss of power alone.
        let at_once = [LostName, LostWrite, ReorderedWrite, TornWrite];
        at_once.iter().fold(each, |faults, &kind| faults.with(kind, 0.3))
    }

    /// Has a kind of fault happen with this probability, each time that it could: 0 to 1.
    pub fn with(mut self, kind: FaultKind, probability: f64) -> Faults {
        self.probabilities[kind as usize] = probability;
        self
    }

    pub(super) fn of(&self, kind: FaultKind) -> f64 {
        self.probabilities[kind as usize]
    }
}

/// What went wrong in a run, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultCounts {
    counts: Vec<u64>,
}

impl FaultCounts {
    /// How often a kind of fault happened.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// All kinds with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (FaultKind, u64)> + '_ {
        FaultKind::ALL.iter().map(|&kind| (kind, self.of(kind)))
    }
}

/// The faults of a world: how often they are to happen, and how often they did.
pub(super) struct Plan {
    faults: Faults,
    pub(super) counts: FaultCounts,
    /// A stream of numbers a kind.
    streams: Vec<Random>,
}

impl Plan {
    pub(super) fn new(seed: u64, first_stream: u64) -> Plan {
        let kinds = FaultKind::ALL.len();
        let streams = (0..kinds as u64).map(|kind| Random::new(seed, first_stream + kind));
        Plan {
            faults: Faults::none(),
            counts: FaultCounts { counts: vec![0; kinds] },
            streams: streams.collect(),
        }
    }

    pub(super) fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Whether a fault happens now; it is counted.
    pub(super) fn happens(&mut self, kind: FaultKind) -> bool {
        self.happens_with(kind, self.faults.of(kind))
    }

    /// As [`happens`](Plan::happens), with a probability of its own.
    pub(super) fn happens_with(&mut self, kind: FaultKind, probability: f64) -> bool {
        let happens = self.streams[kind as usize].happens(probability);
        if happens {
            self.count(kind);
        }
        happens
    }

    /// Counts a fault that was made to happen.
    pub(super) fn count(&mut self, kind: FaultKind) {
        self.counts.counts[kind as usize] += 1;
    }

    /// How large a fault of this kind is.
    pub(super) fn size(&mut self, kind: FaultKind, low: u64, high: u64) -> u64 {
        self.streams[kind as usize].between(low, high)
    }

    /// How many of so many bytes a transfer moves: all, or at least one where it falls short.
    pub(super) fn cut(&mut self, kind: FaultKind, len: usize) -> usize {
        if len > 1 && self.happens(kind) {
            return self.size(kind, 1, len as u64 - 1) as usize;
        }
        len
    }
}
