//! compio's server answers rightly and refuses what it does not understand.

use tigereye_peers::trial::{library_answers, library_refuses};

const SERVER: &str = env!("CARGO_BIN_EXE_peer_compio");

#[test]
fn answers_and_waits() {
    library_answers(SERVER);
}

#[test]
fn wrong_arguments_are_refused() {
    library_refuses(SERVER);
}
