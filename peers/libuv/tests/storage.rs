//! Every figure of files is there; without libuv the program says what it wants.

const PROGRAM: &str = env!("CARGO_BIN_EXE_peer_libuv_storage");

#[cfg(libuv)]
#[test]
fn stores_files() {
    tigereye_peers::trial::stores(PROGRAM, &[], true);
    tigereye_peers::trial::stores(PROGRAM, &["--threads", "1"], true);
}

#[cfg(not(libuv))]
#[test]
fn says_what_it_wants() {
    println!("SKIPPED: files on libuv, for want of libuv1-dev");
    tigereye_peers::trial::refuses(PROGRAM, &[], "libuv1-dev");
}
