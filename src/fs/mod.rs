//! Files: opening them, reading and writing them at offsets, and what paths name.

mod at;
mod file;
mod metadata;
mod options;
pub(crate) mod path;
mod paths;
pub(crate) mod system;

pub use at::{At, Directory};
pub use file::{Allocation, File};
pub use metadata::{DirectIo, FileType, Metadata};
pub use options::OpenOptions;
pub use paths::Renaming;
