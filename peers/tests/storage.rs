//! Every program of `storage` gives every figure, or says why not.

use tigereye_peers::trial::stores;

#[test]
fn bare_uring_stores() {
    stores(env!("CARGO_BIN_EXE_storage_bare"), &[], true);
}

#[test]
fn tigereye_stores_in_each_way() {
    let tigereye = env!("CARGO_BIN_EXE_storage_tigereye");
    for driver in ["uring", "readiness"] {
        stores(tigereye, &["--driver", driver], true);
    }
    for register in ["file", "all"] {
        stores(tigereye, &["--driver", "uring", "--register", register], false);
    }
}

#[test]
fn tokio_stores() {
    stores(env!("CARGO_BIN_EXE_storage_tokio"), &[], true);
}
