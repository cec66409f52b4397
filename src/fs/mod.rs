//! Files: opening them, reading and writing them at offsets, and what paths name.

mod at;
mod data_file;
mod direct;
mod file;
pub(crate) mod flags;
mod how;
#[cfg(unix)]
mod making;
mod metadata;
mod options;
pub(crate) mod path;
mod paths;
#[cfg(unix)]
pub(crate) mod system;
mod terms;
#[cfg(windows)]
pub(crate) mod windows;

pub use at::{At, Directory};
pub use data_file::{DataFile, DataFileOptions};
pub use direct::DirectIo;
pub use file::{Allocation, File};
pub(crate) use how::{How, Made};
pub(crate) use how::{check_size, in_use, invalid};
pub use metadata::{FileType, Metadata};
pub use options::OpenOptions;
pub use paths::Renaming;
pub(crate) use terms::AllTerms;
pub use terms::DirectAlignment;
pub(crate) use terms::Terms;
#[cfg(windows)]
pub(crate) use windows as system;
