//! What is in the files of a node, and what they still say after a crash. No file is touched here.
//!
//! ```text
//!   log:    │ group │ group │ group │ …       one is written at a time, and synced
//!   group:  magic │ length │ number │ checksum before │ checksum │ records … │ zeroes to a sector's end
//!   mark:   │ slot │ slot │                   the number and checksum of the last group that is synced
//! ```
//!
//! A group is written and synced, then a slot of the mark, the one that has the older number; only then
//! is anything acknowledged that the group holds. So after a crash
//!
//! I1. the log holds all groups up to the mark's, and perhaps one more, or a torn part of it. That one is
//!     kept where it is whole: the mark may be older than it was, for its last slot may be lost.
//! I2. where the log ends before the mark, or has whole groups behind one that is not, the disk has lost
//!     what it had synced: the node may not vote with what is left ([`Damage`]).
//! I3. a torn slot leaves the other one. Where both are gone, nobody knows what was acknowledged: this
//!     is damage, too.
//!
//! One loss of synced data is always noticed so; two at once, of the last group and of the last slot, could
//! pass for a crash. That a sector cannot be read is noticed however often it happens.

use std::rc::Rc;

use crate::bytes::{Reader, Writer, checksum};

pub(crate) const SECTOR: usize = 512;
const HEADER: usize = 40;
const MAGIC: u64 = u64::from_le_bytes(*b"tglog 1\n");

/// What the cluster agrees on, one behind the other; the first one has index 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The term of the leader that made it.
    pub(crate) term: u64,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A leader begins its term.
    Begin,
    /// A client's record, and which one of its it is.
    Put { client: u64, number: u64, payload: Rc<[u8]> },
    /// A node that had lost its disk has all again that it can have acknowledged, once this is committed.
    Admit { node: u8, token: u64 },
}

/// What a node writes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// The term, and whom the node votes for in it.
    Term { term: u64, vote: Option<u8> },
    /// An entry, which takes the place of what was at its index, and of all behind that.
    Entry { index: u64, entry: Entry },
    /// The node begins again after its disk has lost something.
    Lost { token: u64 },
    /// It counts again.
    Admitted,
}

impl Entry {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.u64(self.term);
        match &self.content {
            Content::Begin => to.u8(0),
            Content::Put { client, number, payload } => {
                to.u8(1);
                to.u64(*client);
                to.u64(*number);
                to.bytes(payload);
            }
            Content::Admit { node, token } => {
                to.u8(2);
                to.u8(*node);
                to.u64(*token);
            }
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Entry> {
        let term = from.u64()?;
        let content = match from.u8()? {
            0 => Content::Begin,
            1 => Content::Put {
                client: from.u64()?,
                number: from.u64()?,
                payload: from.bytes()?.into(),
            },
            2 => Content::Admit { node: from.u8()?, token: from.u64()? },
            _ => return None,
        };
        Some(Entry { term, content })
    }

    /// A number that tells entries apart.
    pub(crate) fn digest(&self) -> u64 {
        let mut bytes = Writer::default();
        self.write(&mut bytes);
        checksum(0, &bytes.0)
    }
}

impl Record {
    pub(crate) fn write(&self, to: &mut Writer) {
        match self {
            Record::Term { term, vote } => {
                to.u8(1);
                to.u64(*term);
                to.u8(vote.unwrap_or(u8::MAX));
            }
            Record::Entry { index, entry } => {
                to.u8(2);
                to.u64(*index);
                entry.write(to);
            }
            Record::Lost { token } => {
                to.u8(3);
                to.u64(*token);
            }
            Record::Admitted => to.u8(4),
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Record> {
        Some(match from.u8()? {
            1 => Record::Term {
                term: from.u64()?,
                vote: from.u8().map(|vote| (vote != u8::MAX).then_some(vote))?,
            },
            2 => Record::Entry { index: from.u64()?, entry: Entry::read(from)? },
            3 => Record::Lost { token: from.u64()? },
            4 => Record::Admitted,
            _ => return None,
        })
    }
}

/// What the records say, all in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) term: u64,
    pub(crate) vote: Option<u8>,
    pub(crate) entries: Vec<Entry>,
    /// The node may not vote: it has lost something, and this tells one such loss from another.
    pub(crate) lost: Option<u64>,
}

impl History {
    fn apply(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Term { term, vote } => (self.term, self.vote) = (term, vote),
            Record::Entry { index, entry } => {
                let at = usize::try_from(index.checked_sub(1)?).ok()?;
                if at > self.entries.len() {
                    return None;
                }
                self.entries.truncate(at);
                self.entries.push(entry);
            }
            Record::Lost { token } => self.lost = Some(token),
            Record::Admitted => self.lost = None,
        }
        Some(())
    }
}

/// A group by its number and checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) checksum: u64,
}

