//! Where a cell runs: a loop over one driver, and what its callbacks tell, in order.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{
    AsSource, BufferPool, Builder, DriverKind, Io, IoBuf, IoBufMut, PoolBuf, Received, Source,
};

use crate::system;

/// Longer than any cell takes, on the busiest machine: what is in flight after it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// Contexts and buffers that operations were given, less those that came back and were dropped.
#[derive(Clone, Default)]
pub(crate) struct Count(Rc<Cell<i32>>);

impl Count {
    pub(crate) fn get(&self) -> i32 {
        self.0.get()
    }
}

struct Counted(Count);

impl Counted {
    fn new(count: &Count) -> Counted {
        count.0.set(count.get() + 1);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.get() - 1);
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn put(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// All of it, which is forgotten.
    pub(crate) fn take(&self) -> String {
        self.0.take().join("; ")
    }

    pub(crate) fn joined(&self) -> String {
        self.0.borrow().join("; ")
    }
}

pub(crate) struct Bench {
    pub(crate) io: Rc<Io>,
    pub(crate) kind: DriverKind,
    pub(crate) log: Log,
    pub(crate) count: Count,
}

impl Bench {
    pub(crate) fn new(kind: DriverKind, log: &Log, count: &Count) -> io::Result<Bench> {
        let io = Io::builder().driver(kind).build()?;
        Ok(Bench { io: Rc::new(io), kind, log: log.clone(), count: count.clone() })
    }

    /// Another loop of the same kind.
    pub(crate) fn other(&self, adapt: impl FnOnce(Builder) -> Builder) -> Bench {
        let io = adapt(Io::builder().driver(self.kind)).build().unwrap();
        Bench { io: Rc::new(io), kind: self.kind, log: self.log.clone(), count: self.count.clone() }
    }

    pub(crate) fn put(&self, text: impl Into<String>) {
        self.log.put(text);
    }

    /// Runs until nothing is in flight.
    pub(crate) fn finish(&self) {
        self.io.run_for(HANG).unwrap();
        if self.io.in_flight() > 0 {
            self.put("HANGS");
        }
    }

    /// Runs until callbacks have told so much.
    #[track_caller]
    pub(crate) fn until(&self, entries: usize) {
        self.run_until(|| self.log.len() >= entries);
    }

    #[track_caller]
    pub(crate) fn run_until(&self, done: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !done() {
            self.io.run_for(Duration::from_millis(1)).unwrap();
            assert!(begin.elapsed() < HANG, "nothing comes after: {}", self.log.joined());
        }
    }

    /// Lets what waits reach the system.
    pub(crate) fn turn(&self) {
        for _ in 0..3 {
            self.io.poll().unwrap();
        }
    }

    pub(crate) fn context(&self, on: Option<&Rc<dyn AsSource>>, name: &'static str) -> Context {
        Context {
            on: on.cloned(),
            name,
            log: self.log.clone(),
            _counted: Counted::new(&self.count),
        }
    }

    /// A buffer that holds these bytes.
    pub(crate) fn holding(&self, bytes: &[u8]) -> Buffer {
        Buffer { bytes: Memory::Own(bytes.to_vec()), _counted: Counted::new(&self.count) }
    }

    /// A buffer with so much room.
    pub(crate) fn room(&self, bytes: usize) -> Buffer {
        let bytes = Memory::Own(Vec::with_capacity(bytes));
        Buffer { bytes, _counted: Counted::new(&self.count) }
    }

