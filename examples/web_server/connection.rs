//! One connection: a state machine whose transitions are callbacks that own it.
//!
//! ```text
//!  receive ──▶ received ──▶ respond ──▶ send ──▶ receive …
//!     ▲            │ more needed  │ a file        │ last response
//!     └────────────┘              └▶ pool ▶ send ▶…└▶ finish: half-close, drain, close
//! ```

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tigereye::{AsSource, Io, IoBuf, Source, TcpStream};

use crate::files::{self, Plan};
use crate::page;
use crate::request::{self, Body, Parsed, Request};
use crate::response;
use crate::server::Server;

const IDLE: Duration = Duration::from_secs(60);
const HEAD: Duration = Duration::from_secs(10);
/// How long a peer may take nothing of a response.
const SEND: Duration = Duration::from_secs(30);
/// How long input is drained after the last response, so that it arrives (closing with unread
/// input resets the connection).
const LINGER: Duration = Duration::from_secs(2);
const INPUT_BYTES: usize = 4096;
/// No further pipelined request is answered while this much output waits.
const OUTPUT_MAX: usize = 64 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    server: Rc<Server>,
    number: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    body: Body,
    /// When the first byte of the request that is arriving came.
    since: Option<Instant>,
    last: bool,
    plan: Option<Plan>,
}

impl AsSource for Connection {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.closed(self.number);
    }
}

