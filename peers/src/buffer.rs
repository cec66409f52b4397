//! A buffer that a connection owns, where it costs the kernel least to copy.

const LINE: usize = 64;
const PAGE: usize = 4096;

/// Bytes on the heap that start on a cache line, and are touched only when something is received
/// into them. A large allocation starts 16 bytes into a page, which halves the speed of the kernel's
/// copies on Zen 3 (`readiness` says more).
pub struct Buffer {
    /// What is before `start` is never looked at.
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Room for `len` bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(len + LINE - 1);
        let start = bytes.as_ptr().align_offset(LINE);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    /// The same, all of it there: for libraries that ask for a slice, and so for bytes that have been
    /// written before. Where an allocator has had the memory already, that touches all of it.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self::zeroed_on(LINE, len)
    }

    /// The same on a page, as Direct I/O may ask for.
    #[must_use]
    pub fn on_page(len: usize) -> Self {
        Self::zeroed_on(PAGE, len)
    }

    fn zeroed_on(boundary: usize, len: usize) -> Self {
        let mut bytes = vec![0; len + boundary - 1];
        let start = bytes.as_ptr().align_offset(boundary);
        bytes.truncate(start + len);
        Self { bytes, start }
    }

    /// All of a zeroed one.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// The bytes, and where in them the cache line starts: for libraries that take a `Vec` away.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.start)
    }

    /// Emptied, to be extended by no more than there is room for.
    pub fn empty(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(self.start);
        &mut self.bytes
    }

    /// What [`Buffer::empty`] was extended by.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_line() {
        for len in [1, 64, 16 * 1024, 256 * 1024] {
            let mut buffer = Buffer::new(len);
            let room = buffer.bytes.capacity();
            for value in [7, 8] {
                buffer.empty().extend(std::iter::repeat_n(value, len));
                assert_eq!(buffer.bytes(), vec![value; len]);
                assert_eq!(buffer.bytes().as_ptr() as usize % LINE, 0);
            }
            assert_eq!(buffer.bytes.capacity(), room, "it never grows");
        }
    }

    #[test]
    fn all_of_a_zeroed_one_is_there() {
        let room = |mut buffer: Buffer| (buffer.room().len(), buffer.room().as_ptr() as usize);
        for len in [1, 64, 16 * 1024] {
            let (line, page) = (room(Buffer::zeroed(len)), room(Buffer::on_page(len)));
            assert_eq!((line.0, line.1 % LINE, page.0, page.1 % PAGE), (len, 0, len, 0));
        }
    }
}
