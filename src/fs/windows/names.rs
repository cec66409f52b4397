//! Names that are opened, come, change and go.
//!
//! By the calls that Win32's own stand on: they take a name in an open directory, where Win32 takes
//! none, and say whether a file was made or was there.
//!
//! Sources, in Microsoft's documentation: NtCreateFile, ZwSetInformationFile and the page of each
//! structure that is given to it; CreateSymbolicLinkW.
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DIRECTORY_FILE, FILE_DISPOSITION_DELETE,
    FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE, FILE_DISPOSITION_POSIX_SEMANTICS,
    FILE_INFORMATION_CLASS, FILE_OPEN, FILE_OPEN_REPARSE_POINT,
    FILE_RENAME_IGNORE_READONLY_ATTRIBUTE, FILE_RENAME_INFORMATION, FILE_RENAME_POSIX_SEMANTICS,
    FILE_RENAME_REPLACE_IF_EXISTS, FILE_SYNCHRONOUS_IO_NONALERT, FileDispositionInformation,
    FileDispositionInformationEx, FileLinkInformation, FileRenameInformation,
    FileRenameInformationEx, NTCREATEFILE_CREATE_DISPOSITION, NTCREATEFILE_CREATE_OPTIONS,
    NtCreateFile, NtSetInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_CALL_NOT_IMPLEMENTED, ERROR_DIRECTORY,
    ERROR_DIRECTORY_NOT_SUPPORTED, ERROR_FILENAME_EXCED_RANGE, ERROR_INVALID_PARAMETER,
    ERROR_PATH_NOT_FOUND, NTSTATUS, OBJ_CASE_INSENSITIVE, STATUS_ACCESS_DENIED, UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateSymbolicLinkW, DELETE, FILE_ACCESS_RIGHTS, FILE_ADD_FILE, FILE_ATTRIBUTE_NORMAL,
    FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_MODE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FILE_TRAVERSE, FILE_WRITE_ATTRIBUTES, GetFinalPathNameByHandleW,
    SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE, SYMBOLIC_LINK_FLAG_DIRECTORY, SYNCHRONIZE,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::WindowsProgramming::FILE_CREATED;

use super::metadata::{Kind, kind};
use super::path::CPath;
use super::{error_of, is_unknown, succeeded};
use crate::Renaming;
use crate::net::system::handle;
use crate::offload::LentFd;
use crate::raw::OwnedFd;

/// As the standard library shares what it opens.
pub(crate) const SHARE_ALL: FILE_SHARE_MODE =
    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// How something is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) access: FILE_ACCESS_RIGHTS,
    pub(crate) share: FILE_SHARE_MODE,
    pub(crate) disposition: NTCREATEFILE_CREATE_DISPOSITION,
    pub(crate) options: NTCREATEFILE_CREATE_OPTIONS,
}

impl Opening {
    /// Of what is there, for calls of this library's that ask something of it or change its name.
    fn existing(access: FILE_ACCESS_RIGHTS, options: NTCREATEFILE_CREATE_OPTIONS) -> Opening {
        let options = options | FILE_SYNCHRONOUS_IO_NONALERT;
        Opening { access, share: SHARE_ALL, disposition: FILE_OPEN, options }
    }
}