impl Mark {
    /// Its slot of the mark's file, and where that is.
    pub(crate) fn slot(self) -> (Vec<u8>, u64) {
        let mut slot = Writer::default();
        for value in [MAGIC, self.number, self.checksum] {
            slot.u64(value);
        }
        slot.u64(checksum(0, &slot.0));
        slot.0.resize(SECTOR, 0);
        (slot.0, self.number % 2 * SECTOR as u64)
    }

    fn read(slot: &[u8]) -> Option<Mark> {
        let mut from = Reader(slot);
        let (magic, number, sum) = (from.u64()?, from.u64()?, from.u64()?);
        let is_whole = magic == MAGIC && checksum(0, slot.get(..24)?) == from.u64()?;
        is_whole.then_some(Mark { number, checksum: sum })
    }
}

/// A group of records, ready to be written behind the group `before`.
pub(crate) fn group(records: &[u8], before: Mark) -> (Vec<u8>, Mark) {
    let mut group = Writer::default();
    let number = before.number + 1;
    for value in [MAGIC, records.len() as u64, number, before.checksum] {
        group.u64(value);
    }
    let sum = checksum(checksum(0, &group.0), records);
    group.u64(sum);
    group.0.extend_from_slice(records);
    group.0.resize(group.0.len().next_multiple_of(SECTOR), 0);
    (group.0, Mark { number, checksum: sum })
}

/// The group at the beginning of these bytes, if a whole one is there: what is before it, what it is,
/// its records and its length.
fn read_group(bytes: &[u8]) -> Option<(u64, Mark, &[u8], usize)> {
    let mut from = Reader(bytes);
    let (magic, len, number, before, sum) =
        (from.u64()?, from.u64()?, from.u64()?, from.u64()?, from.u64()?);
    if magic != MAGIC {
        return None;
    }
    let records = from.take(usize::try_from(len).ok()?)?;
    let is_whole = checksum(checksum(0, &bytes[..HEADER - 8]), records) == sum;
    let mark = Mark { number, checksum: sum };
    is_whole.then(|| (before, mark, records, (HEADER + records.len()).next_multiple_of(SECTOR)))
}

/// What was synced is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A sector cannot be read.
    Unreadable,
    /// Nothing says how much was synced.
    NoMark,
    /// The log ends before the mark.
    Short,
    /// A group follows one that is not whole.
    Hole,
    /// A group is whole, and no history.
    Nonsense,
}

/// A log as far as it is whole.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) history: History,
    /// The last group, and where it begins and ends.
    pub(crate) last: Mark,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What two files still say.
pub(crate) fn recover(log: &[u8], mark: &[u8]) -> Result<Recovered, Damage> {
    let marks = mark.chunks_exact(SECTOR).take(2).filter_map(Mark::read);
    let mark = marks.max_by_key(|mark| mark.number).ok_or(Damage::NoMark)?;
    let mut found = Recovered::default();
    // What the mark says is in the log as it says.
    let mut is_reached = false;
    while let Some((before, group, records, len)) = log.get(found.end..).and_then(read_group) {
        if (before, group.number) != (found.last.checksum, found.last.number + 1) {
            break;
        }
        let mut records = Reader(records);
        while !records.0.is_empty() {
            let record = Record::read(&mut records).ok_or(Damage::Nonsense)?;
            found.history.apply(record).ok_or(Damage::Nonsense)?;
        }
        is_reached |= group == mark;
        (found.start, found.end, found.last) = (found.end, found.end + len, group);
    }
    if !is_reached {
        return Err(Damage::Short);
    }
    let rest = log.get(found.end..).unwrap_or_default();
    let mut later = (0..rest.len()).step_by(SECTOR).filter_map(|at| read_group(&rest[at..]));
    // What a group has left there that was never acknowledged has the next number at most.
    match later.any(|(_, group, ..)| group.number > found.last.number + 1) {
        true => Err(Damage::Hole),
        false => Ok(found),
    }
}
