//! Files: opening them, and reading and writing them at offsets.

mod at;
mod file;
mod options;
pub(crate) mod path;
pub(crate) mod system;

pub use at::{At, Directory};
pub use file::File;
pub use options::OpenOptions;
