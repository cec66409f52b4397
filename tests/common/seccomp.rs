//! Taking a system call away from a thread. Source: seccomp(2).

/// Has the system answer one system call with an error, for this thread and those it starts, as a
/// container's filter does.
#[expect(unsafe_code, reason = "prctl(2), seccomp(2)")]
pub(crate) fn forbid(call: libc::c_long, error: i32) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).expect("it fits"),
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refused = libc::SECCOMP_RET_ERRNO | error.unsigned_abs();
    let mut filter = [
        // The first field of `seccomp_data` is the call's number.
        statement(load, 0, 0, 0),
        statement(equals, 0, 1, u32::try_from(call).expect("it fits")),
        statement(answer, 0, 0, refused),
        statement(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: plain arguments.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program and its filter are valid for the call.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}
