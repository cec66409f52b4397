//! Any descriptor, for its readiness.

use std::os::fd::{IntoRawFd, OwnedFd};

use super::stream::into_owned;
use crate::handle::Source;
use crate::{AsSource, Io};

/// A descriptor of any kind that can be polled: a pipe, a terminal, an eventfd, a socket of another
/// kind. Wait with [`Io::readable`] and [`Io::writable`], then use it as its kind wants.
///
/// ```
/// use std::io::Write;
/// use tigereye::{Descriptor, Io};
///
/// let io = Io::new()?;
/// let (reader, mut writer) = std::io::pipe()?;
/// writer.write_all(b"x")?;
/// io.readable(Descriptor::new(&io, reader.into()), |_reader, _io, result| result.unwrap());
/// io.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Descriptor {
    source: Source,
}

impl AsSource for Descriptor {
    fn as_source(&self) -> &Source {
        &self.source
    }
}

impl Descriptor {
    /// Takes a descriptor over; it is closed when the handle is dropped.
    pub fn new(io: &Io, descriptor: OwnedFd) -> Descriptor {
        Descriptor { source: Source::new(io, descriptor.into_raw_fd()) }
    }

    /// Gives the descriptor back.
    ///
    /// # Errors
    /// `NotConnected` when it is closed or has operations in flight.
    pub fn into_inner(self) -> std::io::Result<OwnedFd> {
        into_owned(&self.source)
    }
}
