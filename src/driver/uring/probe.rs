//! Building the best ring that this kernel gives, by trying: distributions backport and mask, so
//! a version says little.

use std::io;

use io_uring::{IoUring, Probe, opcode};

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
    /// The queue's flags tell of deferred work.
    pub(crate) taskrun_flag: bool,
    /// A receive can wait for data before its first attempt (5.19).
    pub(crate) poll_first: bool,
    /// A success need not post a completion (5.17).
    pub(crate) skip_success: bool,
    /// Waiting need not count as I/O wait (6.15).
    pub(crate) no_iowait: bool,
}

/// Flag sets from the best to the plainest.
const LEVELS: usize = 4;
/// Smallest ring to fall back to where locked memory is short (before 5.12).
const ENTRIES_MIN: u32 = 8;

pub(crate) fn build(entries: u32) -> io::Result<(IoUring, Features)> {
    let mut entries = entries.clamp(1, 32768);
    let (ring, level) = loop {
        match build_best(entries) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries > ENTRIES_MIN => {
                entries /= 2;
            }
            other => break other?,
        }
    };
    let params = ring.params();
    if !params.is_feature_ext_arg() || !params.is_feature_nodrop() {
        let message = "io_uring lacks EXT_ARG or NODROP (Linux 5.11 has them)";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
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
        opcode::PollAdd::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Timeout::CODE,
    ];
    if let Some(code) = needed.into_iter().find(|&code| !probe.is_supported(code)) {
        let message = format!("io_uring lacks operation {code}");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    // SEND_ZC and multishot receive came in the same release, multishot accept and IORING_OP_SOCKET
    // in the one before.
    let send_zero_copy = probe.is_supported(opcode::SendZc::CODE);
    let accept_multishot = probe.is_supported(opcode::Socket::CODE);
    let features = Features {
        accept_multishot,
        recv_multishot: send_zero_copy,
        send_zero_copy,
        buf_rings: accept_multishot,
        taskrun_flag: level <= 1,
        poll_first: accept_multishot,
        skip_success: params.is_feature_skip_cqe_on_success(),
        no_iowait: params.is_feature_no_iowait(),
    };
    Ok((ring, features))
}

fn build_best(entries: u32) -> io::Result<(IoUring, usize)> {
    let mut error = None;
    for level in 0..LEVELS {
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
