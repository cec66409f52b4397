//! Every figure of files is there.

use tigereye_peers::trial::stores;

#[test]
fn stores_files() {
    stores(env!("CARGO_BIN_EXE_peer_glommio_storage"), &[], true);
}
