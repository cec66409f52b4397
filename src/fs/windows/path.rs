//! Paths as the system's own calls want them, kept inside the operation: in full, or as a name in an
//! open directory. They may be as long as those calls take (32,767 units), for they are none of
//! those that Win32 holds to 260 ("Maximum Path Length Limitation").
#![expect(unsafe_code, reason = "GetFullPathNameW")]

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_FILENAME_EXCED_RANGE, ERROR_PATH_NOT_FOUND};
use windows_sys::Win32::Storage::FileSystem::GetFullPathNameW;

/// Units of the longest name that costs no allocation.
const SHORT: usize = 180;
/// Units of the longest name: a UNICODE_STRING has 16 bits for its bytes.
const LONGEST: usize = (u16::MAX / 2) as usize;

const SEPARATOR: u16 = b'\\' as u16;
/// Begins a full name as the system has it ("Naming Files, Paths, and Namespaces", NT namespaces).
const FULL: &str = r"\??\";
/// The same as Win32 writes it, who then leaves the rest as it is.
const VERBATIM: &str = r"\\?\";
const DEVICE: &str = r"\\.\";
const NETWORK: &str = r"\\";
/// Where a path is thought to start whose form alone matters.
const SOMEWHERE: &str = r"C:\";

/// A name in UTF-16, or what Windows takes for that, without a NUL.
#[derive(Clone)]
pub(crate) struct CPath {
    len: usize,
    short: [u16; SHORT],
    /// The whole name, where it is longer than that.
    long: Vec<u16>,
}

