//! Files: opening them, reading and writing them at offsets, and what paths name.

mod at;
mod data_file;
mod direct;
mod file;
mod making;
mod metadata;
mod options;
pub(crate) mod path;
mod paths;
pub(crate) mod system;
mod terms;

pub use at::{At, Directory};
pub use data_file::{DataFile, DataFileOptions};
pub use direct::DirectIo;
pub use file::{Allocation, File};
pub(crate) use making::{How, Made, check_size, in_use, invalid};
pub(crate) use metadata::time;
pub use metadata::{FileType, Metadata};
pub use options::OpenOptions;
pub use paths::Renaming;
pub use terms::DirectAlignment;
pub(crate) use terms::{AllTerms, Terms};
