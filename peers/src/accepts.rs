//! The load of `accept`: connects, waits for the server to close the connection, and again.
//!
//! On one machine a connection is made inside connect(2): the handshake is over when the call
//! returns. So calls that block cost least here, and so many connections are under way as
//! [`Plan::connections`](crate::client::Plan) says: each is waited for when it is the oldest.

use crate::client::{self, Mark, Outcome, Plan};
use crate::sys::net;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest wait for a connection to be closed.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// Connects again and again until the plan is fulfilled.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let (mut open, mut outcome, mut closed) = (VecDeque::new(), Outcome::default(), 0);
    client::rest(plan);
    let first = Instant::now();
    let warm_up = Duration::from_secs_f64(if plan.messages.is_some() { 0.0 } else { plan.warm_up });
    let mut begin = None;
    loop {
        let elapsed = first.elapsed();
        if begin.is_none() && elapsed >= warm_up {
            outcome.latency.clear();
            begin = Some(Mark::now(plan, closed)?);
        }
        let is_over = match plan.messages {
            Some(messages) => closed == messages,
            None => elapsed >= warm_up + Duration::from_secs_f64(plan.seconds),
        };
        if let Some(begin) = begin.as_ref().filter(|_| is_over) {
            begin.until(&Mark::now(plan, closed)?, &mut outcome);
            return Ok(outcome);
        }
        while open.len() < plan.connections as usize {
            let started = Instant::now();
            let stream = TcpStream::connect(plan.addr)?;
            stream.set_read_timeout(Some(CLOSE_MAX))?;
            open.push_back((started, stream));
        }
        let Some((started, stream)) = open.pop_front() else {
            return Err(io::Error::other("no connections to make"));
        };
        closed_by_peer(stream)?;
        outcome.latency.record(started.elapsed().as_nanos() as u64, 1);
        closed += 1;
    }
}

fn closed_by_peer(mut stream: TcpStream) -> io::Result<()> {
    // A server that closes what it has not received all of resets the connection: here there is
    // nothing to receive.
    loop {
        match stream.read(&mut [0]) {
            Ok(0) => return net::forget(stream),
            Ok(_) => return Err(io::Error::other("bytes, where the end was expected")),
            // A read with a time limit is not restarted (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
