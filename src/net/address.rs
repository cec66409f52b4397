//! Socket addresses as the kernel has them, at an address that an operation keeps.

use socket2::{SockAddr, SockAddrStorage};

/// An address that the kernel writes.
pub(crate) struct RawAddress {
    storage: SockAddrStorage,
    len: libc::socklen_t,
}

impl From<SockAddr> for RawAddress {
    fn from(address: SockAddr) -> RawAddress {
        let len = address.len();
        RawAddress { storage: address.as_storage(), len }
    }
}

impl RawAddress {
    pub(crate) fn empty() -> RawAddress {
        let storage = SockAddrStorage::zeroed();
        let len = storage.size_of();
        RawAddress { storage, len }
    }

    /// Makes all of the storage writable again.
    #[cfg(target_os = "linux")]
    pub(crate) fn reset(&mut self) {
        self.len = self.storage.size_of();
    }

    /// For a call that writes the address and its length.
    #[cfg(target_os = "linux")]
    pub(crate) fn parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.storage).cast(), &raw mut self.len)
    }

    /// What the kernel wrote.
    #[expect(unsafe_code, reason = "the length was written by the kernel")]
    pub(crate) fn get(self) -> SockAddr {
        let len = self.len.min(self.storage.size_of());
        // SAFETY: the storage was zeroed or written by the kernel, which also gave the length,
        // cut here to the storage's own.
        unsafe { SockAddr::new(self.storage, len) }
    }
}
