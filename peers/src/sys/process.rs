//! Processes and clocks: pinning, priorities, CPU time, signals as descriptors, limits.

use super::check;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

/// Keeps the calling thread on one core. Threads and processes it starts inherit that.
pub fn pin(core: usize) -> io::Result<()> {
    allow(&[core])
}

/// Keeps the calling thread on these cores.
pub fn allow(cores: &[usize]) -> io::Result<()> {
    // SAFETY: an all-zero `cpu_set_t` is the empty set.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for &core in cores {
        assert!(core < libc::CPU_SETSIZE as usize, "core {core}");
        // SAFETY: the set is a live local and the core number was checked.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set is a live local of the size given; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// How the calling thread, and what it starts, stands against everything else on the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// As everybody.
    Ordinary,
    /// Before everybody: `SCHED_FIFO`. Niceness would not do, because sessions are scheduled as
    /// groups (sched(7), "The autogroup feature") and it counts only inside one. Real-time
    /// threads leave others 5 % of the time (`sched_rt_runtime_us`), so nothing starves.
    RealTime,
}

/// Changes the calling thread's priority; without the right to, it stays as it is.
pub fn set_priority(priority: Priority) {
    let (policy, level) = match priority {
        Priority::Ordinary => (libc::SCHED_OTHER, 0),
        Priority::RealTime => (libc::SCHED_FIFO, 1),
    };
    let parameter = libc::sched_param { sched_priority: level };
    // SAFETY: the pointer is to a live local that the call reads; 0 is the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
}

/// The calling thread's priority.
pub fn priority() -> io::Result<Priority> {
    // SAFETY: a call without pointers; 0 is the calling thread.
    let policy = check(unsafe { libc::sched_getscheduler(0) })?;
    Ok(if policy == libc::SCHED_OTHER { Priority::Ordinary } else { Priority::RealTime })
}

/// Takes the lock of a file, which ends with the file; false: another process holds it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: a call without pointers, on a descriptor that lives through it.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: a call without pointers, which never fails.
    unsafe { libc::geteuid() == 0 }
}

/// Lifts the limit of open files to the hard limit and returns it.
pub fn lift_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live local that the call fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live local that the call reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

fn clock_ns(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local that the call fills.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// CPU time that a process has used so far, all threads, to the nanosecond: the scheduler's own
/// sum brought up to date at the call, where `/proc/PID/stat` counts ticks and `schedstat` lags
/// for a running thread (clock_getcpuclockid(3)). Interrupts served meanwhile are in it.
pub fn cpu_time_ns(pid: u32) -> io::Result<u64> {
    let mut clock = 0;
    // SAFETY: the pointer is to a live local that the call fills.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    clock_ns(clock)
}

/// CPU time of the calling thread.
pub fn thread_cpu_ns() -> io::Result<u64> {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of the calling process.
pub fn own_cpu_ns() -> io::Result<u64> {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Seconds since 1970 from the clock that the kernel renews once a tick: a read of memory.
#[must_use]
pub fn coarse_seconds() -> u64 {
    clock_ns(libc::CLOCK_REALTIME_COARSE).unwrap_or(0) / 1_000_000_000
}

/// Blocks SIGTERM and SIGINT and returns a descriptor that is readable when one has come.
pub fn termination() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that the pointer is to.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: an initialised set and a valid signal number.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: an initialised set; the old mask is not asked for.
    let error =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: an initialised set; -1 asks for a new descriptor.
    let fd = check(unsafe { libc::signalfd(-1, &raw const set, flags) })?;
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until a descriptor is readable.
pub fn wait_readable(fd: &OwnedFd) -> io::Result<()> {
    let mut watched = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: the pointer is to one live entry, and one is what the call is told.
        match check(unsafe { libc::poll(&raw mut watched, 1, -1) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// Asks a process to end.
pub fn terminate(pid: u32) -> io::Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) })?;
    Ok(())
}

/// A monotonic timerfd, non-blocking, disarmed.
pub fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: a call without pointers.
    let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Arms a timerfd once, `ns` from now; 0 disarms it.
pub fn timerfd_arm(fd: std::os::fd::RawFd, ns: u64) -> io::Result<()> {
    let value =
        libc::timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ };
    let timer =
        libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    // SAFETY: `timer` is a live local that the call reads; the old value is not asked for.
    check(unsafe { libc::timerfd_settime(fd, 0, &raw const timer, std::ptr::null_mut()) })?;
    Ok(())
}

/// Installs a package of Debian's, if this process may; says whether something may have changed.
#[must_use]
pub fn install(package: &str) -> bool {
    let apt = |flags: &[&str]| {
        let mut command = Command::new("apt-get");
        // What it says is not part of a table.
        command.env("DEBIAN_FRONTEND", "noninteractive").args(flags).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    // Without lists of packages the first cannot know it.
    let flags = ["install", "-q", "-y", "--no-install-recommends", package];
    is_root() && (apt(&flags) || (apt(&["update", "-q"]) && apt(&flags)))
}
