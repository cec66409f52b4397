//! Files: opening them, and reading and writing them at offsets.

mod at;
mod data_file;
mod direct;
mod file;
mod making;
mod options;
pub(crate) mod path;
pub(crate) mod system;
mod terms;

pub use at::{At, Directory};
pub use data_file::{DataFile, DataFileOptions};
pub use direct::DirectIo;
pub use file::File;
pub(crate) use making::{How, Made};
pub use options::OpenOptions;
pub use terms::DirectAlignment;
pub(crate) use terms::{AllTerms, Terms};
