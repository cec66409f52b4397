//! Transfers longer than one system call takes.

use std::io::Write;

use tigereye::{Io, IoBufMut};

use crate::{Log, finish, pair};

/// A multiple of 2³², so that a length cut to 32 bits would be zero.
#[cfg(target_pointer_width = "64")]
const LEN: usize = 1 << 32;

/// Memory that the system only promises: nobody touches most of it.
#[cfg(target_pointer_width = "64")]
fn promised() -> Option<Vec<u8>> {
    let mut buf = Vec::new();
    if buf.try_reserve_exact(LEN).is_err() {
        eprintln!("SKIPPED: the system promises no {LEN} bytes");
        return None;
    }
    Some(buf)
}

#[cfg(target_pointer_width = "64")]
#[test]
fn p29_a_receive_longer_than_a_call_takes_is_short() {
    let Some(mut buf) = promised() else { return };
    assert!(buf.writable().1 >= LEN);
    let io = Io::new().unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(b"short").unwrap();
    let log = Log::new();
    let put = log.clone();
    io.recv(stream, buf, move |_stream, _io, buf, result| put.put((buf, result.unwrap())));
    finish(&io);
    let (buf, count) = log.one();
    assert_eq!((&*buf, count), (&b"short"[..], 5));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn p29_a_send_longer_than_a_call_takes_is_short() {
    // Zeroed memory is promised too, and reading it makes nothing of it.
    if promised().is_none() {
        return;
    }
    let io = Io::new().unwrap();
    let (stream, _peer) = pair(&io);
    let log = Log::new();
    let put = log.clone();
    io.send(stream, vec![0; LEN], move |_stream, _io, buf, result| {
        put.put((buf.len(), result.unwrap()));
    });
    finish(&io);
    let (len, sent) = log.one();
    assert!(len == LEN && (1..LEN).contains(&sent), "{sent} of {len}");
}
