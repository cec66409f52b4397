//! libuv's server answers rightly and refuses what it does not understand; without libuv it says
//! what it wants.

use tigereye_peers::trial::refuses;
#[cfg(libuv)]
use tigereye_peers::trial::{answers, waits};

const PEER_LIBUV: &str = env!("CARGO_BIN_EXE_peer_libuv");

#[cfg(libuv)]
#[test]
fn answers_and_waits() {
    answers(PEER_LIBUV, &[]);
    waits(PEER_LIBUV, &[]);
}

#[cfg(libuv)]
#[test]
fn wrong_arguments_are_refused() {
    refuses(PEER_LIBUV, &["--mode", "gopher"], "--mode gopher: echo, http, file, udp or accept");
    refuses(PEER_LIBUV, &["--frills", "1"], "--frills is not known");
    refuses(PEER_LIBUV, &["--print", "money"], "--print money: version");
}

#[cfg(not(libuv))]
#[test]
fn says_what_it_wants() {
    println!("SKIPPED: libuv's server, for want of libuv1-dev");
    refuses(PEER_LIBUV, &[], "libuv1-dev");
}
