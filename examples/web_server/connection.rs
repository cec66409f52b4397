//! One connection: a state machine whose transitions are callbacks that own it.
//!
//! ```text
//!  receive ──▶ received ──▶ advance ──▶ send ──▶ sent_all ──▶ receive …
//!     ▲            │ more needed │ a file                     │ the last response
//!     └────────────┘             └▶ begin_file ▶ send_part…   └▶ finish: half-close, drain, close
//! ```
//!
//! I1. It is in one operation at a time, or in one callback: whoever has it is alone with it.
//! I2. Every operation on the socket has a deadline, so no peer keeps it for ever.
//! I3. While a response waits to be taken nothing is received, so no peer makes it grow.

use std::io;
use std::net::Shutdown;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tigereye::{AsSource, File, Io, IoBuf, Source, TcpStream};

use crate::files::{self, Part, Plan};
use crate::page;
use crate::request::{self, Body, Parsed, Persistence, Request};
use crate::response;
use crate::server::Server;

/// How long input is drained after the last response, so that it arrives (closing with unread
/// input resets the connection).
const LINGER: Duration = Duration::from_secs(2);
const INPUT_BYTES: usize = 4096;
/// No further pipelined request is answered while this much output waits.
const OUTPUT_MAX: usize = 64 * 1024;
/// An idle connection keeps no larger buffers than this.
const KEPT_BYTES: usize = 16 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    server: Rc<Server>,
    number: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    body: Body,
    /// By when the head or the body that is arriving must be whole. Set while it is waited for, and
    /// so not while a response is sent, in which nothing is received.
    until: Option<Instant>,
    last: bool,
    plan: Option<Plan>,
    part: Option<(Rc<File>, Range<u64>)>,
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
            until: None,
            last: false,
            plan: None,
            part: None,
        };
        Box::new(connection).receive(io);
    }

    fn receive(mut self: Box<Self>, io: &Io) {
        let (server, number) = (Rc::clone(&self.server), self.number);
        let limits = server.settings.limits;
        let is_idle = self.input.is_empty() && self.body == Body::None;
        let wait = if is_idle {
            self.input.shrink_to(KEPT_BYTES);
            self.output.shrink_to(KEPT_BYTES);
            // What has arrived by now is still answered when the server is about to stop.
            if server.is_draining() { Duration::ZERO } else { limits.idle }
        } else {
            let patience = if self.body == Body::None { limits.head } else { limits.idle };
            let until = *self.until.get_or_insert_with(|| io.now() + patience);
            let left = until.saturating_duration_since(io.now());
            if left.is_zero() {
                return self.timed_out(io);
            }
            left
        };
        let mut input = std::mem::take(&mut self.input);
        if input.capacity() - input.len() < INPUT_BYTES / 2 {
            input.reserve(INPUT_BYTES);
        }
        let receive = io.recv(self, input, Connection::received);
        io.deadline(receive, wait);
        server.set_idle(number, is_idle.then_some(receive));
    }

    fn received(mut self: Box<Self>, io: &Io, input: Vec<u8>, result: io::Result<usize>) {
        self.server.set_idle(self.number, None);
        self.input = input;
        match result {
            Ok(0) => {}
            Ok(_) => self.advance(io),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.timed_out(io),
            Err(_) => {}
        }
    }

    /// Nothing came for too long, or too little. Only a head that has begun is answered: an idle
    /// peer has asked for nothing, and a body's request has its answer already.
    fn timed_out(mut self: Box<Self>, io: &Io) {
        if !self.input.is_empty() && self.body == Body::None {
            self.refuse(408);
            self.flush(io);
        }
    }

    /// Answers what has arrived whole, then sends, or receives more.
    fn advance(mut self: Box<Self>, io: &Io) {
        let mut used = 0;
        while !self.last && self.plan.is_none() && self.output.len() < OUTPUT_MAX {
            let had_body = self.body != Body::None;
            match self.body.drain(&self.input[used..]) {
                Ok((count, is_whole)) => {
                    used += count;
                    if !is_whole {
                        break;
                    }
                }
                Err(status) => {
                    self.refuse(status);
                    break;
                }
            }
            if had_body {
                self.until = None;
            }
            match request::parse(&self.input[used..]) {
                Parsed::Partial => break,
                Parsed::Refused(status) => self.refuse(status),
                Parsed::Head(mut request, count) => {
                    used += count;
                    let (output, plan) = (&mut self.output, &mut self.plan);
                    respond(io, &self.server, &mut request, output, plan);
                    self.last = request.persistence == Persistence::Close;
                    self.body = request.body;
                    self.until = None;
                }
            }
        }
        self.input.drain(..used);
        self.flush(io);
    }

    fn refuse(&mut self, status: u16) {
        self.last = true;
        response::refusal(&self.server, status, &mut self.output);
    }

    /// Sends what waits; without any, goes on at once.
    fn flush(mut self: Box<Self>, io: &Io) {
        if self.output.is_empty() {
            // Nothing was answered, so what has arrived is not a whole request.
            return self.proceed(io, Connection::receive);
        }
        let output = std::mem::take(&mut self.output);
        self.send(io, output, 0);
    }

    /// Sends the output from `sent` on, as much at a time as the system takes: so a deadline of each
    /// send bounds how long the peer takes nothing, not how long it takes for all.
    fn send(self: Box<Self>, io: &Io, output: Vec<u8>, sent: usize) {
        let patience = self.server.settings.limits.send;
        let send = io.send(self, output.slice(sent..), move |mut connection, io, part, result| {
            let mut output = part.into_inner();
            match result {
                Ok(count) if sent + count < output.len() => {
                    connection.send(io, output, sent + count);
                }
                Ok(_) => {
                    output.clear();
                    connection.output = output;
                    connection.sent_all(io);
                }
                // What the system still holds for a peer that does not read goes with the reset.
                Err(_) => drop(connection.stream.set_linger(Some(Duration::ZERO))),
            }
        });
        io.deadline(send, patience);
    }

    fn sent_all(self: Box<Self>, io: &Io) {
        // Answering may have stopped because enough output waited, or for a file.
        let next = if self.input.is_empty() { Connection::receive } else { Connection::advance };
        self.proceed(io, next);
    }

    fn proceed(mut self: Box<Self>, io: &Io, next: fn(Box<Self>, &Io)) {
        if let Some(plan) = self.plan.take() {
            return self.begin_file(io, plan);
        }
        match self.part.take() {
            Some((file, range)) => self.send_part(io, file, range),
            None if self.last => self.finish(io),
            None => next(self, io),
        }
    }

    /// Has the pool open the file, and write the head into the output.
    fn begin_file(mut self: Box<Self>, io: &Io, plan: Plan) {
        let mut output = std::mem::take(&mut self.output);
        let begin = move || {
            let part = plan.begin(&mut output)?;
            Ok((output, part))
        };
        io.offload(self, begin, |mut connection, io, result: io::Result<io::Result<_>>| {
            // Else the head promised bytes that the file no longer has, and only a close says so.
            if let Ok(Ok((output, part))) = result {
                connection.output = output;
                connection.part = part.map(|Part { file, offset, count }| {
                    (Rc::new(File::from_std(io, file)), offset..offset + count)
                });
                connection.flush(io);
            }
        });
    }

    /// Sends from the file, as much at a time as the system takes; as for [`send`](Self::send) a
    /// deadline of each bounds how long the peer takes nothing.
    fn send_part(self: Box<Self>, io: &Io, file: Rc<File>, range: Range<u64>) {
        let (start, left) = (range.start, range.end - range.start);
        let patience = self.server.settings.limits.send;
        let source = Rc::clone(&file);
        let send = io.send_file(self, &*source, start, left, move |connection, io, result| {
            match result {
                // The file has shrunk.
                Ok(0) => {}
                Ok(count) if count < left => {
                    connection.send_part(io, file, start + count..range.end);
                }
                Ok(_) => connection.sent_all(io),
                Err(_) => drop(connection.stream.set_linger(Some(Duration::ZERO))),
            }
        });
        io.deadline(send, patience);
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
fn respond(
    io: &Io,
    server: &Server,
    request: &mut Request<'_>,
    output: &mut Vec<u8>,
    plan: &mut Option<Plan>,
) {
    server.figures().count_request();
    if server.is_draining() {
        request.persistence = Persistence::Close;
    }
    if request.expects_continue {
        output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let path = request.path();
    let (status, kind, body): (u16, &str, &[u8]) = match (request.refused, path) {
        (Some(status), _) => (status, "text/plain", &[]),
        (None, "/") => (200, page::TYPE, page::PAGE),
        (None, "/hello") => (200, "text/plain", b"Hello, world!"),
        (None, "/stats.json") => {
            // This loop's are the newest; the others' are as old as their last tick.
            server.figures().take(io.statistics());
            let json = server.settings.figures.json(server.driver);
            let kind = "application/json";
            return response::write(server, request, 200, kind, json.as_bytes(), output);
        }
        (None, path) => match (&server.settings.root, files::resolve(path)) {
            (Some(root), Ok(relative)) => {
                let date = server.with_date(|date| String::from_utf8_lossy(date).into_owned());
                *plan = Some(Plan::new(root, relative, date, request));
                return;
            }
            (_, Err(status)) => (status, "text/plain", &[]),
            (None, Ok(_)) => (404, "text/plain", &[]),
        },
    };
    response::write(server, request, status, kind, body, output);
}
