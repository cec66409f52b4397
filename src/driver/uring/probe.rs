//! Building the best ring that this kernel gives, by trying: distributions backport and mask, so
//! a version says little.
//!
//! `TIGEREYE_URING_WITHOUT` masks features, so that the ways of older kernels are walked on a new
//! one (docs/testing.md).

use std::env::VarError;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::Waker;
use crate::error::listed;
use crate::net::system;

/// What the ring can do.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent abilities")]
pub(crate) struct Features {
    /// Multishot accept (5.19).
    pub(crate) accept_multishot: bool,
    /// Multishot receive (6.0).
    pub(crate) recv_multishot: bool,
    /// Zero-copy send (6.0).
    pub(crate) send_zero_copy: bool,
    /// Rings of provided buffers (5.19).
    pub(crate) buf_rings: bool,
    /// A table of registered memory that begins empty (5.19).
    pub(crate) registered_memory: bool,
    /// The queue's flags tell of deferred work.
    pub(crate) taskrun_flag: bool,
    /// A success need not post a completion (5.17).
    pub(crate) skip_success: bool,
    /// Waiting need not count as I/O wait (6.15).
    pub(crate) no_iowait: bool,
    /// A write need not raise SIGPIPE (6.18).
    pub(crate) write_no_signal: bool,
    /// Those of [`OPTIONAL`] that it has.
    pub(crate) operations: Operations,
}

/// Operations that a kernel may lack, with their names for [`WITHOUT`]: the pool makes their calls
/// then.
const OPTIONAL: [(&str, u8); 10] = [
    ("sync_file_range", opcode::SyncFileRange::CODE), // 5.2
    ("fallocate", opcode::Fallocate::CODE),           // 5.6
    ("statx", opcode::Statx::CODE),                   // 5.6
    ("openat2", opcode::OpenAt2::CODE),               // 5.6
    ("renameat", opcode::RenameAt::CODE),             // 5.11
    ("unlinkat", opcode::UnlinkAt::CODE),             // 5.11
    ("mkdirat", opcode::MkDirAt::CODE),               // 5.15
    ("symlinkat", opcode::SymlinkAt::CODE),           // 5.15
    ("linkat", opcode::LinkAt::CODE),                 // 5.15
    ("ftruncate", opcode::Ftruncate::CODE),           // 6.9
];

/// A set of operations of io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operations(u64);

impl Operations {
    /// The optional ones for which this holds.
    fn which(holds: impl Fn(&str, u8) -> bool) -> Operations {
        let held = OPTIONAL.iter().filter(|(name, code)| holds(name, *code));
        Operations(held.fold(0, |set, (_name, code)| set | 1 << code))
    }

    /// Whether an optional operation is in it.
    pub(crate) fn has(self, code: u8) -> bool {
        debug_assert!(OPTIONAL.iter().any(|(_name, optional)| *optional == code));
        self.0 & (1 << code) != 0
    }
}

/// Flag sets from the best to the plainest.
const LEVELS: usize = 4;
/// Smallest ring to fall back to where locked memory is short (before 5.12).
const ENTRIES_MIN: u32 = 8;

const WITHOUT: &str = "TIGEREYE_URING_WITHOUT";
/// What can be masked, beside the operations of [`OPTIONAL`].
const MASKABLE: [&str; 12] = [
    "accept_multishot",
    "recv_multishot",
    "send_zero_copy",
    "buf_rings",
    "registered_memory",
    "skip_success",
    "no_sqarray",
    "defer_taskrun",
    "coop_taskrun",
    "no_iowait",
    "write_no_signal",
    "ext_arg",
];

/// All names that can be masked.
fn maskable() -> impl Iterator<Item = &'static str> {
    MASKABLE.iter().copied().chain(OPTIONAL.iter().map(|(name, _code)| *name))
}

/// The names in a list with commas.
fn split(names: &str) -> impl Iterator<Item = &str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Features to do without although the kernel has them: their names, with commas between.
struct Mask<'a>(&'a str);

