//! Socket addresses as the kernel has them, at an address that an operation keeps.

#[cfg(unix)]
use std::{ptr, slice};

use socket2::{SockAddr, SockAddrStorage};

/// Room for an address structure, aligned as the system has them.
#[cfg(unix)]
#[repr(C, align(8))]
pub(crate) struct Raw<const LEN: usize>([u8; LEN]);

#[cfg(unix)]
impl<const LEN: usize> Default for Raw<LEN> {
    #[inline]
    fn default() -> Raw<LEN> {
        Raw([0; LEN])
    }
}

#[cfg(unix)]
impl<const LEN: usize> AsRef<[u8]> for Raw<LEN> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(unix)]
impl<const LEN: usize> AsMut<[u8]> for Raw<LEN> {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The bytes of an address.
#[cfg(unix)]
#[expect(unsafe_code, reason = "socket2 gives their address")]
pub(crate) fn bytes_of(address: &SockAddr) -> &[u8] {
    // SAFETY: so many bytes of its storage are the address, and all of that is initialised.
    unsafe { slice::from_raw_parts(address.as_ptr().cast(), address.len() as usize) }
}

/// Copies an address to where there is room for one of its family; says how many bytes that are.
#[cfg(unix)]
pub(crate) fn put(bytes: &[u8], raw: &mut [u8]) -> u32 {
    let len = bytes.len().min(raw.len());
    raw[..len].copy_from_slice(&bytes[..len]);
    // A storage of any address has 128 bytes.
    u32::try_from(len).unwrap_or(0)
}

/// An address as the kernel wrote it.
#[cfg(unix)]
#[expect(unsafe_code, reason = "socket2 takes a length with a storage")]
pub(crate) fn of_bytes(bytes: &[u8]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let len = bytes.len().min(storage.size_of() as usize);
    // SAFETY: any bytes are a valid value of the storage, which is at least so long.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut storage).cast(), len) };
    // SAFETY: the storage was zeroed, and has so many bytes.
    unsafe { SockAddr::new(storage, len as libc::socklen_t) }
}

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
