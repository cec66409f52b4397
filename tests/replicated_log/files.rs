//! What two files still say: a crash leaves all that was acknowledged, and a disk that has lost some of
//! that is found out.

use crate::bytes::Writer;
use crate::log::{Content, Damage, Entry, Mark, Record, SECTOR, group, recover};
use crate::random::Random;

/// A log of so many groups, an entry each, with its marks.
struct Files {
    log: Vec<u8>,
    mark: Vec<u8>,
    /// Where each group ends.
    ends: Vec<usize>,
    marks: Vec<Mark>,
}

fn entry(number: u64) -> Entry {
    let payload = vec![number as u8; (number * 97 % 1500) as usize].into();
    Entry { term: 1, content: Content::Put { client: 7, number, payload } }
}

impl Files {
    fn new(groups: u64) -> Files {
        let mut files = Files {
            log: Vec::new(),
            mark: vec![0; 2 * SECTOR],
            ends: Vec::new(),
            marks: vec![Mark::default()],
        };
        for number in 1..=groups {
            files.add(number);
        }
        files
    }

    fn add(&mut self, number: u64) {
        let mut records = Writer::default();
        Record::Entry { index: number, entry: entry(number) }.write(&mut records);
        let (bytes, mark) = group(&records.0, *self.marks.last().unwrap());
        self.log.extend_from_slice(&bytes);
        self.ends.push(self.log.len());
        self.marks.push(mark);
        self.set_mark(mark);
    }

    fn set_mark(&mut self, mark: Mark) {
        let (slot, at) = mark.slot();
        self.mark[at as usize..at as usize + SECTOR].copy_from_slice(&slot);
    }

    fn entries(&self) -> Result<u64, Damage> {
        let found = recover(&self.log, &self.mark)?;
        let expected: Vec<Entry> = (1..=found.last.number).map(entry).collect();
        assert_eq!(found.history.entries, expected, "what is there is what was written");
        assert_eq!(found.end, self.ends.get(expected.len() - 1).copied().unwrap_or(0));
        Ok(found.last.number)
    }
}

#[test]
fn a_whole_log_is_recovered_as_it_was() {
    for groups in 1..20 {
        assert_eq!(Files::new(groups).entries(), Ok(groups));
    }
}

#[test]
fn a_group_that_was_not_marked_is_kept_where_it_is_whole_and_cut_off_where_it_is_torn() {
    let mut files = Files::new(10);
    files.set_mark(files.marks[8]);
    files.set_mark(files.marks[9]);
    assert_eq!(files.entries(), Ok(10));
    let whole = files.log.clone();
    for lost in (files.ends[8]..files.ends[9]).step_by(SECTOR) {
        files.log.clone_from(&whole);
        files.log[lost..lost + SECTOR].fill(0);
        assert_eq!(files.entries(), Ok(9), "the sector at {lost}");
        files.log.truncate(lost);
        assert_eq!(files.entries(), Ok(9), "all from {lost} on");
    }
}

#[test]
fn a_torn_slot_of_the_mark_leaves_the_other_one() {
    for groups in [10, 11] {
        for slot in 0..2 {
            let mut files = Files::new(groups);
            files.mark[slot * SECTOR + 9] ^= 1;
            assert_eq!(files.entries(), Ok(groups), "slot {slot}");
        }
    }
    let mut files = Files::new(10);
    files.mark.fill(0);
    assert_eq!(files.entries(), Err(Damage::NoMark));
    files.mark.clear();
    assert_eq!(files.entries(), Err(Damage::NoMark));
}

#[test]
fn each_loss_of_what_was_synced_is_noticed() {
    let whole = Files::new(10);
    let mut random = Random(1);
    let (mut harmless, mut noticed) = (0, 0);
    // Every sector is lost, or is another one; and bits turn over.
    for sector in 0..whole.log.len() / SECTOR {
        let at = sector * SECTOR..(sector + 1) * SECTOR;
        let other = random.below(whole.log.len() as u64) as usize / SECTOR * SECTOR;
        let bit = random.below(8 * SECTOR as u64) as usize;
        for damage in 0..3 {
            let mut files = Files::new(10);
            match damage {
                0 => files.log[at.clone()].fill(0),
                1 => files.log[at.clone()].copy_from_slice(&whole.log[other..other + SECTOR]),
                _ => files.log[at.start + bit / 8] ^= 1 << (bit % 8),
            }
            match files.entries() {
                // Zeroes behind the records.
                Ok(groups) => {
                    assert_eq!(groups, 10);
                    harmless += 1;
                }
                Err(damage) => {
                    assert!(matches!(damage, Damage::Short | Damage::Hole), "{damage:?}");
                    noticed += 1;
                }
            }
        }
    }
    assert!(noticed > 5 * harmless, "{noticed} noticed, {harmless} made no difference");
    // The log goes on behind a hole that the mark says nothing of.
    let mut files = Files::new(10);
    (files.mark, files.log[files.ends[4]]) = (vec![0; 2 * SECTOR], 0);
    files.set_mark(files.marks[5]);
    assert_eq!(files.entries(), Err(Damage::Hole));
}

#[test]
fn bytes_by_chance_are_no_log() {
    let mut random = Random(2);
    for _ in 0..1000 {
        let mut files = Files::new(3);
        for _ in 0..random.below(200) {
            let at = random.below(files.log.len() as u64) as usize;
            files.log[at] = random.below(256) as u8;
        }
        files.log.truncate(random.below(files.log.len() as u64 + 1) as usize);
        // It is not always damaged, and never a panic.
        let _ = recover(&files.log, &files.mark);
        let _ = recover(&files.mark, &files.log);
    }
}
