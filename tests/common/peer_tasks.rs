//! What a peer does beside the loop under test: on a thread with the standard library, by callbacks in
//! the simulator.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tigereye::{Io, TcpStream};

use super::{PATIENCE, Peer, Place, Simulated};

thread_local! {
    /// The loops of this thread's simulated peers.
    static LOOPS: RefCell<Vec<Weak<Io>>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn enlist(io: &Rc<Io>) {
    LOOPS.with_borrow_mut(|loops| loops.push(Rc::downgrade(io)));
}

fn peers() -> Vec<Rc<Io>> {
    LOOPS.with_borrow(|loops| loops.iter().filter_map(Weak::upgrade).collect())
}

/// Has the loops of simulated peers turn once.
pub(crate) fn poll_peers() {
    peers().iter().for_each(|peer| peer.poll().unwrap());
}

/// Runs a loop until it is idle, and what peers do meanwhile.
pub(crate) fn run_beside_peers(io: &Io, longest: Duration) {
    const SLICE: Duration = Duration::from_millis(1);
    let peers = peers();
    let end = io.now() + longest;
    while io.in_flight() > 0 && io.now() < end && peers.iter().any(|peer| peer.in_flight() > 0) {
        io.run_for(SLICE).unwrap();
        peers.iter().for_each(|peer| peer.poll().unwrap());
    }
    io.run_for(end.saturating_duration_since(io.now())).unwrap();
}

/// Something that a peer does.
pub(crate) enum Task<T> {
    Thread(JoinHandle<T>),
    Simulated(Rc<Io>, Place<T>),
}

impl<T> Task<T> {
    /// Whether it is over.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Task::Thread(thread) => thread.is_finished(),
            Task::Simulated(io, place) => {
                io.poll().unwrap();
                place.borrow().is_some()
            }
        }
    }

    /// What came of it.
    pub(crate) fn join(self) -> T {
        match self {
            Task::Thread(thread) => thread.join().unwrap(),
            Task::Simulated(io, place) => {
                io.run_for(PATIENCE).unwrap();
                place.take().expect("the peer waits for ever")
            }
        }
    }
}

fn ask(io: &Io, stream: Rc<TcpStream>, mut rounds: Range<u16>, end: Place<()>) {
    let Some(round) = rounds.next() else {
        end.replace(Some(()));
        return;
    };
    let message = round.to_ne_bytes();
    io.send_all(stream, message.to_vec(), move |stream, io, _buf, result| {
        result.unwrap();
        io.recv_exact(stream, Vec::with_capacity(2), 2, move |stream, io, answer, result| {
            result.unwrap();
            assert_eq!(answer, message);
            ask(io, stream, rounds, end);
        });
    });
}

/// Sends the pieces one after the other.
fn send_pieces(
    io: &Io,
    stream: Rc<TcpStream>,
    mut pieces: std::vec::IntoIter<Vec<u8>>,
    end: Place<()>,
) {
    let Some(piece) = pieces.next() else {
        end.replace(Some(()));
        return;
    };
    io.send_all(stream, piece, move |stream, io, _piece, result| {
        result.unwrap();
        send_pieces(io, stream, pieces, end);
    });
}

fn receive(
    io: &Io,
    stream: Rc<TcpStream>,
    mut all: Vec<u8>,
    len: usize,
    end: impl FnOnce(&Io, Rc<TcpStream>, Vec<u8>) + 'static,
) {
    if all.len() == len {
        return end(io, stream, all);
    }
    all.reserve_exact(3000.min(len - all.len()));
    let room = vec![0; 3000.min(len - all.len())].into_boxed_slice();
    io.recv(stream, room, move |stream, io, room, result| match result.unwrap() {
        0 => end(io, stream, all),
        count => {
            all.extend(&room[..count]);
            receive(io, stream, all, len, end);
        }
    });
}

impl Peer {
    /// Reads so many bytes, bit by bit, or up to an earlier end.
    pub(crate) fn reads(self, len: usize) -> Task<Vec<u8>> {
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                let mut all = Vec::new();
                while all.len() < len {
                    let mut room = vec![0; 3000.min(len - all.len())];
                    match super::read_patiently(&mut stream, &mut room) {
                        0 => break,
                        count => all.extend(&room[..count]),
                    }
                }
                all
            })),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                receive(&io, stream, Vec::new(), len, move |_io, _stream, all| {
                    put.replace(Some(all));
                });
                Task::Simulated(io, place)
            }
        }
    }

    /// Reads to the end.
    pub(crate) fn reads_to_end(self) -> Task<Vec<u8>> {
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                all
            })),
            simulated @ Peer::Simulated(_) => simulated.reads(usize::MAX),
        }
    }

    /// Sends so many numbers, one after the other, each of which is to come back.
    pub(crate) fn asks(self, rounds: u16) -> Task<()> {
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                for round in 0..rounds {
                    let (message, mut answer) = (round.to_ne_bytes(), [0; 2]);
                    stream.write_all(&message).unwrap();
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, message);
                }
            })),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                ask(&io, stream, 0..rounds, Rc::clone(&place));
                Task::Simulated(io, place)
            }
        }
    }

    /// Reads to the end, then writes all of it.
    pub(crate) fn reads_to_end_and_writes(self, bytes: &'static [u8]) -> Task<Vec<u8>> {
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(bytes).unwrap();
                all
            })),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                receive(&io, stream, Vec::new(), usize::MAX, move |io, stream, all| {
                    io.send_all(stream, bytes, move |_stream, _io, _buf, result| {
                        result.unwrap();
                        put.replace(Some(all));
                    });
                });
                Task::Simulated(io, place)
            }
        }
    }

    /// Writes all of it, then reads to the end.
    pub(crate) fn writes_and_reads_to_end(self, bytes: Vec<u8>) -> Task<Vec<u8>> {
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                stream.write_all(&bytes).unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                all
            })),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                io.send_all(stream, bytes, move |stream, io, _buf, result| {
                    result.unwrap();
                    receive(io, stream, Vec::new(), usize::MAX, move |_io, _stream, all| {
                        put.replace(Some(all));
                    });
                });
                Task::Simulated(io, place)
            }
        }
    }

    /// Writes it piece by piece.
    pub(crate) fn writes_in_pieces(self, bytes: &[u8], piece: usize) -> Task<()> {
        let pieces: Vec<Vec<u8>> = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
        match self {
            Peer::Real(mut stream) => Task::Thread(std::thread::spawn(move || {
                for piece in pieces {
                    stream.write_all(&piece).unwrap();
                    std::thread::yield_now();
                }
            })),
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                send_pieces(&io, stream, pieces.into_iter(), Rc::clone(&place));
                Task::Simulated(io, place)
            }
        }
    }

    /// Writes all of it, and closes the connection.
    pub(crate) fn writes(self, bytes: Vec<u8>) -> Task<()> {
        match self {
            Peer::Real(mut stream) => {
                Task::Thread(std::thread::spawn(move || stream.write_all(&bytes).unwrap()))
            }
            Peer::Simulated(Simulated { stream, io }) => {
                let place = Place::default();
                let put = Rc::clone(&place);
                io.send_all(stream, bytes, move |_stream, _io, _buf, result| {
                    result.unwrap();
                    put.replace(Some(()));
                });
                Task::Simulated(io, place)
            }
        }
    }
}
