//! What the servers do with bytes, without sockets: echo them, or answer HTTP requests, of a page or
//! of a file.
//!
//! Both hand-written loops are generic over [`Service`], so that they differ in nothing else.

use crate::sys::process::coarse_seconds;
use std::mem::MaybeUninit;
use std::time::{Duration, UNIX_EPOCH};

/// What [`Service::respond`] did.
pub struct Response {
    /// Bytes written to the output.
    pub len: usize,
    /// There is more to say: call again with no input and new room.
    pub more: bool,
    /// Close the connection once all is sent.
    pub close: bool,
    /// The contents of the file follow what was written, before anything else.
    pub contents: bool,
}

/// A protocol spoken on a connection.
pub trait Service {
    /// What is remembered per connection.
    type State: Default;
    /// The answer is the input itself: the loops send the very buffer they received into.
    const ECHO: bool;
    /// Answers `input` (a piece of the stream, cut anywhere) into `out`.
    fn respond(&mut self, state: &mut Self::State, input: &[u8], out: &mut [u8]) -> Response;
}

/// Every byte comes back.
pub struct Echo;

impl Service for Echo {
    type State = ();
    const ECHO: bool = true;

    fn respond(&mut self, (): &mut (), _: &[u8], _: &mut [u8]) -> Response {
        unreachable!("an echo is sent from the buffer it arrived in")
    }
}

/// Room that one response needs at most.
const RESPONSE_MAX: usize = 256;
/// A head may be as long as this, as in tigereye's own server.
const HEAD_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 100;
/// One page over HTTP/1.1: keep-alive, pipelining, `Date` renewed once a second.
pub struct Page {
    path: &'static str,
    kind: &'static str,
    body: &'static str,
    /// Bytes of the file that is sent behind each head, instead of a body.
    contents: Option<u64>,
    second: u64,
    /// All that is said where the page was asked for, but for the contents.
    ok: Vec<u8>,
}

impl Page {
    /// `GET /hello`.
    #[must_use]
    pub fn hello() -> Self {
        Self::new("/hello", "text/plain; charset=utf-8", "Hello, World!\n", None)
    }

    /// `GET /file`: a head for `length` bytes, which are the server's to send.
    #[must_use]
    pub fn file(length: u64) -> Self {
        Self::new("/file", "application/octet-stream", "", Some(length))
    }

    fn new(path: &'static str, kind: &'static str, body: &'static str, file: Option<u64>) -> Self {
        let mut page = Self { path, kind, body, contents: file, second: 0, ok: Vec::new() };
        page.renew(coarse_seconds());
        page
    }

    fn renew(&mut self, second: u64) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        let Self { kind, body, .. } = *self;
        let len = self.contents.unwrap_or(body.len() as u64);
        self.second = second;
        self.ok = format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: {kind}\r\n\
             Content-Length: {len}\r\n\r\n{body}"
        )
        .into_bytes();
        assert!(self.ok.len() <= RESPONSE_MAX, "room for a response is checked by this bound");
    }

    /// Answers whole requests at the start of `input`; returns how much of it was used.
    fn answer(&self, input: &[u8], out: &mut [u8], response: &mut Response) -> usize {
        let mut used = 0;
        while used < input.len() && !response.close {
            if out.len() - response.len < RESPONSE_MAX {
                response.more = true;
                break;
            }
            let (len, reply) = match parse(&input[used..], self.path) {
                Parsed::Page(len) => {
                    response.contents = self.contents.is_some();
                    (len, &self.ok[..])
                }
                Parsed::Partial => break,
                Parsed::Refused(reply) => {
                    response.close = true;
                    (input.len() - used, reply.as_bytes())
                }
            };
            out[response.len..][..reply.len()].copy_from_slice(reply);
            response.len += reply.len();
            used += len;
            if response.contents {
                response.more = used < input.len();
                break;
            }
        }
        used
    }
}

enum Parsed {
    Page(usize),
    Partial,
    Refused(&'static str),
}

fn parse(input: &[u8], page: &str) -> Parsed {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(len)) => {
            let odd = |field: &&httparse::Header<'_>| {
                (field.name.len() == 10 && field.name.eq_ignore_ascii_case("connection"))
                    || (field.name.len() == 14 && field.name.eq_ignore_ascii_case("content-length"))
                    || (field.name.len() == 17
                        && field.name.eq_ignore_ascii_case("transfer-encoding"))
            };
            if request.headers.iter().find(odd).is_some_and(|field| field.value != b"keep-alive") {
                return Parsed::Refused(
                    "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
            match (request.method, request.path) {
                (Some("GET"), Some(path)) if path == page => Parsed::Page(len),
                _ => Parsed::Refused(
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                ),
            }
        }
        Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => Parsed::Partial,
        _ => Parsed::Refused(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    }
}

impl Service for Page {
    type State = Vec<u8>;
    const ECHO: bool = false;

    fn respond(&mut self, carried: &mut Vec<u8>, input: &[u8], out: &mut [u8]) -> Response {
        let second = coarse_seconds();
        if second != self.second {
            self.renew(second);
        }
        let mut response = Response { len: 0, more: false, close: false, contents: false };
        if carried.is_empty() {
            let used = self.answer(input, out, &mut response);
            carried.extend_from_slice(&input[used..]);
        } else {
            carried.extend_from_slice(input);
            let used = self.answer(carried, out, &mut response);
            carried.drain(..used);
        }
        response
    }
}
