//! The bytes of a file: pages, of which only those that were written or reserved are there.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::rc::Rc;

/// What a file grows by.
pub(super) const PAGE: u64 = 4096;
/// Most bytes that a file has: those of ext4 (16 TiB, less a block).
pub(super) const LEN_MAX: u64 = (16 << 40) - PAGE;

type Page = [u8; PAGE as usize];

/// A file's bytes. Two images share the pages that are the same.
#[derive(Clone, Default)]
pub(super) struct Image {
    /// By number; a page that is reserved and not written reads as zeroes.
    pages: BTreeMap<u64, Option<Rc<Page>>>,
    len: u64,
}

/// The pages that hold a range of bytes.
fn pages_of(bytes: &Range<u64>) -> Range<u64> {
    if bytes.is_empty() { 0..0 } else { bytes.start / PAGE..bytes.end.div_ceil(PAGE) }
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many pages it has on its disk.
    pub(super) fn page_count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// How many of so many bytes can be written with so many pages more.
    pub(super) fn fit(&self, bytes: Range<u64>, free: u64) -> u64 {
        let missing = |page: &u64| !self.pages.contains_key(page);
        let Ok(free) = usize::try_from(free) else { return bytes.end - bytes.start };
        match pages_of(&bytes).filter(missing).nth(free) {
            Some(page) => (page * PAGE).saturating_sub(bytes.start),
            None => bytes.end - bytes.start,
        }
    }

    /// Fills `room` from `offset` on, as far as there are bytes; says how many there were.
    pub(super) fn read(&self, offset: u64, room: &mut [MaybeUninit<u8>]) -> usize {
        let count = self.count(offset, room.len());
        self.pieces(offset, count, |at, piece| match piece {
            Ok(bytes) => {
                for (place, byte) in room[at..].iter_mut().zip(bytes) {
                    place.write(*byte);
                }
            }
            Err(len) => room[at..at + len].fill(MaybeUninit::new(0)),
        });
        count
    }

    /// As [`read`](Image::read), of at most so many bytes.
    pub(super) fn to_vec(&self, offset: u64, len: usize) -> Vec<u8> {
        let count = self.count(offset, len);
        let mut all = Vec::with_capacity(count);
        self.pieces(offset, count, |at, piece| match piece {
            Ok(bytes) => all.extend_from_slice(bytes),
            Err(len) => all.resize(at + len, 0),
        });
        all
    }

    fn count(&self, offset: u64, len: usize) -> usize {
        let left = self.len.saturating_sub(offset);
        len.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Shows bytes piece by piece, with where each piece begins: a piece has bytes, or so many zeroes.
    fn pieces(&self, offset: u64, count: usize, mut show: impl FnMut(usize, Result<&[u8], usize>)) {
        let mut done = 0;
        while done < count {
            let (page, within) = place_of(offset + done as u64);
            let len = (count - done).min(PAGE as usize - within);
            match self.pages.get(&page) {
                Some(Some(bytes)) => show(done, Ok(&bytes[within..within + len])),
                _ => show(done, Err(len)),
            }
            done += len;
        }
    }

    /// Writes at `offset`, and makes the file as long as that asks for.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let (page, within) = place_of(offset + done as u64);
            let part = (bytes.len() - done).min(PAGE as usize - within);
            let entry = self.pages.entry(page).or_default();
            let entry = entry.get_or_insert_with(|| Rc::new([0; PAGE as usize]));
            let room = &mut Rc::make_mut(entry)[within..within + part];
            room.copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        if done > 0 {
            self.len = self.len.max(offset + done as u64);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE)));
            let (page, within) = place_of(len);
            // What was cut off is not there when the file grows again.
            if let Some(Some(bytes)) = self.pages.get_mut(&page) {
                Rc::make_mut(bytes)[within..].fill(0);
            }
        }
        self.len = len;
    }

    /// Has pages for a range of bytes.
    pub(super) fn reserve(&mut self, bytes: &Range<u64>) {
        for page in pages_of(bytes) {
            self.pages.entry(page).or_default();
        }
    }

    /// Turns one bit over, where there is one.
    pub(super) fn flip(&mut self, at: u64, bit: u8) {
        let (page, within) = place_of(at);
        if let Some(Some(bytes)) = self.pages.get_mut(&page) {
            Rc::make_mut(bytes)[within] ^= 1 << (bit & 7);
        }
    }
}

/// The page of a byte, and where it is in that.
fn place_of(at: u64) -> (u64, usize) {
    (at / PAGE, (at % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(image: &Image, offset: u64, len: usize) -> Vec<u8> {
        image.to_vec(offset, len)
    }

    #[test]
    fn bytes_are_read_where_they_were_written_and_holes_are_zeroes() {
        let mut image = Image::default();
        image.write(PAGE - 2, b"abcd");
        assert_eq!((image.len(), image.page_count()), (PAGE + 2, 2));
        assert_eq!(read(&image, PAGE - 3, 10), b"\0abcd");
        image.write(1 << 40, b"far");
        assert_eq!((read(&image, 1 << 40, 9), image.page_count()), (b"far".to_vec(), 3));
        assert_eq!(read(&image, 3 * PAGE, 2), [0, 0]);
        image.set_len(PAGE - 1);
        image.set_len(PAGE + 2);
        assert_eq!((read(&image, PAGE - 2, 9), image.page_count()), (b"a\0\0\0".to_vec(), 1));
    }

    #[test]
    fn images_share_pages_until_one_of_them_changes() {
        let mut one = Image::default();
        one.write(0, b"one");
        let other = one.clone();
        one.write(1, b"x");
        one.flip(0, 0);
        assert_eq!((read(&one, 0, 3), read(&other, 0, 3)), (b"nxe".to_vec(), b"one".to_vec()));
    }

    #[test]
    fn what_fits_ends_at_a_page() {
        let mut image = Image::default();
        image.reserve(&(0..1));
        assert_eq!(image.fit(10..2 * PAGE, 0), PAGE - 10);
        assert_eq!(image.fit(10..2 * PAGE, 1), 2 * PAGE - 10);
        assert_eq!(image.fit(PAGE + 1..PAGE + 3, 0), 0);
        assert_eq!(image.fit(5..5, 0), 0);
    }
}
