//! monoio's server answers rightly and refuses what it does not understand.

use tigereye_peers::trial::{answers, refuses, waits};

const SERVER: &str = env!("CARGO_BIN_EXE_peer_monoio");

#[test]
fn answers_and_waits() {
    answers(SERVER, &[]);
    waits(SERVER, &[]);
}

#[test]
fn wrong_arguments_are_refused() {
    refuses(SERVER, &["--mode", "gopher"], "--mode gopher: echo, http, file, udp or accept");
    refuses(
        SERVER,
        &["--mode", "file", "--file", "Cargo.toml"],
        "--mode file: monoio's server has none",
    );
    refuses(SERVER, &["--frills", "1"], "--frills is not known");
}