impl Connection {
    pub(crate) fn start(io: &Io, stream: TcpStream, server: &Rc<Server>) {
        // Responses are written whole: waiting for more to send only adds latency.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            stream,
            server: Rc::clone(server),
            number: server.open(),
            input: Vec::with_capacity(INPUT_BYTES),
            output: Vec::new(),
            body: Body::None,
            since: None,
            last: false,
            plan: None,
        };
        Box::new(connection).receive(io);
    }

    fn receive(mut self: Box<Self>, io: &Io) {
        let mut input = std::mem::take(&mut self.input);
        if input.capacity() - input.len() < INPUT_BYTES / 2 {
            input.reserve(INPUT_BYTES);
        }
        let wait = match self.since {
            None => IDLE,
            Some(since) => HEAD.saturating_sub(io.now().saturating_duration_since(since)),
        };
        let (server, number) = (Rc::clone(&self.server), self.number);
        let idle = self.since.is_none();
        let receive = io.recv(self, input, Connection::received);
        io.deadline(receive, wait);
        server.set_idle(number, idle.then_some(receive));
    }

    fn received(mut self: Box<Self>, io: &Io, input: Vec<u8>, result: io::Result<usize>) {
        self.server.set_idle(self.number, None);
        self.input = input;
        match result {
            Ok(0) => {}
            Ok(_) => {
                if self.since.is_none() {
                    self.since = Some(io.now());
                }
                self.advance(io);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut && self.since.is_some() => {
                self.refuse(408);
                self.flush(io);
            }
            Err(_) => {}
        }
    }

    /// Answers what has arrived whole, then sends, or receives more.
    fn advance(mut self: Box<Self>, io: &Io) {
        let mut used = 0;
        while !self.last && self.plan.is_none() && self.output.len() < OUTPUT_MAX {
            match self.body.drain(&self.input[used..]) {
                Ok((count, true)) => used += count,
                Ok((count, false)) => {
                    used += count;
                    break;
                }
                Err(status) => {
                    self.refuse(status);
                    break;
                }
            }
            match request::parse(&self.input[used..]) {
                Parsed::Partial => break,
                Parsed::Refused(status) => self.refuse(status),
                Parsed::Head(request, count) => {
                    let mut output = std::mem::take(&mut self.output);
                    let mut plan = None;
                    respond(&self.server, &request, &mut output, &mut plan);
                    let (last, body) = (request.close, request.body);
                    self.output = output;
                    self.plan = plan;
                    self.last |= last || self.server.is_draining();
                    self.body = body;
                    used += count;
                }
            }
        }
        if used > 0 {
            self.input.drain(..used);
            self.since = (!self.input.is_empty() || self.body != Body::None).then(|| io.now());
        }
        self.flush(io);
    }

    fn refuse(&mut self, status: u16) {
        self.last = true;
        self.plan = None;
        response::refusal(&self.server, status, &mut self.output);
    }

    /// Sends what waits; without any, goes on at once.
    fn flush(mut self: Box<Self>, io: &Io) {
        if self.output.is_empty() {
            // Nothing was answered, so what has arrived is not a whole request.
            return self.proceed(io, Connection::receive);
        }
        let output = std::mem::take(&mut self.output);
        let send = io.send_all(self, output, |mut connection, io, mut output, result| {
            if result.is_ok() {
                output.clear();
                connection.output = output;
                connection.sent_all(io);
            }
        });
        io.deadline(send, SEND);
    }

    fn sent_all(self: Box<Self>, io: &Io) {
        // Answering may have stopped because enough output waited, or for a file.
        let next = if self.input.is_empty() { Connection::receive } else { Connection::advance };
        self.proceed(io, next);
    }

    fn proceed(mut self: Box<Self>, io: &Io, next: fn(Box<Self>, &Io)) {
        match self.plan.take() {
            Some(plan) => self.fetch(io, plan),
            None if self.last => self.finish(io),
            None => next(self, io),
        }
    }

    /// Has the pool open the file, or read its next part.
    fn fetch(self: Box<Self>, io: &Io, plan: Plan) {
        io.offload(
            self,
            move || plan.next_part(),
            |mut connection, io, result| {
                // Without a part the head promised bytes that the file no longer has, and only a close
                // says so.
                if let Ok(Ok((part, plan))) = result {
                    let head = plan.head(&connection.server, connection.last);
                    connection.output.extend_from_slice(&head);
                    connection.output.extend_from_slice(&part);
                    connection.plan = plan.rest();
                    connection.flush(io);
                }
            },
        );
    }

    /// Closes so that the last response arrives: half-close, then drain what still comes.
    fn finish(self: Box<Self>, io: &Io) {
        io.shutdown(self, Shutdown::Write, |connection, io, result| {
            if result.is_ok() {
                let until = io.now() + LINGER;
                connection.drain(io, until);
            }
        });
    }

    fn drain(mut self: Box<Self>, io: &Io, until: Instant) {
        let mut input = std::mem::take(&mut self.input);
        input.clear();
        let left = until.saturating_duration_since(io.now());
        let receive = io.recv(self, input, move |mut connection, io, input, result| {
            connection.input = input;
            if matches!(result, Ok(count) if count > 0) && io.now() < until {
                connection.drain(io, until);
            }
        });
        io.deadline(receive, left);
    }
}

/// Answers one request: into the output, or by a plan for a file.
fn respond(server: &Server, request: &Request<'_>, output: &mut Vec<u8>, plan: &mut Option<Plan>) {
    server.mine().requests.fetch_add(1, Ordering::Relaxed);
    if request.expects_continue {
        output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    if let Some(status) = request.refused {
        return response::write(server, request, status, "text/plain", &[], output);
    }
    let path = request.path();
    match path {
        "/" => response::write(server, request, 200, page::TYPE, page::PAGE, output),
        "/hello" => response::write(server, request, 200, "text/plain", b"Hello, world!", output),
        "/stats.json" => {
            let json = server.figures.json();
            response::write(server, request, 200, "application/json", json.as_bytes(), output);
        }
        _ => match (&server.root, files::resolve(path)) {
            (Some(root), Ok(relative)) => *plan = Some(Plan::new(root, relative, request)),
            (_, Err(status)) => response::write(server, request, status, "text/plain", &[], output),
            (None, _) => response::write(server, request, 404, "text/plain", &[], output),
        },
    }
    debug_assert!(IoBuf::len(output) > 0 || plan.is_some(), "every request is answered");
}
