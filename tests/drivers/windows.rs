//! Where Windows has no cell, or another outcome, and why.

use crate::table::{Cell, Family, Operation, Situation};

/// Why a pair has no cell on Windows.
fn is_without(operation: Operation, situation: Situation) -> Option<&'static str> {
    use Operation::*;
    use Situation::*;
    match operation.family() {
        Family::Files | Family::DataFile => return Some("files are compared on Unix alone so far"),
        Family::Unix | Family::UnixDatagram => {
            return Some("Unix sockets are compared on Unix alone");
        }
        Family::Signal => {
            return Some(
                "an event of the console goes to all of its processes: Ctrl-C is tried on a \
                         process by itself",
            );
        }
        _ => {}
    }
    let family = operation.family();
    match (operation, situation) {
        (Read | ReadExact | Write | WriteAll | Splice | SpliceAll, _) => Some(NO_OTHERS),
        (RecvFromUnix | RecvFromUnixEach, _) => Some("Windows has no datagrams of Unix sockets"),
        (SendSegments, _) => {
            Some("it splits from 10 2004 on, with codes of its own: see the suite")
        }
        (_, OtherKind) if family != Family::Listen && family != Family::Ready => Some(NO_OTHERS),
        (Readable | Writable, OtherKind) => Some("Winsock's driver knows sockets alone"),
        (_, OwnHalfShut | OwnHalfShutWhile) if family == Family::Listen => Some(NO_SHUTDOWN),
        (_, NoListener) if family == Family::Connect => Some(NO_SHUTDOWN),
        (_, ResetBefore) if family == Family::Listen => {
            Some("AcceptEx passes over what was reset before, and waits (AcceptEx, WSAECONNRESET)")
        }
        (_, DataThenReset) if family == Family::Receive => {
            Some("whether data outlive a reset that follows them is not documented")
        }
        (Readable, OwnHalfShut) => Some(BY_ANOTHER),
        (RecvFrom | Readable, OwnHalfShutWhile) => Some(BY_ANOTHER),
        (_, OwnHalfShutWhile) if family == Family::Receive => Some(BY_ANOTHER),
        _ => None,
    }
}

const NO_OTHERS: &str = "there are no handles of other kinds than files and sockets";
const NO_SHUTDOWN: &str = "a listener cannot be shut down (shutdown, WSAENOTCONN)";
const BY_ANOTHER: &str = "a shutdown by another handle ends nothing that waits; the library's own does, \
                          which the conformance suite tests";

/// Other outcomes of a cell on Windows, and why.
fn others(operation: Operation, situation: Situation) -> Option<(Vec<String>, &'static str)> {
    let reset = operation.fails("ECONNRESET");
    let again = "Windows says of a connection that was reset just that, again and again";
    let is_silent = operation == Operation::SendDetached || operation.moves();
    match (operation.family(), situation) {
        (Family::Send, Situation::EndOfStream) if !is_silent => {
            Some((vec![format!("{}; {reset}", operation.done())], again))
        }
        (Family::Send, Situation::ResetBefore) if !is_silent => {
            Some((vec![format!("{reset}; {reset}")], again))
        }
        (Family::Listen, Situation::CancelledWhenDone) => Some((
            vec![operation.done().into(), operation.fails("ECANCELED")],
            "whether the system or the cancel is first is for the system to say",
        )),
        _ => None,
    }
}

/// What a pair has on Windows, where other systems have `cell`.
pub(crate) fn adapt(
    operation: Operation,
    situation: Situation,
    cell: fn(Operation, Situation) -> Cell,
) -> Cell {
    if let Some(reason) = is_without(operation, situation) {
        return Cell::No(reason);
    }
    let cell = cell(operation, situation);
    match (others(operation, situation), cell.run()) {
        (Some((outcomes, reason)), Some(run)) => Cell::OneOf(run, outcomes, reason),
        _ => cell,
    }
}
