//! What is sent and what must come back.

use crate::sys::net;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Period of the echoed pattern: not a multiple of any message size, so that swapped, lost or
/// doubled messages show, but a multiple of 64, so that no send starts at an odd address.
const PERIOD: usize = 64 * 257;
const STATUS: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// A stream of requests and the stream of answers.
pub struct Script {
    /// Bytes of one request.
    pub request: usize,
    /// Bytes of one answer.
    pub answer: usize,
    /// The requests repeat after so many bytes.
    pub period: usize,
    kind: Kind,
}

enum Kind {
    Echo,
    Datagrams,
    /// The request, and what is compared behind an answer's head.
    Http {
        text: Vec<u8>,
        contents: Vec<u8>,
    },
}

impl Script {
    /// Messages of `size` bytes that come back as they are.
    #[must_use]
    pub fn echo(size: usize) -> Self {
        Self { request: size, answer: size, period: PERIOD, kind: Kind::Echo }
    }

    /// Datagrams of `size` bytes that come back as they are.
    #[must_use]
    pub fn datagrams(size: usize) -> Self {
        Self { request: size, answer: size, period: PERIOD, kind: Kind::Datagrams }
    }

    /// A socket to send to the server with.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<OwnedFd> {
        match self.kind {
            Kind::Datagrams => net::connect_datagrams(addr).map(OwnedFd::from),
            Kind::Echo | Kind::Http { .. } => net::connect(addr).map(OwnedFd::from),
        }
    }

    /// Requests of `/hello`. Asks once, to learn how long the server's answer is.
    pub fn http(addr: SocketAddr) -> io::Result<Self> {
        let (script, _body) = Self::asked(addr, "/hello")?;
        Ok(script)
    }

    /// Requests of `/file`, which has these contents. Asks once, and compares all of the answer.
    pub fn file(addr: SocketAddr, wanted: Vec<u8>) -> io::Result<Self> {
        let (mut script, body) = Self::asked(addr, "/file")?;
        if body != wanted {
            return Err(io::Error::other("the contents of the file are wrong"));
        }
        if let Kind::Http { contents, .. } = &mut script.kind {
            *contents = wanted;
        }
        Ok(script)
    }

    fn asked(addr: SocketAddr, path: &str) -> io::Result<(Self, Vec<u8>)> {
        let text = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes();
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&text)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let said = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = said
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse::<usize>().ok());
        let Some(length) = length.filter(|_| head.starts_with(STATUS)) else {
            return Err(io::Error::other(format!("not an answer to count on: {said}")));
        };
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let (request, answer) = (text.len(), head.len() + length);
        let kind = Kind::Http { text, contents: Vec::new() };
        Ok((Self { request, answer, period: request, kind }, body))
    }

    /// Fills a region so that any stretch of the stream that fits is contiguous in it: the stream
    /// at position `p` is found at `p % period`.
    pub fn fill(&self, region: &mut [u8]) {
        if let Kind::Http { text, .. } = &self.kind {
            for (to, from) in region.iter_mut().zip(text.iter().cycle()) {
                *to = *from;
            }
            return;
        }
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        for byte in &mut region[..PERIOD] {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            *byte = word as u8;
        }
        for at in PERIOD..region.len() {
            region[at] = region[at - PERIOD];
        }
    }

    /// Whether `bytes`, received at `position` of a stream of answers, are what they should be.
    #[must_use]
    pub fn check(&self, region: &[u8], position: u64, bytes: &[u8]) -> bool {
        let contents = match &self.kind {
            Kind::Echo | Kind::Datagrams => {
                let at = (position % self.period as u64) as usize;
                return bytes == &region[at..][..bytes.len()];
            }
            Kind::Http { contents, .. } => contents,
        };
        let (mut inside, mut left) = ((position % self.answer as u64) as usize, bytes);
        if contents.is_empty() {
            // The first answer that begins in these bytes.
            left = left.get((self.answer - inside) % self.answer..).unwrap_or_default();
            return is_start_of(left, STATUS);
        }
        // All contents, and of each head its beginning: the rest of it changes.
        let head = self.answer - contents.len();
        while !left.is_empty() {
            let end = if inside < head { head } else { self.answer };
            let (piece, rest) = left.split_at(left.len().min(end - inside));
            let is_right = match inside {
                0 => is_start_of(piece, STATUS),
                at if at < head => true,
                at => piece == &contents[at - head..][..piece.len()],
            };
            if !is_right {
                return false;
            }
            (inside, left) = ((inside + piece.len()) % self.answer, rest);
        }
        true
    }
}

/// Whether as much of both as there is in both is the same.
fn is_start_of(bytes: &[u8], start: &[u8]) -> bool {
    let len = bytes.len().min(start.len());
    bytes[..len] == start[..len]
}
