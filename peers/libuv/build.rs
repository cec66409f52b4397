//! Compiles the server in C where libuv is there, and says so by `cfg(libuv)`. Where it is not, the
//! program is built all the same, and says that.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(libuv)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/server.c");
    println!("cargo::rerun-if-changed=src/micro.c");
    println!("cargo::rerun-if-changed=src/storage.c");
    let header = "src/libuv_is_there.c";
    if cc::Build::new().cargo_warnings(false).file(header).try_expand().is_err() {
        // What never is there counts as changed, so every build looks again. The header itself would
        // not do: an installed file is as old as its package.
        println!("cargo::rerun-if-changed=libuv/is/not/there");
        return;
    }
    println!("cargo::rerun-if-changed=/usr/include/uv.h");
    cc::Build::new()
        .file("src/server.c")
        .file("src/micro.c")
        .file("src/storage.c")
        .flag("-std=gnu11")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .compile("peer_libuv_server");
    println!("cargo::rustc-link-lib=uv");
    println!("cargo::rustc-cfg=libuv");
}
