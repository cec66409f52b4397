//! Readiness of sockets, for what has no overlapped call, or would keep a buffer while it waits.
//!
//! Winsock's own driver tells it, as a packet in the port: the request that select() and WSAPoll make
//! of it. Microsoft does not document it, and does not change it either: libuv and mio, and all that
//! is built on them, have made it for many years. Their sources are what there is to read: `afd.rs`
//! of mio, `wepoll.c`.
#![expect(unsafe_code, reason = "calls of the system")]

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::ptr;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{
    HANDLE, NTSTATUS, RtlNtStatusToDosError, STATUS_PENDING, STATUS_SUCCESS, UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE};
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, OVERLAPPED};

use super::Port;
use crate::driver::Interest;

const IOCTL_AFD_POLL: u32 = 0x0001_2024;

/// Something came, or a connection; the peer sends no more, or has ended the connection.
const READABLE: u32 = 0x0001 | 0x0080 | 0x0008 | 0x0010 | 0x0100;
/// There is room; the connection has ended, or could not be made.
const WRITABLE: u32 = 0x0004 | 0x0010 | 0x0100;

/// What is asked of one socket; the system answers in the same place.
#[repr(C)]
pub(super) struct Request {
    timeout: i64,
    handles: u32,
    exclusive: u32,
    socket: HANDLE,
    events: u32,
    status: NTSTATUS,
}

impl Request {
    pub(super) const NONE: Request = Request {
        timeout: 0,
        handles: 0,
        exclusive: 0,
        socket: ptr::null_mut(),
        events: 0,
        status: 0,
    };

    pub(super) fn new(socket: HANDLE, interest: Interest) -> Request {
        let events = match interest {
            Interest::Readable => READABLE,
            Interest::Writable => WRITABLE,
        };
        Request { timeout: i64::MAX, handles: 1, exclusive: 0, socket, events, status: 0 }
    }
}

/// Winsock's driver, opened for requests whose packets come to one port.
pub(super) struct Afd(File);

impl Afd {
    pub(super) fn new(port: &Port) -> io::Result<Afd> {
        let name: [u16; 20] = std::array::from_fn(|at| u16::from(b"\\Device\\Afd\\Tigereye"[at]));
        let len = u16::try_from(size_of_val(&name)).unwrap_or(0);
        let name =
            UNICODE_STRING { Length: len, MaximumLength: len, Buffer: name.as_ptr().cast_mut() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap_or(0),
            ObjectName: &raw const name,
            ..OBJECT_ATTRIBUTES::default()
        };
        let (mut handle, mut status) = (ptr::null_mut(), IO_STATUS_BLOCK::default());
        let (to, attributes) = (&raw mut handle, &raw const attributes);
        let share = FILE_SHARE_READ | FILE_SHARE_WRITE;
        let (status, none) = (&raw mut status, ptr::null());
        // SAFETY: the name, the attributes and both results live during the call.
        let result = unsafe {
            NtCreateFile(
                to,
                SYNCHRONIZE,
                attributes,
                status,
                none,
                0,
                share,
                FILE_OPEN,
                0,
                none.cast(),
                0,
            )
        };
        checked(result)?;
        // SAFETY: the handle was just made for us.
        let afd = Afd(unsafe { File::from_raw_handle(handle) });
        port.associate(afd.handle())?;
        Ok(afd)
    }

    pub(super) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    /// Asks; the answer is a packet, which also comes when it is known at once.
    ///
    /// # Safety
    /// Both must stay where they are until the packet has come.
    pub(super) unsafe fn ask(
        &self,
        request: *mut Request,
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<()> {
        const LEN: u32 = size_of::<Request>() as u32;
        let (afd, none) = (self.handle(), ptr::null_mut());
        let (request, at) = (request.cast(), overlapped.cast());
        // SAFETY: the caller promises it. A block begins with what the system reports in
        // (OVERLAPPED begins as IO_STATUS_BLOCK does).
        let status = unsafe {
            NtDeviceIoControlFile(
                afd,
                none,
                None,
                overlapped.cast(),
                at,
                IOCTL_AFD_POLL,
                request,
                LEN,
                request,
                LEN,
            )
        };
        checked(status)
    }
}

fn checked(status: NTSTATUS) -> io::Result<()> {
    match status {
        STATUS_SUCCESS | STATUS_PENDING => Ok(()),
        // SAFETY: it translates a number.
        _ => Err(io::Error::from_raw_os_error(
            unsafe { RtlNtStatusToDosError(status) }.cast_signed(),
        )),
    }
}
