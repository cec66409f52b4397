//! The table: every operation in every situation. What a pair does is said by the operation's
//! family, in a `match` without a default: the compiler lists the pairs that are missing.

use tigereye::DriverKind;

use crate::bench::Bench;
use crate::{connect, halves, listen, own, post, ready, receive, receive_from, send, send_to};
#[cfg(unix)]
use crate::{data_file, files, signal, unix, unix_datagram};

/// An enumeration with a list of what is in it, and its names.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub(crate) const ALL: &[$name] = &[$($name::$variant,)*];
        }
    };
}

listed! {
    /// The library's operations; a flow that is paused and taken up again counts for itself.
    Operation {
        Accept,
        AcceptEach,
        AcceptPaused,
        Connect,
        ConnectFrom,
        ConnectHost,
        Recv,
        RecvExact,
        RecvVectored,
        RecvEach,
        RecvPaused,
        Read,
        ReadExact,
        Send,
        SendAll,
        SendDetached,
        SendVectored,
        SendAllVectored,
        SendZeroCopy,
        Write,
        WriteAll,
        SendFile,
        SendFileAll,
        Splice,
        SpliceAll,
        RecvFrom,
        RecvFromEach,
        RecvFromPaused,
        RecvFromUnix,
        RecvFromUnixEach,
        SendTo,
        SendSegments,
        ShutdownRead,
        ShutdownWrite,
        ShutdownBoth,
        Close,
        Readable,
        Writable,
        Open,
        OpenBeneath,
        OpenDirectory,
        ReadAt,
        ReadExactAt,
        ReadVectoredAt,
        ReadAtRegistered,
        WriteAt,
        WriteAllAt,
        WriteVectoredAt,
        WriteAllVectoredAt,
        Append,
        WriteAllAtRegistered,
        SetLen,
        Allocate,
        Sync,
        SyncData,
        SyncRange,
        Metadata,
        MetadataAt,
        Rename,
        HardLink,
        Symlink,
        RemoveFile,
        RemoveDirectory,
        CreateDirectory,
        Timeout,
        TickEach,
        TickPaused,
        Next,
        Event,
        Offload,
        AcceptUnix,
        AcceptUnixEach,
        ConnectUnix,
        RecvUnix,
        RecvDescriptors,
        SendUnix,
        SendDescriptors,
        SendToUnix,
        SendToPeer,
        SignalEach,
        SignalPaused,
        Post,
        OpenDataFile,
    }
}