/// Opens what has a name (NtCreateFile), and says whether it was made by that.
pub(crate) fn open(
    directory: Option<LentFd>,
    name: &CPath,
    how: Opening,
) -> Result<(File, bool), NTSTATUS> {
    let units = name.as_slice();
    // A name has no more than 65,534 bytes (path.rs).
    let len = u16::try_from(size_of_val(units)).unwrap_or(0);
    let string =
        UNICODE_STRING { Length: len, MaximumLength: len, Buffer: units.as_ptr().cast_mut() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: root(directory, name),
        ObjectName: &raw const string,
        Attributes: OBJ_CASE_INSENSITIVE,
        ..OBJECT_ATTRIBUTES::default()
    };
    let (mut file, mut report) = (ptr::null_mut(), IO_STATUS_BLOCK::default());
    let Opening { access, share, disposition, options } = how;
    // What Win32 asks for as well, whatever it is asked for (CreateFileW).
    let access = access | SYNCHRONIZE | FILE_READ_ATTRIBUTES;
    let (to, attributes, none) = (&raw mut file, &raw const attributes, ptr::null());
    let (at, kind) = (&raw mut report, FILE_ATTRIBUTE_NORMAL);
    // SAFETY: the name, the attributes and both results live during the call; the directory is open
    // while it is lent.
    let status = unsafe {
        NtCreateFile(
            to,
            access,
            attributes,
            at,
            none,
            kind,
            share,
            disposition,
            options,
            none.cast(),
            0,
        )
    };
    if status < 0 {
        return Err(status);
    }
    // SAFETY: the handle was just made for us.
    let file = unsafe { File::from_raw_handle(file) };
    Ok((file, report.Information == FILE_CREATED as usize))
}

/// Opens what the caller asked for.
pub(crate) fn open_for_caller(
    directory: Option<LentFd>,
    name: &CPath,
    how: Opening,
) -> io::Result<OwnedFd> {
    let opened = match open(directory, name, how) {
        // Of a directory that is not the process's to change: it can be read all the same.
        Err(STATUS_ACCESS_DENIED) if how.options & FILE_DIRECTORY_FILE != 0 => {
            open(directory, name, Opening { access: how.access & !FILE_ADD_FILE, ..how })
        }
        opened => opened,
    };
    opened.map(|(file, _)| OwnedFd::from(file)).map_err(error_of)
}

/// Where a name starts.
fn root(directory: Option<LentFd>, name: &CPath) -> windows_sys::Win32::Foundation::HANDLE {
    directory.filter(|_| !name.is_full()).map_or(ptr::null_mut(), |fd| handle(fd.raw()))
}

/// What has a name: a link itself, unless `follow`.
pub(super) fn existing(
    directory: Option<LentFd>,
    name: &CPath,
    access: FILE_ACCESS_RIGHTS,
    follow: bool,
) -> io::Result<File> {
    let options = if follow { 0 } else { FILE_OPEN_REPARSE_POINT };
    let opened = open(directory, name, Opening::existing(access, options));
    opened.map(|(file, _)| file).map_err(error_of)
}

/// Changes something of a file (NtSetInformationFile). The file was opened for calls that wait, or the
/// system waits by itself.
///
/// # Safety
/// So many bytes must be at `at` as the class wants.
unsafe fn set(
    file: &File,
    at: *const u8,
    len: usize,
    class: FILE_INFORMATION_CLASS,
) -> Result<(), NTSTATUS> {
    let (mut report, len) = (IO_STATUS_BLOCK::default(), u32::try_from(len).unwrap_or(0));
    let to = &raw mut report;
    // SAFETY: the caller promises it; the report lives during the call.
    let status = unsafe { NtSetInformationFile(file.as_raw_handle(), to, at.cast(), len, class) };
    if status < 0 { Err(status) } else { Ok(()) }
}

