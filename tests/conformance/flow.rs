//! Pausing flows and taking them up again.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{AsSource, BufferPool, Io, Next, Op, Source, TcpListener, TcpStream, is_cancelled};

use crate::peer::{Peer, now};
use crate::{Counted, HANG, Log, any, finish, pair, pattern};

const SOON: Duration = Duration::from_millis(10);

/// A stream whose flow is known to its own callbacks.
struct Reader {
    stream: TcpStream,
    flow: Cell<Option<Op>>,
    paused: Cell<bool>,
    bytes: Log<u8>,
    pauses: Cell<u32>,
}

impl AsSource for Reader {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

fn reader(stream: TcpStream) -> Rc<Reader> {
    let (flow, paused) = (Cell::new(None), Cell::new(false));
    Rc::new(Reader { stream, flow, paused, bytes: Log::new(), pauses: Cell::new(0) })
}

/// Pauses at each item, for a while; no item comes meanwhile.
fn pause_often(reader: &mut Rc<Reader>, io: &Io, bytes: &[u8]) -> Next {
    assert!(!reader.paused.get(), "no item comes while the flow is paused");
    bytes.iter().for_each(|byte| reader.bytes.put(*byte));
    let flow = reader.flow.get().unwrap();
    io.pause(flow);
    reader.paused.set(true);
    reader.pauses.set(reader.pauses.get() + 1);
    let after = Duration::from_micros(u64::from(reader.pauses.get() % 4) * 50);
    io.timeout(Rc::clone(reader), after, move |reader, io, _result| {
        reader.paused.set(false);
        io.resume(flow);
    });
    Next::Continue
}

#[test]
fn a_receiving_flow_that_is_paused_at_every_item_loses_nothing() {
    const LEN: usize = 200_000;
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 16, 1024).unwrap();
    let (stream, peer) = pair(&io);
    let writer = peer.writes(pattern(LEN));
    let (reader, ends) = (reader(stream), Log::new());
    let put = ends.clone();
    let flow = io.recv_each(
        Rc::clone(&reader),
        &pool,
        |reader, io, buf| pause_often(reader, io, &buf),
        move |_reader, _io, result| put.put(result),
    );
    reader.flow.set(Some(flow));
    finish(&io);
    ends.one().unwrap();
    assert!(reader.bytes.take() == pattern(LEN), "all bytes, in order");
    assert!(reader.pauses.get() >= 100, "it was paused often");
    writer.join();
}

/// A flow of received bytes, which has begun: its name, what came, and its end.
fn begun(io: &Io, stream: TcpStream, pool: &BufferPool) -> (Op, Log<u8>, Log<io::Result<()>>) {
    let (bytes, ends) = (Log::new(), Log::new());
    let (byte, end) = (bytes.clone(), ends.clone());
    let flow = io.recv_each(
        stream,
        pool,
        move |_stream, _io, buf| {
            buf.iter().for_each(|&received| byte.put(received));
            Next::Continue
        },
        move |_stream, _io, result| end.put(result),
    );
    io.run_for(Duration::ZERO).unwrap();
    (flow, bytes, ends)
}

#[test]
fn what_is_sent_while_a_flow_is_paused_comes_when_it_is_resumed() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 64).unwrap();
    let (stream, mut peer) = pair(&io);
    let (flow, bytes, ends) = begun(&io, stream, &pool);
    io.pause(flow);
    io.pause(flow);
    peer.write_all(&pattern(1000)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    io.run_for(SOON).unwrap();
    assert_eq!((bytes.len(), ends.len()), (0, 0), "nothing comes while it is paused");
    io.resume(flow);
    finish(&io);
    assert!(bytes.take() == pattern(1000));
    ends.one().unwrap();
    io.resume(flow);
    io.pause(flow);
}

#[test]
fn an_accepting_flow_can_be_paused() {
    let io = Io::new().unwrap();
    let listener = TcpListener::bind(&io, any()).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Log::new();
    let put = accepted.clone();
    let flow = io.accept_each(
        listener,
        move |_listener, _io, stream| {
            put.put(stream);
            Next::Continue
        },
        |_listener, _io, _result| {},
    );
    io.run_for(Duration::ZERO).unwrap();
    io.pause(flow);
    let _peers: Vec<_> = (0..5).map(|_| Peer::connect(address).unwrap()).collect();
    io.run_for(SOON).unwrap();
    assert_eq!(accepted.len(), 0);
    io.resume(flow);
    while accepted.len() < 5 {
        io.run_once().unwrap();
    }
    io.cancel(flow);
    drop(accepted.take());
    finish(&io);
}

