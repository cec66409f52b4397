//! What nodes and clients say to each other: frames over TCP.
//!
//! ```text
//!   frame:  length │ checksum │ number │ kind │ fields …
//! ```
//!
//! A reply has the number of its request: replies come in any order, for some wait for the disk.

use std::io;
use std::rc::Rc;

use tigereye::TcpStream;

use crate::bytes::{Reader, Writer, checksum};
use crate::log::Entry;

/// The longest frame that is taken.
const FRAME_MAX: usize = 1 << 20;
const HEADER: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Of a request, or of the request that this replies to.
    pub(crate) number: u64,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// A candidate asks for a vote.
    Vote {
        from: u8,
        term: u64,
        last_index: u64,
        last_term: u64,
    },
    Voted {
        term: u64,
        granted: bool,
    },
    /// A leader has entries to put behind the one at `prev_index`, or wants to be heard of.
    Append {
        from: u8,
        term: u64,
        prev_index: u64,
        prev_term: u64,
        commit: u64,
        entries: Vec<Entry>,
    },
    Appended {
        term: u64,
        outcome: Outcome,
        lost: Option<u64>,
    },
    /// A client has a record, the `sequence`th of its own.
    Put {
        client: u64,
        sequence: u64,
        payload: Rc<[u8]>,
    },
    /// It is committed, at this index.
    Done {
        index: u64,
    },
    /// Somebody else leads, or nobody.
    Elsewhere {
        leader: Option<u8>,
    },
}

/// What became of entries that were to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They are on the disk, with all before them.
    Stored,
    /// What comes before them is not there; something up to here may be.
    Differs { hint: u64 },
}

fn write_optional(value: Option<u64>, to: &mut Writer) {
    to.u8(value.is_some().into());
    to.u64(value.unwrap_or(0));
}

fn read_optional(from: &mut Reader<'_>) -> Option<Option<u64>> {
    let is_some = from.u8()? == 1;
    let value = from.u64()?;
    Some(is_some.then_some(value))
}

impl Body {
    fn write(&self, to: &mut Writer) {
        match self {
            Body::Vote { from, term, last_index, last_term } => {
                to.u8(1);
                to.u8(*from);
                for value in [*term, *last_index, *last_term] {
                    to.u64(value);
                }
            }
            Body::Voted { term, granted } => {
                to.u8(2);
                to.u64(*term);
                to.u8((*granted).into());
            }
            Body::Append { from, term, prev_index, prev_term, commit, entries } => {
                to.u8(3);
                to.u8(*from);
                for value in [*term, *prev_index, *prev_term, *commit] {
                    to.u64(value);
                }
                entries.iter().for_each(|entry| entry.write(to));
            }
            Body::Appended { term, outcome, lost } => {
                to.u8(4);
                to.u64(*term);
                let hint = match outcome {
                    Outcome::Stored => None,
                    Outcome::Differs { hint } => Some(*hint),
                };
                write_optional(hint, to);
                write_optional(*lost, to);
            }
            Body::Put { client, sequence, payload } => {
                to.u8(5);
                for value in [*client, *sequence] {
                    to.u64(value);
                }
                to.bytes(payload);
            }
            Body::Done { index } => {
                to.u8(6);
                to.u64(*index);
            }
            Body::Elsewhere { leader } => {
                to.u8(7);
                to.u8(leader.unwrap_or(u8::MAX));
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Body> {
        Some(match from.u8()? {
            1 => Body::Vote {
                from: from.u8()?,
                term: from.u64()?,
                last_index: from.u64()?,
                last_term: from.u64()?,
            },
            2 => Body::Voted { term: from.u64()?, granted: from.u8()? == 1 },
            3 => Body::Append {
                from: from.u8()?,
                term: from.u64()?,
                prev_index: from.u64()?,
                prev_term: from.u64()?,
                commit: from.u64()?,
                entries: read_entries(from)?,
            },
            4 => Body::Appended {
                term: from.u64()?,
                outcome: match read_optional(from)? {
                    None => Outcome::Stored,
                    Some(hint) => Outcome::Differs { hint },
                },
                lost: read_optional(from)?,
            },
            5 => Body::Put {
                client: from.u64()?,
                sequence: from.u64()?,
                payload: from.bytes()?.into(),
            },
            6 => Body::Done { index: from.u64()? },
            7 => Body::Elsewhere { leader: from.u8().map(|id| (id != u8::MAX).then_some(id))? },
            _ => return None,
        })
    }
}

fn read_entries(from: &mut Reader<'_>) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !from.0.is_empty() {
        entries.push(Entry::read(from)?);
    }
    Some(entries)
}

impl Message {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = Writer(vec![0; HEADER]);
        frame.u64(self.number);
        self.body.write(&mut frame);
        let (head, body) = frame.0.split_at_mut(HEADER);
        head[..8].copy_from_slice(&(body.len() as u64).to_le_bytes());
        head[8..].copy_from_slice(&checksum(0, body).to_le_bytes());
        frame.0
    }
}

/// A connection as it is used here: what is sent is small, and waited for. A system may connect a socket
/// to itself where nobody listens at a port of those that it gives to clients (tcp_v4_connect in Linux):
/// that is nobody's connection.
pub(crate) fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Bytes that came, of which whole frames are taken.
#[derive(Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

/// What came is no frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Incoming {
    /// A buffer to receive into, behind what has come; it is given [back](Incoming::give).
    pub(crate) fn room(&mut self) -> Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.reserve(4096);
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn give(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// The next message, if all of it has come.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Malformed> {
        let mut from = Reader(&self.bytes[self.taken..]);
        let (Some(len), Some(sum)) = (from.u64(), from.u64()) else { return Ok(None) };
        let len = usize::try_from(len).ok().filter(|&len| len <= FRAME_MAX).ok_or(Malformed)?;
        let Some(body) = from.take(len) else { return Ok(None) };
        if checksum(0, body) != sum {
            return Err(Malformed);
        }
        let mut from = Reader(body);
        let number = from.u64().ok_or(Malformed)?;
        let body = Body::read(&mut from).filter(|_| from.0.is_empty()).ok_or(Malformed)?;
        self.taken += HEADER + len;
        Ok(Some(Message { number, body }))
    }
}