    /// A buffer of registered memory, where there is such, that holds these bytes and has so much
    /// room more. One that would be empty has a byte.
    pub(crate) fn registered(&self, bytes: &[u8], room: usize) -> Buffer {
        let pool = BufferPool::aligned(&self.io, 1, (bytes.len() + room).max(1)).unwrap();
        assert!(!pool.register().unwrap() || self.kind == DriverKind::Uring);
        let mut buf = pool.take().unwrap();
        buf.extend_from_slice(bytes);
        if bytes.len() + room == 0 {
            buf.resize_to_capacity();
        }
        Buffer { bytes: Memory::Pool(buf), _counted: Counted::new(&self.count) }
    }
}

/// What every operation has as its context.
pub(crate) struct Context {
    on: Option<Rc<dyn AsSource>>,
    name: &'static str,
    log: Log,
    _counted: Counted,
}

impl AsSource for Context {
    fn as_source(&self) -> &Source {
        self.on.as_ref().expect("the operation has a handle").as_source()
    }
}

impl Context {
    pub(crate) fn put(&self, text: impl fmt::Display) {
        self.log.put(format!("{}{text}", self.name));
    }
}

enum Memory {
    Own(Vec<u8>),
    Pool(PoolBuf),
}

/// What every operation has as its buffer.
pub(crate) struct Buffer {
    bytes: Memory,
    _counted: Counted,
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Memory::Own(bytes) => bytes,
            Memory::Pool(buf) => buf,
        }
    }
}

// SAFETY: the memory of a vector and of a pool stays where it is while the buffer is not changed.
#[expect(unsafe_code, reason = "a buffer that counts its drops")]
unsafe impl IoBuf for Buffer {
    fn as_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }
    fn len(&self) -> usize {
        self.bytes().len()
    }
}

// SAFETY: as above; all is the buffer's own.
#[expect(unsafe_code, reason = "a buffer that counts its drops")]
unsafe impl IoBufMut for Buffer {
    fn writable(&mut self) -> (*mut u8, usize) {
        match &mut self.bytes {
            Memory::Own(bytes) => bytes.writable(),
            Memory::Pool(buf) => buf.writable(),
        }
    }
    unsafe fn written(&mut self, count: usize) {
        match &mut self.bytes {
            // SAFETY: the caller vouches for what it wrote.
            Memory::Own(bytes) => unsafe { bytes.written(count) },
            // SAFETY: as above.
            Memory::Pool(buf) => unsafe { buf.written(count) },
        }
    }
    fn is_growing(&self) -> bool {
        true
    }
}

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.bytes()))
    }
}

/// Few bytes as they are, many by their number.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=16 => format!("[{}]", bytes.escape_ascii()),
        len => format!("[{len}]"),
    }
}

/// What an operation says of its success.
pub(crate) trait Outcome {
    fn text(&self) -> String;
}

impl Outcome for () {
    fn text(&self) -> String {
        "ok".into()
    }
}

impl Outcome for usize {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Outcome for u64 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl<A> Outcome for Received<A> {
    fn text(&self) -> String {
        format!("{}{}", self.len, if self.truncated { " cut" } else { "" })
    }
}

pub(crate) fn said<T: Outcome>(result: &io::Result<T>) -> String {
    match result {
        Ok(value) => value.text(),
        Err(error) => failure(error),
    }
}

pub(crate) fn failure(error: &io::Error) -> String {
    match (error.raw_os_error(), error.get_ref()) {
        (Some(code), _) => {
            system::name_of(code).map_or_else(|| format!("error {code}"), String::from)
        }
        (None, Some(inner)) => format!("{:?}: {inner}", error.kind()),
        (None, None) => format!("{:?}", error.kind()),
    }
}

/// The callback of an operation without a buffer.
pub(crate) fn ended<T: Outcome>(context: Context, _io: &Io, result: io::Result<T>) {
    context.put(said(&result));
}

/// The callback of an operation with a buffer.
pub(crate) fn came<T: Outcome>(context: Context, _io: &Io, buf: Buffer, result: io::Result<T>) {
    context.put(format!("{} {buf}", said(&result)));
}

/// The callback of an operation with several buffers.
pub(crate) fn came_all<T: Outcome>(
    context: Context,
    _io: &Io,
    bufs: Vec<Buffer>,
    result: io::Result<T>,
) {
    let bufs: String = bufs.iter().map(Buffer::to_string).collect();
    context.put(format!("{} {bufs}", said(&result)));
}

/// The last callback of a flow.
pub(crate) fn over(context: Context, _io: &Io, result: io::Result<()>) {
    context.put(format!("end {}", said(&result)));
}

/// Received buffers that are kept from their pool.
pub(crate) type Kept = Rc<RefCell<Vec<PoolBuf>>>;
