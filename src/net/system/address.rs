//! Internet addresses as the system has them: `sockaddr_in` and `sockaddr_in6`.
//!
//! Systems differ in their first two bytes alone. Sources: ip(7), ipv6(7); sys/socket.h of macOS and
//! FreeBSD.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The family of an address: 0 where there is none.
#[cfg(target_os = "linux")]
#[inline]
pub(crate) fn family(bytes: &[u8]) -> libc::c_int {
    bytes.first_chunk().map_or(0, |&family| u16::from_ne_bytes(family).into())
}

/// As on Linux, where the family has two bytes; here the length is the first one.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn family(bytes: &[u8]) -> libc::c_int {
    bytes.get(1).map_or(0, |&family| family.into())
}

/// Writes a family, and how many bytes an address has.
#[inline]
fn put_family(family: libc::c_int, len: u8, raw: &mut [u8]) {
    #[expect(clippy::cast_possible_truncation, reason = "families are small numbers")]
    let family = family as u16;
    let head = if cfg!(target_os = "linux") {
        family.to_ne_bytes()
    } else {
        [len, family.to_le_bytes()[0]]
    };
    raw[..2].copy_from_slice(&head);
}

/// The Internet address in the system's structure.
#[inline]
pub(crate) fn internet_address(bytes: &[u8]) -> Option<SocketAddr> {
    match family(bytes) {
        libc::AF_INET => {
            let &[_, _, p, q, a, b, c, d] = bytes.first_chunk()?;
            Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])).into())
        }
        libc::AF_INET6 => {
            let &[_, _, p, q, ref rest @ ..] = bytes.first_chunk::<28>()?;
            let (flow, rest) = rest.split_first_chunk()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let (port, flow) = (u16::from_be_bytes([p, q]), u32::from_ne_bytes(*flow));
            let scope = u32::from_ne_bytes(*rest.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, scope).into())
        }
        _ => None,
    }
}

/// Writes the system's structure of an Internet address, into at least 28 bytes; says how many it has.
#[inline]
pub(crate) fn put_internet_address(address: &SocketAddr, raw: &mut [u8]) -> u32 {
    raw[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            put_family(libc::AF_INET, 16, raw);
            raw[4..8].copy_from_slice(&address.ip().octets());
            16
        }
        SocketAddr::V6(address) => {
            put_family(libc::AF_INET6, 28, raw);
            raw[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
            raw[8..24].copy_from_slice(&address.ip().octets());
            raw[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
            28
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::{bytes_of, of_bytes};
    use socket2::SockAddr;

    #[test]
    fn agrees_with_socket2() {
        let ip = Ipv6Addr::new(0xfe80, 1, 2, 3, 4, 5, 6, 0x789a);
        let addresses = [
            "127.1.2.3:45678".parse().unwrap(),
            "[::1]:1".parse().unwrap(),
            SocketAddr::from(SocketAddrV6::new(ip, 54321, 0x0001_2345, 0x0102_0304)),
        ];
        for address in addresses {
            let theirs = SockAddr::from(address);
            let mut raw = [0; 32];
            let len = put_internet_address(&address, &mut raw) as usize;
            let ours = of_bytes(&raw[..len]);
            assert_eq!(ours.as_socket(), Some(address));
            // Byte for byte, but for what FreeBSD and macOS leave to their readers: the length.
            assert_eq!(bytes_of(&ours)[2..], bytes_of(&theirs)[2..]);
            assert_eq!(internet_address(bytes_of(&theirs)), Some(address));
            assert_eq!(family(bytes_of(&theirs)), theirs.family().into());
            assert_eq!(internet_address(&raw[..len - 1]).filter(|_| len == 28), None);
        }
        assert_eq!((family(&[]), family(&[0]), internet_address(&[0; 32])), (0, 0, None));
    }
}