impl CPath {
    /// In full, from the process's working directory as it is now.
    ///
    /// # Errors
    /// `InvalidInput` where there is a NUL in the path, `NotFound` for an empty one.
    pub(crate) fn new(path: &Path) -> io::Result<CPath> {
        let path = CPath::literal(path)?;
        let units = path.as_slice();
        if units.is_empty() {
            return Err(error(ERROR_PATH_NOT_FOUND));
        }
        if let Some(rest) = strip(units, VERBATIM) {
            return CPath::of(wide(FULL).chain(rest.iter().copied()));
        }
        let full = path.full()?;
        let units = full.as_slice();
        if let Some(rest) = strip(units, DEVICE).or_else(|| strip(units, VERBATIM)) {
            return CPath::of(wide(FULL).chain(rest.iter().copied()));
        }
        match strip(units, NETWORK) {
            Some(rest) => CPath::of(wide(r"\??\UNC\").chain(rest.iter().copied())),
            None => CPath::of(wide(FULL).chain(units.iter().copied())),
        }
    }

    /// From an open directory, unless it starts at a root all the same.
    ///
    /// # Errors
    /// As [`new`](CPath::new); `InvalidFilename` for the name of a device, `Unsupported` for a path
    /// that leaves the directory: the system's names have no "..".
    pub(crate) fn below(path: &Path) -> io::Result<CPath> {
        if matches!(path.components().next(), Some(Component::Prefix(_) | Component::RootDir)) {
            return CPath::new(path);
        }
        if path.as_os_str().is_empty() {
            return Err(error(ERROR_PATH_NOT_FOUND));
        }
        let mut depth = 0_i32;
        for component in path.components() {
            depth += match component {
                Component::ParentDir => -1,
                Component::Normal(_) => 1,
                _ => 0,
            };
            if depth < 0 {
                let message =
                    "on this system a path does not leave the directory that it starts in";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        }
        let path = CPath::literal(path)?;
        let full = CPath::of(wide(SOMEWHERE).chain(path.as_slice().iter().copied()))?.full()?;
        match strip(full.as_slice(), SOMEWHERE) {
            Some(rest) => CPath::of(rest.iter().copied()),
            None => Err(io::ErrorKind::InvalidFilename.into()),
        }
    }

    /// As it is written, but for the separators: what a symbolic link says.
    ///
    /// # Errors
    /// `InvalidInput` where there is a NUL in the path.
    pub(crate) fn literal(path: &Path) -> io::Result<CPath> {
        let units = path.as_os_str().encode_wide();
        if units.clone().any(|unit| unit == 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has a NUL in it"));
        }
        CPath::of(units.map(|unit| if unit == u16::from(b'/') { SEPARATOR } else { unit }))
    }

    fn of(units: impl Iterator<Item = u16> + Clone) -> io::Result<CPath> {
        let len = units.clone().count();
        if len > LONGEST {
            return Err(error(ERROR_FILENAME_EXCED_RANGE));
        }
        Ok(CPath::kept(units, len))
    }

    /// So many units.
    fn kept(units: impl Iterator<Item = u16>, len: usize) -> CPath {
        let mut path = CPath { len, short: [0; SHORT], long: Vec::new() };
        if len > SHORT {
            path.long = units.collect();
        } else {
            path.short.iter_mut().zip(units).for_each(|(to, unit)| *to = unit);
        }
        path
    }

    pub(crate) fn as_slice(&self) -> &[u16] {
        self.short.get(..self.len).unwrap_or(&self.long)
    }

    /// As a simulated host takes a [`literal`](CPath::literal) one: its names are those of Unix.
    pub(crate) fn simulated(&self) -> Cow<'_, [u8]> {
        let text = OsString::from_wide(self.as_slice());
        let bytes = text.as_encoded_bytes().iter();
        bytes.map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
    }

    /// Whether it starts in no directory but at a root.
    pub(crate) fn is_full(&self) -> bool {
        self.as_slice().first() == Some(&SEPARATOR)
    }

    /// Where what it names is, with the separator at its end, and how that is called there.
    pub(crate) fn split(&self) -> (CPath, &[u16]) {
        let mut units = self.as_slice();
        // A separator at its end says that it is a directory.
        while let Some((&SEPARATOR, rest)) = units.split_last() {
            units = rest;
        }
        let len = units.iter().rposition(|unit| *unit == SEPARATOR).map_or(0, |at| at + 1);
        let (parent, name) = units.split_at(len);
        (CPath::kept(parent.iter().copied(), len), name)
    }

    /// A full name, as Win32 takes it.
    pub(crate) fn to_win32(&self) -> Vec<u16> {
        let rest = strip(self.as_slice(), FULL).unwrap_or_default();
        wide(VERBATIM).chain(rest.iter().copied()).collect()
    }

    /// The full form, without "." and ".." and what else Win32 leaves out (GetFullPathNameW, which asks
    /// no disk).
    fn full(&self) -> io::Result<CPath> {
        let path = CPath::of(self.as_slice().iter().copied().chain([0]))?;
        let from = path.as_slice().as_ptr();
        let mut short = [0; SHORT];
        // SAFETY: the path ends in NUL, and the room has so many units.
        let len =
            unsafe { GetFullPathNameW(from, SHORT as u32, short.as_mut_ptr(), ptr::null_mut()) };
        match len as usize {
            0 => Err(io::Error::last_os_error()),
            len if len < SHORT => CPath::of(short[..len].iter().copied()),
            // It says how much room it wants, with the NUL.
            room => {
                let mut long = vec![0; room];
                let (to, size) = (long.as_mut_ptr(), u32::try_from(room).unwrap_or(0));
                // SAFETY: as above.
                let len = unsafe { GetFullPathNameW(from, size, to, ptr::null_mut()) } as usize;
                if len == 0 || len >= room {
                    return Err(error(ERROR_FILENAME_EXCED_RANGE));
                }
                long.truncate(len);
                CPath::of(long.iter().copied())
            }
        }
    }
}

fn error(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}

/// Units of what is ASCII.
fn wide(text: &str) -> impl Iterator<Item = u16> + Clone {
    text.bytes().map(u16::from)
}

/// What is behind a beginning in ASCII.
fn strip<'a>(units: &'a [u16], beginning: &str) -> Option<&'a [u16]> {
    let (begin, rest) = units.split_at_checked(beginning.len())?;
    begin.iter().copied().eq(wide(beginning)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(path: io::Result<CPath>, expected: &str) {
        assert_eq!(String::from_utf16(path.unwrap().as_slice()).unwrap(), expected);
    }

    #[test]
    fn p57_p83_full_names() {
        for (path, expected) in [
            (r"C:\a\b", r"\??\C:\a\b"),
            ("C:/a/./b/../c", r"\??\C:\a\c"),
            (r"\\server\share\file", r"\??\UNC\server\share\file"),
            (r"\\?\C:\as. \it\..\is", r"\??\C:\as. \it\..\is"),
            (r"\\?\UNC\server\share", r"\??\UNC\server\share"),
            (r"\\.\pipe\name", r"\??\pipe\name"),
            ("NUL", r"\??\NUL"),
            (r"C:\Grüße\世界 🐅", r"\??\C:\Grüße\世界 🐅"),
        ] {
            is(CPath::new(Path::new(path)), expected);
        }
        let working = std::env::current_dir().unwrap().join("x");
        is(CPath::new(Path::new("x")), &format!(r"\??\{}", working.display()));
    }

    #[test]
    fn p57_names_in_a_directory() {
        for (path, expected) in
            [("a/b", r"a\b"), (".", ""), ("a/../b", "b"), (r"a\.\b", r"a\b"), ("a/..", "")]
        {
            let name = CPath::below(Path::new(path));
            assert!(!name.as_ref().unwrap().is_full());
            is(name, expected);
        }
        for full in [r"C:\a", r"\\server\share\a", r"\a", "C:a"] {
            assert!(CPath::below(Path::new(full)).unwrap().is_full(), "{full}");
        }
        for out in ["..", "a/../..", "a/../../a"] {
            let error = CPath::below(Path::new(out)).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{out}");
        }
        for (bad, kind) in [("", io::ErrorKind::NotFound), ("a\0b", io::ErrorKind::InvalidInput)] {
            assert_eq!(CPath::below(Path::new(bad)).err().unwrap().kind(), kind);
            assert_eq!(CPath::new(Path::new(bad)).err().unwrap().kind(), kind);
        }
    }

    #[test]
    fn p57_p83_paths_of_any_length_are_kept_whole_or_refused() {
        for len in [1, SHORT - 8, SHORT - 7, SHORT - 1, SHORT, SHORT + 1, 5000, LONGEST - 8] {
            let name = "x".repeat(len);
            is(CPath::new(Path::new(&format!(r"C:\{name}"))), &format!(r"\??\C:\{name}"));
            is(CPath::literal(Path::new(&name)), &name);
        }
        let error = CPath::new(Path::new(&"x".repeat(LONGEST + 1))).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }

    #[test]
    fn p51_the_directory_of_a_name() {
        for (path, parent, name) in [
            (r"C:\a\bc", r"\??\C:\a\", "bc"),
            (r"C:\a", r"\??\C:\", "a"),
            (r"C:\a\b\", r"\??\C:\a\", "b"),
        ] {
            let path = CPath::new(Path::new(path)).unwrap();
            let (to, called) = path.split();
            is(Ok(to), parent);
            assert_eq!(String::from_utf16(called).unwrap(), name);
        }
        for (path, parent, name) in [("a", "", "a"), ("a/b/", r"a\", "b"), (".", "", "")] {
            let path = CPath::below(Path::new(path)).unwrap();
            let (to, called) = path.split();
            is(Ok(to), parent);
            assert_eq!(String::from_utf16(called).unwrap(), name);
        }
    }
}