impl<'a> Mask<'a> {
    fn parse(names: &'a str) -> io::Result<Mask<'a>> {
        let is_unknown = |name: &&str| maskable().all(|known| known != *name);
        match split(names).find(is_unknown) {
            None => Ok(Mask(names)),
            Some(name) => {
                let known = listed(maskable());
                let message = format!("{WITHOUT} has {name:?}, which is none of: {known}");
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }

    /// Not inlined: it is asked of twenty features, once a loop.
    #[inline(never)]
    fn allows(&self, name: &str) -> bool {
        debug_assert!(
            maskable().any(|known| known == name),
            "every name that is asked for can be masked"
        );
        split(self.0).all(|masked| masked != name)
    }
}

pub(crate) fn build(entries: u32) -> io::Result<(IoUring, Features)> {
    let names = match std::env::var(WITHOUT) {
        Ok(names) => names,
        Err(VarError::NotPresent) => String::new(),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    };
    build_without(entries, &Mask::parse(&names)?)
}

fn build_without(entries: u32, mask: &Mask<'_>) -> io::Result<(IoUring, Features)> {
    let mut entries = entries.clamp(1, 32768);
    let (ring, level) = loop {
        match build_best(entries, mask) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries > ENTRIES_MIN => {
                entries /= 2;
            }
            other => break other?,
        }
    };
    let params = ring.params();
    if !params.is_feature_ext_arg() || !params.is_feature_nodrop() || !mask.allows("ext_arg") {
        let message = "io_uring lacks EXT_ARG or NODROP (Linux 5.11 has them)";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let probe = probe(&ring)?;
    // SEND_ZC and multishot receive came in the same release, multishot accept and IORING_OP_SOCKET
    // in the one before.
    let six_zero = probe.is_supported(opcode::SendZc::CODE);
    let five_nineteen = probe.is_supported(opcode::Socket::CODE);
    let features = Features {
        accept_multishot: five_nineteen && mask.allows("accept_multishot"),
        recv_multishot: six_zero && mask.allows("recv_multishot"),
        send_zero_copy: six_zero && mask.allows("send_zero_copy"),
        buf_rings: five_nineteen && mask.allows("buf_rings"),
        registered_memory: five_nineteen && mask.allows("registered_memory"),
        taskrun_flag: level <= 1,
        skip_success: params.is_feature_skip_cqe_on_success() && mask.allows("skip_success"),
        no_iowait: params.is_feature_no_iowait() && mask.allows("no_iowait"),
        write_no_signal: mask.allows("write_no_signal") && writes_without_signal(),
        operations: Operations::which(|name, code| probe.is_supported(code) && mask.allows(name)),
    };
    Ok((ring, features))
}

/// Whether a write takes the flag: adding nothing to a counter tells.
fn writes_without_signal() -> bool {
    let wrote = |counter: Waker| counter.write_with(system::NO_SIGNAL);
    Waker::new().is_ok_and(wrote)
}

/// What the kernel knows; an error if it lacks something without which there is no loop.
fn probe(ring: &IoUring) -> io::Result<Probe> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [
        opcode::Accept::CODE,
        opcode::Connect::CODE,
        opcode::Recv::CODE,
        opcode::Send::CODE,
        opcode::RecvMsg::CODE,
        opcode::SendMsg::CODE,
        opcode::Shutdown::CODE,
        opcode::Close::CODE,
        opcode::OpenAt::CODE,
        opcode::Read::CODE,
        opcode::Write::CODE,
        opcode::Readv::CODE,
        opcode::Writev::CODE,
        opcode::Fsync::CODE,
        opcode::PollAdd::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Timeout::CODE,
    ];
    match needed.into_iter().find(|&code| !probe.is_supported(code)) {
        None => Ok(probe),
        Some(code) => {
            let message = format!("io_uring lacks operation {code}");
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
    }
}

fn build_best(entries: u32, mask: &Mask<'_>) -> io::Result<(IoUring, usize)> {
    let mut error = None;
    for level in 0..LEVELS {
        // What each level needs beyond the next one.
        let needs = ["no_sqarray", "defer_taskrun", "coop_taskrun"];
        if !needs.iter().skip(level).all(|name| mask.allows(name)) {
            continue;
        }
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(entries.saturating_mul(4));
        if level == 0 {
            // Entries are taken in order, so the array of their numbers is needless (6.6).
            builder.setup_no_sqarray();
        }
        if level <= 1 {
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        }
        if level <= 2 {
            builder.setup_submit_all().setup_coop_taskrun();
        }
        match builder.build(entries) {
            Ok(ring) => return Ok((ring, level)),
            Err(failed) if failed.raw_os_error() == Some(libc::EINVAL) => error = Some(failed),
            Err(failed) => return Err(failed),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(names: &str) -> io::Result<Features> {
        build_without(8, &Mask::parse(names)?).map(|(_ring, features)| features)
    }

    #[test]
    fn p07_each_feature_can_be_masked_alone() {
        let all = features("").unwrap();
        for name in maskable() {
            let lacks = |name_of: &str, has: bool, had: bool| {
                assert_eq!(has, had && name != name_of, "{name_of} without {name}");
            };
            match features(name) {
                Err(error) => {
                    assert_eq!((name, error.kind()), ("ext_arg", io::ErrorKind::Unsupported))
                }
                Ok(some) => {
                    lacks("accept_multishot", some.accept_multishot, all.accept_multishot);
                    lacks("recv_multishot", some.recv_multishot, all.recv_multishot);
                    lacks("send_zero_copy", some.send_zero_copy, all.send_zero_copy);
                    lacks("buf_rings", some.buf_rings, all.buf_rings);
                    lacks("skip_success", some.skip_success, all.skip_success);
                    lacks("no_iowait", some.no_iowait, all.no_iowait);
                    lacks("write_no_signal", some.write_no_signal, all.write_no_signal);
                    for (operation, code) in OPTIONAL {
                        lacks(operation, some.operations.has(code), all.operations.has(code));
                    }
                    let deferred = name != "defer_taskrun" && name != "coop_taskrun";
                    assert_eq!(some.taskrun_flag, all.taskrun_flag && deferred, "without {name}");
                }
            }
        }
    }

    #[test]
    fn p07_names_are_checked() {
        let error = features("recv_multishot, io_wait").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("io_wait"), "{error}");
        assert!(!features(" recv_multishot,,no_iowait ,").unwrap().recv_multishot);
    }
}
