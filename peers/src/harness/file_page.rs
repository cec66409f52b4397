//! The file that servers of `file` send: made for a run, and removed with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the file that is measured.
pub const FILE_BYTES: u32 = 1 << 20;
/// Its name, as a request has it.
const NAME: &str = "file";

/// A folder with nothing but the file, for a server that serves a folder.
pub struct FilePage {
    folder: PathBuf,
    path: PathBuf,
}

impl FilePage {
    /// Makes both below a folder, with contents in which no two stretches are alike.
    pub fn make(below: &Path, bytes: usize) -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = below.join(format!("tigereye-file.{}.{made}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let page = Self { path: folder.join(NAME), folder };
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        let mut contents = Vec::with_capacity(bytes + 8);
        while contents.len() < bytes {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            contents.extend(word.to_le_bytes());
        }
        contents.truncate(bytes);
        std::fs::write(&page.path, contents)?;
        Ok(page)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder around it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for FilePage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
