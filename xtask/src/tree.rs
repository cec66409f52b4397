//! Files of the workspace: found, and copied.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is not source, or not of this workspace.
const PASSED_OVER: [&str; 4] = ["target", ".git", "peers", "docs"];

/// All source files below `root`, as paths relative to it, in order.
pub(crate) fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if PASSED_OVER.iter().any(|name| path == Path::new(name)) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes `to` a copy of the sources in `from`. Files that are the same already stay untouched, so
/// that what was built from them stays good.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let wanted = files(from)?;
    fs::create_dir_all(to)?;
    for path in files(to)? {
        if !wanted.contains(&path) {
            fs::remove_file(to.join(path))?;
        }
    }
    for path in wanted {
        write(&to.join(&path), &fs::read(from.join(&path))?)?;
    }
    Ok(())
}

/// Writes a file, unless it has these contents already.
pub(crate) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == contents) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents)
}
