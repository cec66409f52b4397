//! What is sent and what must come back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Period of the echoed pattern: not a multiple of any message size, so that swapped, lost or
/// doubled messages show, but a multiple of 64, so that no send starts at an odd address.
const PERIOD: usize = 64 * 257;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// A stream of requests and the stream of answers.
pub struct Script {
    /// Bytes of one request.
    pub request: usize,
    /// Bytes of one answer.
    pub answer: usize,
    /// The requests repeat after so many bytes.
    pub period: usize,
    echo: bool,
}

impl Script {
    /// Messages of `size` bytes that come back as they are.
    #[must_use]
    pub fn echo(size: usize) -> Self {
        Self { request: size, answer: size, period: PERIOD, echo: true }
    }

    /// Requests of `/hello`. Asks once, to learn how long the server's answer is.
    pub fn http(addr: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(REQUEST)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse::<usize>().ok());
        let Some(length) = length.filter(|_| head.starts_with(STATUS)) else {
            return Err(io::Error::other(format!("not an answer to count on: {text}")));
        };
        stream.read_exact(&mut vec![0; length])?;
        let (request, answer) = (REQUEST.len(), head.len() + length);
        Ok(Self { request, answer, period: request, echo: false })
    }

    /// Fills a region so that any stretch of the stream that fits is contiguous in it: the stream
    /// at position `p` is found at `p % period`.
    pub fn fill(&self, region: &mut [u8]) {
        if !self.echo {
            for (to, from) in region.iter_mut().zip(REQUEST.iter().cycle()) {
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
        if self.echo {
            return bytes == &region[(position % self.period as u64) as usize..][..bytes.len()];
        }
        // The first answer that begins in these bytes.
        let inside = (position % self.answer as u64) as usize;
        let skip = if inside == 0 { 0 } else { self.answer - inside };
        let begun = bytes.get(skip..).unwrap_or_default();
        let len = begun.len().min(STATUS.len());
        begun[..len] == STATUS[..len]
    }
}
