//! The jobs of a pool that no thread has taken yet, first in, first out; one can be taken out from
//! the middle. Places are used again, so that a steady load allocates nothing.

use super::Job;
use crate::op::Op;
use crate::slot::NONE;

/// Where a job is queued, and whose it is: a name for [`JobQueue::remove`]. A place can have a
/// new tenant, an operation's name is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobId {
    pub(crate) place: u32,
    pub(crate) owner: Op,
}

struct Place {
    /// None: the place is free.
    job: Option<Job>,
    owner: Op,
    prev: u32,
    /// In a free place the next free one.
    next: u32,
}

pub(super) struct JobQueue {
    places: Vec<Place>,
    first: u32,
    last: u32,
    free: u32,
    len: usize,
}

impl JobQueue {
    pub(super) fn new() -> JobQueue {
        JobQueue { places: Vec::new(), first: NONE, last: NONE, free: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, owner: Op, job: Job) -> JobId {
        let entry = Place { job: Some(job), owner, prev: self.last, next: NONE };
        let place = if self.free == NONE {
            self.places.push(entry);
            u32::try_from(self.places.len() - 1).unwrap_or(NONE)
        } else {
            let place = self.free;
            self.free = std::mem::replace(&mut self.places[place as usize], entry).next;
            place
        };
        match std::mem::replace(&mut self.last, place) {
            NONE => self.first = place,
            last => self.places[last as usize].next = place,
        }
        self.len += 1;
        JobId { place, owner }
    }

    /// The oldest job.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let place = self.first;
        let owner = self.places.get(place as usize)?.owner;
        self.remove(JobId { place, owner })
    }

    /// Takes a job out, if it is still there.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        let entry =
            self.places.get_mut(id.place as usize).filter(|entry| entry.owner == id.owner)?;
        let job = entry.job.take()?;
        let (prev, next) = (entry.prev, std::mem::replace(&mut entry.next, self.free));
        self.free = id.place;
        match prev {
            NONE => self.first = next,
            prev => self.places[prev as usize].next = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.places[next as usize].prev = prev,
        }
        self.len -= 1;
        Some(job)
    }
}
