//! What a file asks of the operations on it: the alignment of Direct I/O, and that a failed sync
//! stays failed.
//!
//! They are kept beside the table of handles, by the numbers of those that have them, and only the
//! rows of files ask for them: other handles neither carry nor look up anything.
//!
//! I1. A handle that goes takes its terms with it (`Handles::remove`).
//! I2. A failure is kept before the next sync on the handle starts, for syncs are one at a time
//!     (`op/sync.rs`): none of them can succeed after one that failed.

use std::mem::size_of_val;

use crate::error::{Misaligned, misaligned};

/// Where Direct I/O may start and end: [`File::direct_alignment`](crate::File::direct_alignment).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectAlignment {
    /// A buffer's address is a multiple of this power of two.
    pub memory: usize,
    /// An offset and a length are multiples of this power of two, in bytes.
    pub offset: usize,
}

/// Of one handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) direct: Option<DirectAlignment>,
    /// Whether a sync that failed once fails ever after, and every write with it (P50).
    pub(crate) keeps_failure: bool,
    /// The result of that sync, or 0.
    failure: i32,
}

impl Terms {
    pub(crate) fn new(direct: Option<DirectAlignment>, keeps_failure: bool) -> Terms {
        Terms { direct, keeps_failure, failure: 0 }
    }

    /// The result of a transfer that cannot be right: the kernel's own answer would not say what is
    /// wrong with it (P52).
    #[inline]
    pub(crate) fn refuses<T>(&self, memory: &[T], offset: u64) -> Option<i32> {
        self.refuses_at(memory.as_ptr().addr(), size_of_val(memory), offset)
    }

    /// As [`refuses`](Terms::refuses), of so many bytes that start there.
    pub(crate) fn refuses_at(&self, start: usize, len: usize, offset: u64) -> Option<i32> {
        let DirectAlignment { memory: to_start, offset: to_move } = self.direct?;
        let wrong = if !offset.is_multiple_of(to_move as u64) {
            (Misaligned::Offset, to_move)
        } else if !len.is_multiple_of(to_move) {
            (Misaligned::Length, to_move)
        } else if !start.is_multiple_of(to_start) {
            (Misaligned::Address, to_start)
        } else {
            return None;
        };
        Some(misaligned(wrong.0, wrong.1))
    }

    /// The result of whatever is to change the file or to make it last, after a sync has failed.
    pub(crate) fn failed(&self) -> Option<i32> {
        (self.failure < 0).then_some(self.failure)
    }

    fn fail(&mut self, result: i32) {
        if self.keeps_failure && self.failure == 0 {
            self.failure = result;
        }
    }
}

/// Of all handles.
#[derive(Default)]
pub(crate) struct AllTerms {
    /// As far as the last handle that has some.
    by_handle: Vec<Terms>,
}

impl AllTerms {
    #[inline]
    pub(crate) fn of(&self, handle: u32) -> Terms {
        self.by_handle.get(handle as usize).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, handle: u32, terms: Terms) {
        let at = handle as usize;
        if at >= self.by_handle.len() {
            self.by_handle.resize(at + 1, Terms::default());
        }
        self.by_handle[at] = terms;
    }

    #[inline]
    pub(crate) fn forget(&mut self, handle: u32) {
        if let Some(terms) = self.by_handle.get_mut(handle as usize) {
            *terms = Terms::default();
        }
    }

    /// A sync of this handle failed.
    pub(crate) fn sync_failed(&mut self, handle: u32, result: i32) {
        if let Some(terms) = self.by_handle.get_mut(handle as usize) {
            terms.fail(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p50_the_first_failure_is_kept_where_it_is_asked_for_and_goes_with_its_handle() {
        let mut all = AllTerms::default();
        all.set(3, Terms::new(None, true));
        all.set(5, Terms::new(None, false));
        for (handle, result) in [(3, -5), (3, -28), (5, -5), (9, -5)] {
            all.sync_failed(handle, result);
        }
        assert_eq!(all.of(3).failed(), Some(-5));
        assert_eq!([all.of(4), all.of(5), all.of(9)].map(|terms| terms.failed()), [None; 3]);
        all.forget(3);
        assert_eq!(all.of(3), Terms::default());
    }

    #[test]
    fn p52_what_is_wrong_with_a_direct_transfer_is_told_apart() {
        let direct = DirectAlignment { memory: 4, offset: 16 };
        let terms = Terms::new(Some(direct), false);
        let words = [0_u32; 16];
        assert_eq!(terms.refuses(&words[1..13], 32), None);
        assert_eq!(terms.refuses(&words[..0], 0), None);
        assert_eq!(terms.refuses(&words[..4], 8), Some(misaligned(Misaligned::Offset, 16)));
        assert_eq!(terms.refuses(&words[..5], 16), Some(misaligned(Misaligned::Length, 16)));
        let odd = &[0_u16; 24];
        let odd = if odd.as_ptr().addr().is_multiple_of(4) { &odd[1..9] } else { &odd[..8] };
        assert_eq!(terms.refuses(odd, 16), Some(misaligned(Misaligned::Address, 4)));
        assert_eq!(Terms::default().refuses(odd, 3), None);
    }
}
