//! The small measurements on libuv; `micro` of the peers says what they are.

#[cfg(libuv)]
#[path = "micro_ffi.rs"]
mod ffi;

#[cfg(libuv)]
fn main() -> std::io::Result<()> {
    use tigereye_peers::args::Args;
    use tigereye_peers::micro::{Amounts, wakes};

    let mut args = Args::from_env();
    let amounts = Amounts::from_args(&mut args);
    args.finish();
    ffi::timers(amounts.timers)?;
    wakes::each_count(amounts.wakes, ffi::round_trips)
}

#[cfg(not(libuv))]
fn main() {
    tigereye_peers::args::fail("built without libuv, for want of its headers: package libuv1-dev")
}
