//! What a file holds: as programs see it, and as it is on the disk.
//!
//! ```text
//!   write ──▶ now, and a change that waits ── sync ──▶ disk
//!                        └── power lost ──▶ each change: lost, torn, out of order, or done
//! ```
//!
//! I1. Where no change waits and no sync has failed, `now` and `disk` are the same.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::chance::Chance;
use super::image::Image;
use crate::driver::sim::FaultKind;

/// What a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;
/// Bytes that wait to be written, after which the system writes some of them by itself.
const WAITING_MAX: usize = 16 << 20;

enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Len(u64),
    Reserve(Range<u64>),
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Change::Write { offset, bytes } => image.write(*offset, bytes),
            Change::Len(len) => image.set_len(*len),
            Change::Reserve(bytes) => image.reserve(bytes),
        }
    }

    fn weight(&self) -> usize {
        if let Change::Write { bytes, .. } = self { bytes.len() } else { 0 }
    }
}

#[derive(Default)]
pub(super) struct Contents {
    now: Image,
    disk: Image,
    changes: Vec<Change>,
    /// Bytes of all changes.
    waiting: usize,
    /// Sectors that cannot be read until they are written.
    bad: BTreeSet<u64>,
}

/// The sectors that hold a range of bytes.
fn sectors_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / SECTOR..bytes.end.div_ceil(SECTOR)
}

impl Contents {
    pub(super) fn image(&self) -> &Image {
        &self.now
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.waiting += change.weight();
        self.changes.push(change);
        if self.waiting > WAITING_MAX {
            let half = self.changes.len().div_ceil(2);
            self.flush(half);
        }
    }

    /// Writes the oldest changes to the disk.
    fn flush(&mut self, count: usize) {
        for change in self.changes.drain(..count) {
            change.apply(&mut self.disk);
            self.waiting -= change.weight();
        }
    }

    /// Reads from `offset` on; nothing, where a sector cannot be read.
    pub(super) fn read(
        &mut self,
        offset: u64,
        room: &mut [MaybeUninit<u8>],
        chance: &mut Chance<'_>,
    ) -> Option<usize> {
        let end = offset.saturating_add(room.len() as u64).min(self.now.len());
        if offset >= end {
            return Some(0);
        }
        let sectors = sectors_of(&(offset..end));
        if chance.happens(FaultKind::LatentSectorError) {
            let last = sectors.end - 1;
            self.bad.insert(chance.size(FaultKind::LatentSectorError, sectors.start, last));
        }
        if self.bad.range(sectors).next().is_some() {
            return None;
        }
        if chance.happens(FaultKind::BitRot) {
            let bit = chance.size(FaultKind::BitRot, offset * 8, end * 8 - 1);
            for image in [&mut self.now, &mut self.disk] {
                image.flip(bit / 8, (bit % 8) as u8);
            }
        }
        let count = (end - offset) as usize;
        let from = self.misdirected(FaultKind::MisdirectedRead, offset, count, chance);
        let read = self.now.read(from, &mut room[..count]);
        // Another place may be near the end: there is as much as was asked for all the same.
        room[read..count].fill(MaybeUninit::new(0));
        Some(count)
    }

    /// Where a transfer goes: to where it should, or by so many sectors beside that.
    fn misdirected(
        &self,
        kind: FaultKind,
        offset: u64,
        len: usize,
        chance: &mut Chance<'_>,
    ) -> u64 {
        let end = self.now.len().max(offset + len as u64);
        let sectors = end.div_ceil(SECTOR);
        if sectors < 2 || !chance.happens(kind) {
            return offset;
        }
        let sector = chance.size(kind, 0, sectors - 2);
        let sector = if sector >= offset / SECTOR { sector + 1 } else { sector };
        sector * SECTOR + offset % SECTOR
    }

    /// Writes at `offset`.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], chance: &mut Chance<'_>) {
        let at = self.misdirected(FaultKind::MisdirectedWrite, offset, bytes.len(), chance);
        for sector in sectors_of(&(at..at + bytes.len() as u64)) {
            self.bad.remove(&sector);
        }
        self.change(Change::Write { offset: at, bytes: bytes.into() });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        // What is cut off is elsewhere on the disk when it comes again.
        drop(self.bad.split_off(&len.div_ceil(SECTOR)));
        self.change(Change::Len(len));
    }

    pub(super) fn reserve(&mut self, bytes: Range<u64>) {
        self.change(Change::Reserve(bytes));
    }

    /// Writes all changes to the disk; says whether that has succeeded. Where it has not, what could
    /// not be written is forgotten: programs see it, and no later sync writes it (P50).
    pub(super) fn sync(&mut self, chance: &mut Chance<'_>) -> bool {
        if !chance.happens(FaultKind::FailedSync) {
            self.flush(self.changes.len());
            return true;
        }
        for change in std::mem::take(&mut self.changes) {
            let is_data = matches!(change, Change::Write { .. });
            if !is_data || chance.size(FaultKind::FailedSync, 0, 1) == 1 {
                change.apply(&mut self.disk);
            }
        }
        self.waiting = 0;
        false
    }

    /// The power is lost, and what waited is written or not.
    pub(super) fn lose_power(&mut self, chance: &mut Chance<'_>) {
        let mut changes = std::mem::take(&mut self.changes);
        for later in 1..changes.len() {
            if chance.happens(FaultKind::ReorderedWrite) {
                changes.swap(later - 1, later);
            }
        }
        for change in changes {
            if chance.happens(FaultKind::LostWrite) {
                continue;
            }
            match &change {
                Change::Write { offset, bytes } => self.write_torn(*offset, bytes, chance),
                _ => change.apply(&mut self.disk),
            }
        }
        self.waiting = 0;
        self.now = self.disk.clone();
    }

    /// Writes to the disk: all, or some sectors.
    fn write_torn(&mut self, offset: u64, bytes: &[u8], chance: &mut Chance<'_>) {
        let end = offset + bytes.len() as u64;
        let sectors = sectors_of(&(offset..end));
        if sectors.end - sectors.start < 2 || !chance.happens(FaultKind::TornWrite) {
            return self.disk.write(offset, bytes);
        }
        let last = sectors.end - 1;
        // At least one is lost.
        let lost = chance.size(FaultKind::TornWrite, sectors.start, last);
        for sector in sectors {
            if sector == lost || chance.size(FaultKind::TornWrite, 0, 1) == 0 {
                continue;
            }
            let start = (sector * SECTOR).max(offset);
            let part = start - offset..((sector + 1) * SECTOR).min(end) - offset;
            self.disk.write(start, &bytes[part.start as usize..part.end as usize]);
        }
    }
}
