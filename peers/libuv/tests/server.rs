//! libuv's server answers rightly and refuses what it does not understand; without libuv it says
//! what it wants.

use tigereye_peers::trial::refuses;
#[cfg(libuv)]
use tigereye_peers::trial::{library_answers, library_refuses};

const PEER_LIBUV: &str = env!("CARGO_BIN_EXE_peer_libuv");

#[cfg(libuv)]
#[test]
fn answers_and_waits() {
    library_answers(PEER_LIBUV);
}

#[cfg(libuv)]
#[test]
fn wrong_arguments_are_refused() {
    library_refuses(PEER_LIBUV);
    refuses(PEER_LIBUV, &["--print", "money"], "--print money: version");
}

#[cfg(not(libuv))]
#[test]
fn says_what_it_wants() {
    println!("SKIPPED: libuv's server, for want of libuv1-dev");
    refuses(PEER_LIBUV, &[], "libuv1-dev");
}
