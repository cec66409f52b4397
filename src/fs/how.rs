//! What a data file is to be, and what became of it: for each system's way to make one.

use std::io;

use super::path::CPath;
use super::{DataFileOptions, DirectAlignment};
use crate::AlignedBuf;
use crate::buf::PAGE;

/// How many zeroes are written at once.
const ZEROES: usize = 1 << 20;

/// What became of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    pub(crate) direct: Option<DirectAlignment>,
    pub(crate) size: u64,
    pub(crate) is_new: bool,
}

/// What is to be opened, and then what became of it.
pub(crate) struct How {
    pub(crate) path: CPath,
    pub(crate) options: DataFileOptions,
    pub(crate) made: Made,
    /// The reason, with its words, of a call that failed.
    pub(crate) failure: Option<io::Error>,
}

impl How {
    pub(crate) fn new(path: CPath, options: &DataFileOptions) -> io::Result<How> {
        if options.size == 0 || i64::try_from(options.size).is_err() {
            return Err(invalid("a data file has a size from 1 to i64::MAX"));
        }
        Ok(How { path, options: *options, made: Made::default(), failure: None })
    }
}

/// Whether an existing file has the size that it should.
pub(crate) fn check_size(
    options: &DataFileOptions,
    size: u64,
    allow_larger: bool,
) -> io::Result<()> {
    let wanted = options.size;
    if size == wanted || size > wanted && allow_larger {
        return Ok(());
    }
    let message = format!("the file has {size} bytes, and not {wanted}");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Gives a file room as a reservation does, where there is none: `write` writes so many bytes from so
/// far on, or fewer, and says how many.
pub(crate) fn write_zeroes(
    size: u64,
    direct: Option<DirectAlignment>,
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let alignment = direct.map_or(PAGE, |direct| direct.memory.max(PAGE));
    let mut zeroes = AlignedBuf::with_alignment(ZEROES, alignment)?;
    zeroes.resize(ZEROES);
    let mut written = 0;
    while written < size {
        let left = usize::try_from(size - written).unwrap_or(usize::MAX);
        match write(&zeroes[..left.min(ZEROES)], written)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count as u64,
        }
    }
    Ok(())
}

pub(crate) fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "another open of the data file has its lock")
}

pub(crate) fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