listed! {
    /// What an operation meets.
    Situation {
        /// What it waits for is there.
        Ordinary,
        /// It waits, and then what it waits for comes.
        Waited,
        /// Nothing to send, or nothing wanted.
        EmptyBuffer,
        /// A buffer without room to receive into.
        NoRoom,
        /// More than one buffer, or one call, can take.
        MoreThanFits,
        /// The peer has closed.
        EndOfStream,
        /// Data, and then the end.
        DataThenEnd,
        /// Data, and then a reset.
        DataThenReset,
        /// The peer has reset the connection, and what is done after that.
        ResetBefore,
        /// The peer resets it while the operation waits.
        ResetWhile,
        /// The peer sends no more, and still receives.
        PeerHalfClosed,
        /// The half that the operation uses was shut down at this end.
        OwnHalfShut,
        /// It is shut down while the operation waits.
        OwnHalfShutWhile,
        /// A byte of urgent data among the others.
        UrgentData,
        CancelledAtOnce,
        CancelledWaiting,
        /// Cancelled when it could be done at once, before its callback.
        CancelledWhenDone,
        /// It waited; the system has what it waits for, and the loop has not looked yet.
        CancelledWhenReady,
        CancelAll,
        DeadlinePasses,
        DeadlineNotReached,
        ClosedBefore,
        ClosedWhile,
        /// Closed when the system has taken what was sent, and the peer has not read it.
        ClosedUnread,
        /// Cancelled then.
        CancelledUnread,
        /// The handle of another loop.
        Foreign,
        /// The descriptor is of a kind that does not have the operation.
        OtherKind,
        /// Two of one direction, one behind the other.
        TwoInOrder,
        AtCapacity,
        /// A flow's callback wants no more.
        Stopped,
        /// The loop is dropped while the operation waits.
        LoopDropped,
        /// The loop is dropped when the operation is done and not called back.
        LoopDroppedWhenDone,
        /// Nobody listens at the address.
        Refused,
        /// An address that cannot be reached, or is none.
        BadAddress,
        /// There was a listener, and it is gone.
        NoListener,
        /// The peer takes nothing in.
        NobodyReads,
        /// The file ends within what is to be read, or before what is to be written.
        EndOfFile,
        /// An offset or a length that no file has.
        BeyondAnyFile,
        /// A directory where a file was meant, or the other way round.
        WrongKind,
        /// Nothing is where the path leads.
        Missing,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Listen,
    Connect,
    Receive,
    Send,
    ReceiveFrom,
    SendTo,
    Halves,
    Ready,
    Files,
    Own,
    Unix,
    UnixDatagram,
    Signal,
    Post,
    DataFile,
}

/// Why a situation of files has no sense for what is none.
pub(crate) const NO_FILE: &str = "it has to do with no file";

pub(crate) type Run = fn(Bench, Operation);

/// An entry of the table.
pub(crate) enum Cell {
    /// It runs, and this is its outcome on every driver.
    Is(Run, String),
    /// It runs; any of these is right, on every driver, for this reason.
    OneOf(Run, Vec<String>, &'static str),
    /// It runs; drivers differ in this, which is in the nature of the systems: the reason.
    Differs { run: Run, uring: String, readiness: String, reason: &'static str },
    /// The pair has no sense, for this reason.
    No(&'static str),
}

impl Cell {
    pub(crate) fn run(&self) -> Option<Run> {
        match self {
            Cell::Is(run, _) | Cell::OneOf(run, ..) | Cell::Differs { run, .. } => Some(*run),
            Cell::No(_) => None,
        }
    }

    pub(crate) fn expected(&self, kind: DriverKind) -> Vec<&str> {
        match self {
            Cell::Is(_, outcome) => vec![outcome],
            Cell::OneOf(_, outcomes, _) => outcomes.iter().map(String::as_str).collect(),
            Cell::Differs { uring, .. } if kind == DriverKind::Uring => vec![uring],
            Cell::Differs { readiness, .. } => vec![readiness],
            Cell::No(_) => Vec::new(),
        }
    }

    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Cell::Is(..) => None,
            Cell::OneOf(_, _, reason) | Cell::Differs { reason, .. } | Cell::No(reason) => {
                Some(reason)
            }
        }
    }
}

/// An entry whose outcome is the same on every driver.
pub(crate) fn is(run: Run, outcome: impl Into<String>) -> Cell {
    Cell::Is(run, outcome.into())
}

/// An entry of either outcome.
pub(crate) fn either(run: Run, outcomes: [String; 2], reason: &'static str) -> Cell {
    Cell::OneOf(run, outcomes.into(), reason)
}

/// The cell of a pair, as the system has it.
pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    #[cfg(windows)]
    return crate::windows::adapt(operation, situation, cell_of_family);
    #[cfg(unix)]
    cell_of_family(operation, situation)
}

fn cell_of_family(operation: Operation, situation: Situation) -> Cell {
    match operation.family() {
        Family::Listen => listen::cell(operation, situation),
        Family::Connect => connect::cell(operation, situation),
        Family::Receive => receive::cell(operation, situation),
        Family::Send => send::cell(operation, situation),
        Family::ReceiveFrom => receive_from::cell(operation, situation),
        Family::SendTo => send_to::cell(operation, situation),
        Family::Halves => halves::cell(operation, situation),
        Family::Ready => ready::cell(operation, situation),
        #[cfg(unix)]
        Family::Files => files::cell(operation, situation),
        Family::Own => own::cell(operation, situation),
        #[cfg(unix)]
        Family::Unix => unix::cell(operation, situation),
        #[cfg(unix)]
        Family::UnixDatagram => unix_datagram::cell(operation, situation),
        #[cfg(unix)]
        Family::Signal => signal::cell(operation, situation),
        Family::Post => post::cell(situation),
        #[cfg(unix)]
        Family::DataFile => data_file::cell(situation),
        #[cfg(windows)]
        Family::Files | Family::Unix | Family::UnixDatagram | Family::Signal | Family::DataFile => {
            unreachable!("windows.rs says why they have no cells")
        }
    }
}

impl Operation {
    pub(crate) fn family(self) -> Family {
        use Operation::*;
        match self {
            Accept | AcceptEach | AcceptPaused => Family::Listen,
            Connect | ConnectFrom | ConnectHost => Family::Connect,
            Recv | RecvExact | RecvVectored | RecvEach | RecvPaused | Read | ReadExact => {
                Family::Receive
            }
            Send | SendAll | SendDetached | SendVectored | SendAllVectored | SendZeroCopy
            | Write | WriteAll | SendFile | SendFileAll | Splice | SpliceAll => Family::Send,
            RecvFrom | RecvFromEach | RecvFromPaused | RecvFromUnix | RecvFromUnixEach => {
                Family::ReceiveFrom
            }
            SendTo | SendSegments => Family::SendTo,
            ShutdownRead | ShutdownWrite | ShutdownBoth | Close => Family::Halves,
            Readable | Writable => Family::Ready,
            Open | OpenBeneath | OpenDirectory | ReadAt | ReadExactAt | ReadVectoredAt
            | ReadAtRegistered | WriteAt | WriteAllAt | WriteVectoredAt | WriteAllVectoredAt
            | Append | WriteAllAtRegistered | SetLen | Allocate | Sync | SyncData | SyncRange
            | Metadata | MetadataAt | Rename | HardLink | Symlink | RemoveFile
            | RemoveDirectory | CreateDirectory => Family::Files,
            Timeout | TickEach | TickPaused | Next | Event | Offload => Family::Own,
            AcceptUnix | AcceptUnixEach | ConnectUnix | RecvUnix | RecvDescriptors | SendUnix
            | SendDescriptors => Family::Unix,
            SendToUnix | SendToPeer => Family::UnixDatagram,
            SignalEach | SignalPaused => Family::Signal,
            Post => Family::Post,
            OpenDataFile => Family::DataFile,
        }
    }

    /// What is said of it among the operations of its family, in their order.
    #[track_caller]
    pub(crate) fn of<const N: usize>(self, columns: [&str; N]) -> String {
        let family = || Operation::ALL.iter().filter(|other| other.family() == self.family());
        assert_eq!(family().count(), N, "a column for each of the family");
        let at = family().position(|&other| other == self);
        at.map_or_else(String::new, |at| columns[at].into())
    }

    /// Whether it sends from a descriptor, and not from a buffer: by a call on the pool.
    pub(crate) fn moves(self) -> bool {
        use Operation::*;
        matches!(self, SendFile | SendFileAll | Splice | SpliceAll)
    }

    pub(crate) fn accepts(self) -> bool {
        use Operation::*;
        self.family() == Family::Listen || matches!(self, AcceptUnix | AcceptUnixEach)
    }

    /// Whether it waits for something that comes in.
    pub(crate) fn receives(self) -> bool {
        use Operation::*;
        self.accepts()
            || matches!(self.family(), Family::Receive | Family::ReceiveFrom)
            || matches!(self, Readable | RecvUnix | RecvDescriptors)
    }

    pub(crate) fn is_flow(self) -> bool {
        use Operation::*;
        matches!(
            self,
            AcceptEach
                | AcceptUnixEach
                | AcceptPaused
                | RecvEach
                | RecvPaused
                | RecvFromEach
                | RecvFromPaused
                | RecvFromUnixEach
                | TickEach
                | TickPaused
                | SignalEach
                | SignalPaused
        )
    }

    /// Whether it receives datagrams of Unix sockets.
    pub(crate) fn is_of_unix_datagrams(self) -> bool {
        matches!(self, Operation::RecvFromUnix | Operation::RecvFromUnixEach)
    }

    /// Whether its flow is paused when it waits.
    pub(crate) fn is_paused(self) -> bool {
        use Operation::*;
        matches!(self, AcceptPaused | RecvPaused | RecvFromPaused | TickPaused | SignalPaused)
    }

    /// What it says when all went well.
    pub(crate) fn done(self) -> &'static str {
        use Operation::*;
        match self {
            Accept | AcceptUnix => "connection",
            AcceptEach | AcceptUnixEach | AcceptPaused => "connection; end ok",
            Connect | ConnectFrom | ConnectHost | ConnectUnix => "connected",
            Recv | Read | Send | SendZeroCopy | Write | ReadAt | WriteAt | Append | RecvUnix
            | SendUnix | RecvFrom | SendTo | SendSegments | RecvFromUnix | SendToUnix
            | SendToPeer | ReadAtRegistered => "5 [hello]",
            SendFile | SendFileAll | Splice | SpliceAll => "5",
            RecvDescriptors | SendDescriptors => "5 [hello] 1",
            RecvExact | ReadExact | SendAll | WriteAll | ReadExactAt | WriteAllAt
            | WriteAllAtRegistered => "ok [hello]",
            RecvVectored | SendVectored | ReadVectoredAt | WriteVectoredAt => "5 [hel][lo]",
            SendAllVectored | WriteAllVectoredAt => "ok [hel][lo]",
            Open | OpenBeneath => "a file",
            OpenDirectory => "a directory",
            Metadata | MetadataAt => "a file of 5",
            RecvEach | RecvPaused | RecvFromEach | RecvFromPaused | RecvFromUnixEach => {
                "[hello]; end ok"
            }
            SendDetached => "open",
            TickEach | TickPaused => "tick; end ok",
            SignalEach | SignalPaused => "SIGUSR1; end ok",
            Next => "called",
            Offload => "7",
            OpenDataFile => "a new file of 4096",
            ShutdownRead | ShutdownWrite | ShutdownBoth | Close | Readable | Writable | SetLen
            | Allocate | Sync | SyncData | SyncRange | Rename | HardLink | Symlink | RemoveFile
            | RemoveDirectory | CreateDirectory | Timeout | Event | Post => "ok",
        }
    }

    /// What it says when it ends with this error, and did nothing.
    pub(crate) fn fails(self, error: &str) -> String {
        use Operation::*;
        match self {
            Recv | RecvExact | Read | ReadExact | ReadAt | ReadAtRegistered | ReadExactAt
            | RecvUnix | RecvFrom | RecvFromUnix => {
                format!("{error} []")
            }
            RecvDescriptors => format!("{error} [] 0"),
            SendDescriptors => format!("{error} [hello] 1"),
            RecvVectored | ReadVectoredAt => format!("{error} [][]"),
            Send | SendAll | SendZeroCopy | Write | WriteAll | WriteAt | WriteAllAt | Append
            | WriteAllAtRegistered | SendUnix | SendTo | SendSegments | SendToUnix | SendToPeer => {
                format!("{error} [hello]")
            }
            SendVectored | SendAllVectored | WriteVectoredAt | WriteAllVectoredAt => {
                format!("{error} [hel][lo]")
            }
            SendDetached => "shut".into(),
            AcceptEach | AcceptUnixEach | AcceptPaused | RecvEach | RecvPaused | RecvFromEach
            | RecvFromPaused | RecvFromUnixEach | TickEach | TickPaused | SignalEach
            | SignalPaused => {
                format!("end {error}")
            }
            Accept | AcceptUnix | ConnectUnix | Connect | ConnectFrom | ConnectHost | SendFile
            | SendFileAll | Splice | SpliceAll | OpenDataFile | ShutdownRead | ShutdownWrite
            | ShutdownBoth | Close | Readable | Writable | Open | OpenBeneath | OpenDirectory
            | SetLen | Allocate | Sync | SyncData | SyncRange | Metadata | MetadataAt | Rename
            | HardLink | Symlink | RemoveFile | RemoveDirectory | CreateDirectory | Timeout
            | Next | Event | Offload | Post => error.into(),
        }
    }
}