/// As [`set`], with a flag or more and a name: what a file is to be called. FILE_RENAME_INFORMATION and
/// FILE_LINK_INFORMATION have the same form; their names are full ones, or simple ones in a directory
/// (their pages, remarks).
fn set_name(
    file: &File,
    class: FILE_INFORMATION_CLASS,
    flags: u32,
    directory: Option<LentFd>,
    name: &CPath,
) -> Result<(), NTSTATUS> {
    const NAME: usize = offset_of!(FILE_RENAME_INFORMATION, FileName);
    let (parent, simple) = name.split();
    let below = match name.is_full() || parent.as_slice().is_empty() {
        true => None,
        false => {
            Some(open(directory, &parent, Opening::existing(FILE_TRAVERSE, FILE_DIRECTORY_FILE))?.0)
        }
    };
    let full = &name.as_slice()[..parent.as_slice().len() + simple.len()];
    let units = if name.is_full() { full } else { simple };
    let mut head = FILE_RENAME_INFORMATION::default();
    head.Anonymous.Flags = flags;
    head.RootDirectory = below.as_ref().map_or(root(directory, name), AsRawHandle::as_raw_handle);
    head.FileNameLength = u32::try_from(size_of_val(units)).unwrap_or(0);
    // As many bytes as the pages ask for, in words, as the structure is aligned.
    let len = size_of::<FILE_RENAME_INFORMATION>() + size_of_val(units);
    let mut words = vec![0_usize; len.div_ceil(size_of::<usize>())];
    let at = words.as_mut_ptr().cast::<u8>();
    // SAFETY: there is room for the structure, and it is aligned.
    unsafe { at.cast::<FILE_RENAME_INFORMATION>().write(head) };
    // SAFETY: there is room for so many units behind what comes before the name.
    let to = unsafe { at.add(NAME) }.cast::<u16>();
    // SAFETY: as above; the vector was made just now, and is apart from the name.
    unsafe { ptr::copy_nonoverlapping(units.as_ptr(), to, units.len()) };
    // SAFETY: the structure and its name were written just now, and what it names is open.
    unsafe { set(file, at, len, class) }
}

/// Gives a file another name. What has that name goes as on Unix, though others have it open, from
/// Windows 10 1809 on and where the file system can (FILE_RENAME_INFORMATION,
/// `FILE_RENAME_POSIX_SEMANTICS`); else that is a denied access.
pub(crate) fn rename(
    (from_directory, from): (Option<LentFd>, &CPath),
    (to_directory, to): (Option<LentFd>, &CPath),
    renaming: Renaming,
) -> io::Result<()> {
    let replace = match renaming {
        Renaming::Replace => true,
        Renaming::NoReplace => false,
        Renaming::Exchange => return Err(error(ERROR_CALL_NOT_IMPLEMENTED)),
    };
    let file = existing(from_directory, from, DELETE, false)?;
    let is_directory = kind(&file)? == Kind::Directory;
    let other = || kind_at(to_directory, to);
    if replace && is_directory && matches!(other(), Some(Kind::File | Kind::Link)) {
        return Err(error(ERROR_DIRECTORY));
    }
    let flags = if replace { FILE_RENAME_REPLACE_IF_EXISTS } else { 0 };
    let more = FILE_RENAME_POSIX_SEMANTICS | FILE_RENAME_IGNORE_READONLY_ATTRIBUTE;
    let mut result = set_name(&file, FileRenameInformationEx, flags | more, to_directory, to);
    if result.is_err_and(is_unknown) {
        // The byte of its flag is where the flags have their lowest one.
        result = set_name(&file, FileRenameInformation, flags, to_directory, to);
    }
    match result {
        Err(_) if replace && !is_directory && other() == Some(Kind::Directory) => {
            Err(error(ERROR_DIRECTORY_NOT_SUPPORTED))
        }
        result => result.map_err(error_of),
    }
}

/// What is at a name, if something is.
fn kind_at(directory: Option<LentFd>, name: &CPath) -> Option<Kind> {
    existing(directory, name, 0, false).and_then(|file| kind(&file)).ok()
}

/// Gives a file a further name; a link is not followed (FILE_LINK_INFORMATION).
pub(crate) fn hard_link(
    (from_directory, from): (Option<LentFd>, &CPath),
    (to_directory, to): (Option<LentFd>, &CPath),
) -> io::Result<()> {
    let file = existing(from_directory, from, FILE_WRITE_ATTRIBUTES, false)?;
    if kind(&file)? == Kind::Directory {
        return Err(error(ERROR_ACCESS_DENIED));
    }
    set_name(&file, FileLinkInformation, 0, to_directory, to).map_err(error_of)
}

