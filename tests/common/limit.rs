//! Limits of a process on Linux. Source: setrlimit(2).

#[expect(unsafe_code, reason = "setrlimit(2)")]
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the limit is a valid value for the length of the call.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}
