//! Files: opening them, reading and writing them at offsets, and what paths name.

mod at;
#[cfg(unix)]
mod data_file;
mod direct;
mod file;
#[cfg(unix)]
mod making;
#[cfg(unix)]
mod metadata;
mod options;
#[cfg(unix)]
pub(crate) mod path;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
pub(crate) mod system;
mod terms;
#[cfg(windows)]
pub(crate) mod windows;

pub use at::At;
#[cfg(unix)]
pub use at::Directory;
#[cfg(unix)]
pub use data_file::{DataFile, DataFileOptions};
pub use direct::DirectIo;
#[cfg(unix)]
pub use file::Allocation;
pub use file::File;
#[cfg(unix)]
pub(crate) use making::{How, Made, check_size, in_use, invalid};
#[cfg(unix)]
pub use metadata::{FileType, Metadata};
pub use options::OpenOptions;
#[cfg(unix)]
pub use paths::Renaming;
pub(crate) use terms::AllTerms;
pub use terms::DirectAlignment;
pub(crate) use terms::Terms;
#[cfg(windows)]
pub(crate) use windows as system;