/// Removes a file, or an empty directory.
pub(crate) fn remove(
    directory: Option<LentFd>,
    name: &CPath,
    is_directory: bool,
) -> io::Result<()> {
    let file = existing(directory, name, DELETE, false)?;
    match (is_directory, kind(&file)? == Kind::Directory) {
        (true, false) => Err(error(ERROR_DIRECTORY)),
        (false, true) => Err(error(ERROR_DIRECTORY_NOT_SUPPORTED)),
        _ => remove_open(&file),
    }
}

/// Takes its name from a file that is open for that: at once, though others have it open, from Windows
/// 10 1809 on, which has the last of the flags, and where the file system can
/// (FILE_DISPOSITION_INFORMATION_EX); else when the last of them closes it.
pub(super) fn remove_open(file: &File) -> io::Result<()> {
    let flags: u32 = FILE_DISPOSITION_DELETE
        | FILE_DISPOSITION_POSIX_SEMANTICS
        | FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE;
    let at = (&raw const flags).cast();
    // SAFETY: the class wants these flags.
    match unsafe { set(file, at, size_of_val(&flags), FileDispositionInformationEx) } {
        Err(status) if is_unknown(status) => {
            let delete = 1_u8;
            // SAFETY: the class wants one byte.
            unsafe { set(file, &raw const delete, 1, FileDispositionInformation) }
        }
        result => result,
    }
    .map_err(error_of)
}

/// Makes a directory, for whom the one that it is made in says.
pub(crate) fn create_directory(
    directory: Option<LentFd>,
    name: &CPath,
    _mode: u32,
) -> io::Result<()> {
    let how = Opening {
        disposition: FILE_CREATE,
        ..Opening::existing(FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE)
    };
    open(directory, name, how).map(drop).map_err(error_of)
}

/// Makes a symbolic link (CreateSymbolicLinkW). There are two kinds: one leads to directories, and
/// which it is must be known when it is made.
pub(crate) fn symlink(original: &CPath, directory: Option<LentFd>, link: &CPath) -> io::Result<()> {
    if original.as_slice().is_empty() {
        return Err(error(ERROR_PATH_NOT_FOUND));
    }
    let link = in_full(directory, link)?;
    let to = PathBuf::from(OsString::from_wide(original.as_slice()));
    let from = link.parent().unwrap_or(Path::new(""));
    // A full path takes the place of where it starts.
    let is_directory = std::fs::metadata(from.join(to)).is_ok_and(|found| found.is_dir());
    let kind = if is_directory { SYMBOLIC_LINK_FLAG_DIRECTORY } else { 0 };
    let link: Vec<u16> = link.as_os_str().encode_wide().chain([0]).collect();
    let original: Vec<u16> = original.as_slice().iter().copied().chain([0]).collect();
    let make = |flags| {
        // SAFETY: both paths end in NUL.
        succeeded(i32::from(unsafe {
            CreateSymbolicLinkW(link.as_ptr(), original.as_ptr(), flags)
        }))
    };
    match make(kind | SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE) {
        // Before Windows 10 1703 the flag is not known.
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) => {
            make(kind)
        }
        result => result,
    }
}

/// A path for calls that take no directory: from where that is now (GetFinalPathNameByHandleW).
fn in_full(directory: Option<LentFd>, name: &CPath) -> io::Result<PathBuf> {
    let Some(fd) = directory.filter(|_| !name.is_full()) else {
        return Ok(OsString::from_wide(&name.to_win32()).into());
    };
    let mut room = vec![0; 1 << 15];
    let (at, len) = (room.as_mut_ptr(), room.len() as u32);
    // SAFETY: so many units may be written there; the directory is open while it is lent.
    let len = unsafe { GetFinalPathNameByHandleW(handle(fd.raw()), at, len, 0) } as usize;
    if len == 0 {
        return Err(io::Error::last_os_error());
    }
    // It says how much room it wants where that is more.
    let place = room.get(..len).ok_or_else(|| error(ERROR_FILENAME_EXCED_RANGE))?;
    let place = PathBuf::from(OsString::from_wide(place));
    Ok(place.join(OsString::from_wide(name.as_slice())))
}

pub(super) fn error(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}