#[test]
fn missed_ticks_are_counted_after_a_pause() {
    let io = Io::new().unwrap();
    let ticks = Log::new();
    let put = ticks.clone();
    let flow = io.tick_each(
        (),
        Duration::from_millis(1),
        move |(), _io, periods| {
            put.put(periods);
            if periods > 1 { Next::Stop } else { Next::Continue }
        },
        |(), _io, result| result.unwrap(),
    );
    io.pause(flow);
    io.run_for(SOON).unwrap();
    assert_eq!(ticks.len(), 0);
    io.resume(flow);
    finish(&io);
    assert!(ticks.take().iter().sum::<u64>() >= 9, "the ticks of the pause are counted");
}

#[test]
fn a_cancel_and_a_deadline_end_a_pause_and_the_flow() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 64).unwrap();
    for by_deadline in [false, true] {
        let (stream, mut peer) = pair(&io);
        let (flow, bytes, ends) = begun(&io, stream, &pool);
        peer.write_all(&pattern(10)).unwrap();
        io.pause(flow);
        io.run_for(SOON).unwrap();
        if by_deadline {
            io.deadline(flow, SOON)
        } else {
            io.cancel(flow)
        }
        finish(&io);
        let error = ends.one().unwrap_err();
        match by_deadline {
            true => assert_eq!(error.kind(), ErrorKind::TimedOut),
            false => assert!(is_cancelled(&error)),
        }
        // What had arrived before the pause took effect was delivered, the rest is in the socket.
        assert!(bytes.len() <= 10);
    }
}

#[test]
fn a_flow_that_pauses_itself_and_stops_ends() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 4).unwrap();
    let (stream, mut peer) = pair(&io);
    peer.write_all(&pattern(12)).unwrap();
    let reader = reader(stream);
    let ends = Log::new();
    let end = ends.clone();
    let flow = io.recv_each(
        Rc::clone(&reader),
        &pool,
        |reader, io, buf| {
            buf.iter().for_each(|byte| reader.bytes.put(*byte));
            io.pause(reader.flow.get().unwrap());
            Next::Stop
        },
        move |_reader, _io, result| end.put(result),
    );
    reader.flow.set(Some(flow));
    finish(&io);
    ends.one().unwrap();
    assert!(reader.bytes.len() >= 4);
}

#[test]
fn rule4_closing_a_handle_ends_its_paused_flow() {
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 4).unwrap();
    let (stream, _peer) = pair(&io);
    let stream = Rc::new(stream);
    let ends = Log::new();
    let (flow_end, close_end) = (ends.clone(), ends.clone());
    let flow = io.recv_each(
        Rc::clone(&stream),
        &pool,
        |_stream, _io, _buf| Next::Continue,
        move |_stream, _io, result| flow_end.put(("flow", result.is_ok())),
    );
    io.run_for(Duration::ZERO).unwrap();
    io.pause(flow);
    io.run_for(Duration::ZERO).unwrap();
    io.close(stream, move |_stream, _io, result| close_end.put(("close", result.is_ok())));
    finish(&io);
    assert_eq!(ends.take(), [("flow", false), ("close", true)]);
}

#[test]
fn p25_rule7_the_loop_ends_with_a_paused_flow() {
    let drops = Rc::new(Cell::new(0));
    let io = Io::new().unwrap();
    let pool = BufferPool::new(&io, 4, 4).unwrap();
    let (stream, mut peer) = pair(&io);
    let flow = io.recv_each(
        Counted::new(stream, &drops),
        &pool,
        |_stream, _io, _buf| Next::Continue,
        |_stream, _io, _result| unreachable!("the loop's end runs no callback"),
    );
    io.run_for(Duration::ZERO).unwrap();
    peer.write_all(&pattern(64)).unwrap();
    io.pause(flow);
    io.run_for(SOON).unwrap();
    drop(io);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_deadline_ends_timers_and_ticks() {
    let io = Io::new().unwrap();
    let ends = Log::new();
    let end = |name| {
        let ends = ends.clone();
        move |(), _io: &Io, result: io::Result<()>| {
            ends.put((name, result.map_err(|error| error.kind())));
        }
    };
    let before = now(&io);
    let long = io.timeout((), HANG * 2, end("long"));
    io.deadline(long, HANG * 3);
    io.deadline(long, SOON);
    let short = io.timeout((), Duration::from_millis(1), end("short"));
    io.deadline(short, HANG * 2);
    let ticks = io.tick_each(
        (),
        Duration::from_millis(1),
        |(), _io, _periods| Next::Continue,
        end("ticks"),
    );
    io.deadline(ticks, SOON * 2);
    finish(&io);
    assert!(now(&io) - before >= SOON * 2, "no deadline is early");
    let late = Err(ErrorKind::TimedOut);
    assert_eq!(ends.take(), [("short", Ok(())), ("long", late), ("ticks", late)]);
}
