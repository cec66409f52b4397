//! Every server answers rightly and refuses what it does not understand.

use tigereye_peers::trial::{answers, refuses, sends_files, waits};

const BARE_URING: &str = env!("CARGO_BIN_EXE_bare_uring");
const BARE_EPOLL: &str = env!("CARGO_BIN_EXE_bare_epoll");
const PEER_MIO: &str = env!("CARGO_BIN_EXE_peer_mio");
const PEER_TOKIO: &str = env!("CARGO_BIN_EXE_peer_tokio");
const TIGEREYE: &str = env!("CARGO_BIN_EXE_tigereye");

#[test]
fn bare_uring_answers() {
    answers(BARE_URING, &[]);
    waits(BARE_URING, &[]);
}

#[test]
fn bare_epoll_answers() {
    answers(BARE_EPOLL, &[]);
    waits(BARE_EPOLL, &[]);
}

#[test]
fn peer_mio_answers() {
    answers(PEER_MIO, &[]);
    waits(PEER_MIO, &[]);
}

#[test]
fn peer_tokio_answers_on_each_runtime() {
    for flags in [&["--runtime", "current"][..], &["--runtime", "multi", "--threads", "2"]] {
        answers(PEER_TOKIO, flags);
        waits(PEER_TOKIO, flags);
    }
}

#[test]
fn tigereye_answers_by_each_strategy() {
    for driver in ["uring", "readiness"] {
        for recv in ["each", "told", "own"] {
            answers(TIGEREYE, &["--driver", driver, "--recv", recv]);
        }
    }
}

#[test]
fn tigereye_answers_with_a_loop_that_spins() {
    for driver in ["uring", "readiness"] {
        answers(TIGEREYE, &["--driver", driver, "--spin", "100"]);
    }
}

#[test]
fn servers_by_hand_send_files() {
    for flags in [&[][..], &["--body", "splice"], &["--chunk", "65536"]] {
        sends_files(BARE_URING, flags);
    }
    sends_files(BARE_EPOLL, &[]);
    sends_files(PEER_MIO, &[]);
}

#[test]
fn libraries_send_files() {
    sends_files(PEER_TOKIO, &[]);
    for driver in ["uring", "readiness"] {
        sends_files(TIGEREYE, &["--driver", driver]);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    for program in [BARE_URING, BARE_EPOLL, PEER_MIO, PEER_TOKIO, TIGEREYE] {
        refuses(program, &["--mode", "gopher"], "--mode gopher: echo, http, file, udp or accept");
        refuses(program, &["--size", "many"], "--size many: ");
        refuses(program, &["--frills", "1"], "--frills is not known");
    }
    refuses(TIGEREYE, &["--spin", "often"], "--spin often: ");
    refuses(TIGEREYE, &["--driver", "nobody"], "--driver nobody: no driver is called");
    refuses(PEER_TOKIO, &["--runtime", "both"], "--runtime both: current or multi");
    refuses(PEER_TOKIO, &["--runtime", "multi", "--threads", "0"], "--threads 0: at least one");
}
