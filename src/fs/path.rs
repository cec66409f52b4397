//! Paths as system calls want them, kept inside the operation.

#[cfg(unix)]
use std::borrow::Cow;
#[cfg(unix)]
use std::ffi::{CStr, CString};
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;
#[cfg(unix)]
use std::path::Path;

#[cfg(windows)]
pub(crate) use super::windows::path::CPath;

/// Longest path, with its NUL, that costs no allocation. With the rest of an operation it fits in a
/// block of 256 bytes, which are recycled.
#[cfg(unix)]
const SHORT: usize = 160;

/// A path that ends in NUL.
#[cfg(unix)]
pub(crate) enum CPath {
    Short([u8; SHORT]),
    Long(CString),
}

#[cfg(unix)]
impl CPath {
    /// # Errors
    /// `InvalidInput` where there is a NUL in the path.
    pub(crate) fn new(path: &Path) -> io::Result<CPath> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() >= SHORT {
            return Ok(CPath::Long(CString::new(bytes)?));
        }
        if bytes.contains(&0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has a NUL in it"));
        }
        let mut short = [0; SHORT];
        short[..bytes.len()].copy_from_slice(bytes);
        Ok(CPath::Short(short))
    }

    /// What a symbolic link says, which the system does not look at.
    ///
    /// # Errors
    /// As [`new`](CPath::new).
    pub(crate) fn literal(path: &Path) -> io::Result<CPath> {
        CPath::new(path)
    }

    /// As a simulated host takes it.
    pub(crate) fn simulated(&self) -> Cow<'_, [u8]> {
        self.as_c_str().to_bytes().into()
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        match self {
            // It was made with a NUL behind the path.
            CPath::Short(bytes) => CStr::from_bytes_until_nul(bytes).unwrap_or_default(),
            CPath::Long(path) => path,
        }
    }
}

/// Two paths of one operation, and where each starts.
pub(crate) struct CPaths {
    pub(crate) from: CPath,
    pub(crate) to: CPath,
    /// In the directory that the operation is pending on, not in the working directory.
    pub(crate) from_here: bool,
    pub(crate) to_here: bool,
}

impl CPaths {
    /// Where each starts: in the operation's directory, or in that of the process.
    pub(crate) fn directories<T: Copy>(&self, here: T, working: T) -> (T, T) {
        let of = |is_here: bool| if is_here { here } else { working };
        (of(self.from_here), of(self.to_here))
    }
}

#[cfg(test)] // on its own, for clippy to know a test by it
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn p57_paths_of_any_length_are_kept_whole() {
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 5000] {
            let path = "x".repeat(len);
            let kept = CPath::new(Path::new(&path)).unwrap();
            assert_eq!(kept.as_c_str().to_bytes(), path.as_bytes());
            assert_eq!(matches!(kept, CPath::Short(_)), len < SHORT);
        }
    }

    #[test]
    fn p57_a_nul_is_refused() {
        for len in [0, SHORT] {
            let path = format!("{}\0y", "x".repeat(len));
            let error = CPath::new(Path::new(&path)).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
