//! The measurements of files on libuv; `storage` of the peers says what they are.
//!
//! `uv_fs_read`, `uv_fs_write` and `uv_fs_fdatasync`, which are calls on its pool of threads. It has four
//! unless `UV_THREADPOOL_SIZE` says otherwise when it starts, once a process ("Thread pool work
//! scheduling" in libuv's documentation). So the harness runs this for each size of the pool, by
//! `--only`, `--depths` and `--threads`.

#[cfg(libuv)]
#[path = "storage_ffi.rs"]
mod ffi;

#[cfg(libuv)]
fn main() -> std::io::Result<()> {
    use tigereye_peers::args::Args;
    use tigereye_peers::storage::{self, Work};

    const BY: &str = "libuv";
    let mut args = Args::from_env();
    let work = Work::from_args(&mut args);
    let threads: u32 = args.get("threads", 4);
    args.finish();
    ffi::threads(threads)?;
    storage::reads(&work, BY, |direct, depth, reads| {
        ffi::measure(&work.open(direct)?, depth, ffi::Figure::Reads(reads))
    })?;
    storage::appends(&work, BY, |appends| {
        ffi::measure(&work.create_log()?, 1, ffi::Figure::Appends(appends))
    })
}

#[cfg(not(libuv))]
fn main() {
    tigereye_peers::args::fail("built without libuv, for want of its headers: package libuv1-dev")
}
