//! What a peer does beside the loop under test: on a thread with the standard library, by callbacks in
//! the simulator.

use std::cell::RefCell;
use std::io::{Read, Write};
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

/// Runs a loop until it is idle, and what peers do meanwhile.
pub(crate) fn run_beside_peers(io: &Io, longest: Duration) {
    const SLICE: Duration = Duration::from_millis(1);
    let peers: Vec<Rc<Io>> =
        LOOPS.with_borrow(|loops| loops.iter().filter_map(Weak::upgrade).collect());
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

fn receive(io: &Io, stream: Rc<TcpStream>, mut all: Vec<u8>, len: usize, end: Place<Vec<u8>>) {
    if all.len() == len {
        end.replace(Some(all));
        return;
    }
    all.reserve_exact(3000.min(len - all.len()));
    let room = vec![0; 3000.min(len - all.len())].into_boxed_slice();
    io.recv(stream, room, move |stream, io, room, result| match result.unwrap() {
        0 => {
            end.replace(Some(all));
        }
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
                receive(&io, stream, Vec::new(), len, Rc::clone(&place));
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
