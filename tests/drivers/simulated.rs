//! The simulator's column: cells that it has not, and those in which it says something else, each with
//! the reason. The rest is compared like any driver's.

#[cfg(unix)]
use std::process::Command;

#[cfg(unix)]
use crate::peer::is_simulated;
use crate::table::{Family, Operation, Situation};

const UNIX: &str = "its scenes have Unix sockets of a real system, by names in its file system";

/// Why a cell is not run there.
pub(crate) fn without(operation: Operation, situation: Situation) -> Option<&'static str> {
    use Situation::*;
    match operation.family() {
        Family::Unix | Family::UnixDatagram => return Some(UNIX),
        Family::Signal => return Some("signals are those of a real process"),
        Family::DataFile => {
            return Some("its cells have a thread of the pool stuck, and the pool there has none");
        }
        _ if operation.is_of_unix_datagrams() => return Some(UNIX),
        _ if operation.moves() => return Some("its scenes have files and pipes of a real system"),
        _ => {}
    }
    let waits = [Waited, CancelledWaiting, CancelledWhenReady, CancelAll, DeadlinePasses];
    match situation {
        OtherKind if operation.family() != Family::Listen => {
            Some("the other kind is a pipe or a file of a real system")
        }
        MoreThanFits if operation.family() == Family::Send => {
            Some("its peer reads on a thread of its own meanwhile")
        }
        LoopDroppedWhenDone if operation.family() == Family::Send => {
            Some("the loop has run there, to connect: a send then goes before what is queued")
        }
        UrgentData => Some("urgent data is not simulated"),
        _ if operation == Operation::Offload
            && (waits.contains(&situation) || situation == LoopDropped) =>
        {
            Some("a call is made on the loop's own thread there: nobody could let it go")
        }
        _ if operation == Operation::Post && matches!(situation, Waited | AtCapacity) => {
            Some("time does not pass there while another thread takes its own")
        }
        _ => None,
    }
}

/// What is said there in place of what drivers say.
pub(crate) fn instead(
    operation: Operation,
    situation: Situation,
) -> Option<(&'static str, &'static str)> {
    match (operation, situation) {
        (Operation::SendDetached, Situation::ClosedBefore) => {
            Some(("shut", "nobody else has a descriptor that would keep the connection open"))
        }
        (Operation::SendDetached, Situation::AtCapacity) => {
            Some(("shut; other ECANCELED", "it takes a slot, as on io_uring"))
        }
        (Operation::ConnectHost, Situation::BadAddress) => Some((
            "InvalidInput: \"localhost\" is not a name and a port",
            "the error of the system's resolver says less",
        )),
        _ => None,
    }
}

#[cfg(unix)]
#[test]
#[cfg_attr(not(debug_assertions), ignore = "the environment chooses the simulator in debug builds")]
fn the_simulator_says_what_drivers_say() {
    if is_simulated() {
        return;
    }
    let mut all = Command::new(std::env::current_exe().unwrap());
    let run = all.env("TIGEREYE_DRIVER", "sim").output().unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{report}\nwhat it says instead is in simulated.rs");
}
