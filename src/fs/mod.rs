//! Files: opening them, reading and writing them at offsets, and what paths name.

#[cfg(unix)]
mod at;
#[cfg(unix)]
mod data_file;
#[cfg(unix)]
mod direct;
mod file;
#[cfg(unix)]
mod making;
#[cfg(unix)]
mod metadata;
#[cfg(unix)]
mod options;
#[cfg(unix)]
pub(crate) mod path;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
pub(crate) mod system;
mod terms;

#[cfg(unix)]
pub use at::{At, Directory};
#[cfg(unix)]
pub use data_file::{DataFile, DataFileOptions};
#[cfg(unix)]
pub use direct::DirectIo;
#[cfg(unix)]
pub use file::Allocation;
pub use file::File;
#[cfg(unix)]
pub(crate) use making::{How, Made, check_size, in_use, invalid};
#[cfg(unix)]
pub(crate) use metadata::time;
#[cfg(unix)]
pub use metadata::{FileType, Metadata};
#[cfg(unix)]
pub use options::OpenOptions;
#[cfg(unix)]
pub use paths::Renaming;
pub(crate) use terms::AllTerms;
pub use terms::DirectAlignment;
#[cfg(unix)]
pub(crate) use terms::Terms;
