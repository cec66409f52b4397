//! The seam to `server.c`, and the only unsafe code here.

#![expect(unsafe_code, reason = "libuv is in C, and so is its server")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use tigereye_peers::server::{Mode, Server};
use tigereye_peers::service::{Page, Response, Service};
use tigereye_peers::sys::net::BACKLOG;

type State = <Page as Service>::State;

#[repr(C)]
struct Answer {
    len: usize,
    more: bool,
    close: bool,
    contents: bool,
}

/// What answers, where it is not an echo.
#[repr(C)]
struct Answering {
    context: *mut c_void,
    open: extern "C" fn() -> *mut c_void,
    respond:
        unsafe extern "C" fn(*mut c_void, *mut c_void, *const u8, usize, *mut u8, usize) -> Answer,
    close: unsafe extern "C" fn(*mut c_void),
    file: c_int,
    length: u64,
}

unsafe extern "C" {
    fn peer_libuv_serve(
        socket: c_int,
        datagrams: bool,
        turns_away: bool,
        backlog: c_int,
        signal: c_int,
        block_len: usize,
        service: *const Answering,
    ) -> c_int;
    safe fn peer_libuv_version() -> *const c_char;
}

extern "C" fn open() -> *mut c_void {
    Box::into_raw(Box::new(State::default())).cast()
}

/// # Safety
///
/// `state` is from [`open`] and not closed yet.
unsafe extern "C" fn close(state: *mut c_void) {
    // SAFETY: the box that `open` gave up; `server.c` calls this once, when the connection is freed.
    drop(unsafe { Box::from_raw(state.cast::<State>()) });
}

/// # Safety
///
/// `context` is a [`Page`], `state` from [`open`], both used by nobody else meanwhile; `input` and
/// `out` are blocks of these lengths, and not the same one.
unsafe extern "C" fn respond(
    context: *mut c_void,
    state: *mut c_void,
    input: *const u8,
    input_len: usize,
    out: *mut u8,
    out_len: usize,
) -> Answer {
    // SAFETY: `serve` borrows it for as long as the loop runs, on the one thread of the loop.
    let page = unsafe { &mut *context.cast::<Page>() };
    // SAFETY: the connection's own, from `open`; the loop has one thread.
    let state = unsafe { &mut *state.cast::<State>() };
    // SAFETY: `answer` in `server.c` passes what libuv has written of a block (I1 there).
    let input = unsafe { std::slice::from_raw_parts(input, input_len) };
    // SAFETY: a block just taken from the pool, so another one than the input's (I1 there), and
    // zeroed when it was allocated.
    let out = unsafe { std::slice::from_raw_parts_mut(out, out_len) };
    let response = page.respond(state, input, out);
    let Response { len, more, close, contents } = response;
    Answer { len, more, close, contents }
}

/// Serves until the server's signal is readable.
pub(crate) fn serve(server: Server, buffer: usize) -> io::Result<()> {
    let mut page = match (server.mode, &server.contents) {
        (_, Some(contents)) => Some(Page::file(contents.length)),
        (Mode::Http, None) => Some(Page::hello()),
        _ => None,
    };
    let contents = server.contents.as_ref();
    let answering = page.as_mut().map(|page| Answering {
        context: std::ptr::from_mut(page).cast(),
        open,
        respond,
        close,
        file: contents.map_or(-1, |contents| contents.file.as_raw_fd()),
        length: contents.map_or(0, |contents| contents.length),
    });
    let service = answering.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let (datagrams, turns_away) = (server.socket.is_some(), server.mode == Mode::Accept);
    let listener = server.listener;
    let socket = server.socket.map_or_else(|| listener.into_raw_fd(), IntoRawFd::into_raw_fd);
    let signal = server.signal.as_raw_fd();
    // SAFETY: the descriptors are open and stay so (the socket is the server's from here on), and
    // the service lives through the call. `tests/server.rs` has all of it done.
    let result = unsafe {
        peer_libuv_serve(socket, datagrams, turns_away, BACKLOG, signal, buffer, service)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-result)) }
}

/// The version of the library that runs.
pub(crate) fn version() -> String {
    // SAFETY: uv_version_string() gives a constant that ends with a zero.
    unsafe { CStr::from_ptr(peer_libuv_version()) }.to_string_lossy().into_owned()
}
