//! Files, and what paths name. They wait for nothing: what the system does takes its time, and is
//! done.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tigereye::{Allocation, AsSource, Directory, File, FileType, Io, Metadata, Op, OpenOptions};

use crate::bench::{Bench, Context, Outcome, came, came_all, ended, shown};
use crate::common;
use crate::disk::{self, Scratch};
use crate::peer::is_simulated;
use crate::scene::{Scene, When, pattern};
use crate::start::{conclude, go};
use crate::table::{Cell, Operation, Situation, either, is};

const NO_BUFFER: &str = "it has no buffer to be empty or full";
const NO_PEER: &str = "a file has no peer and no address";
const NO_WAIT: &str = "it waits for nothing that the test could hold back";
const OPEN_ALREADY: &str = "it is given no path: the file is open";
const NO_OFFSET: &str = "it is given no offset and no length";
const TO_SEE: &str = "whether it is done before it is asked to end is for the system to say";

/// A directory of files, and what an operation is to do there.
pub(crate) struct Ground {
    scratch: Scratch,
    /// Where paths start.
    directory: Option<Rc<Directory>>,
    from: &'static str,
    to: &'static str,
    offset: u64,
    len: u64,
}

impl Ground {
    /// All that is there.
    fn shown(&self) -> String {
        let show = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                format!("{name}/")
            } else if kind.is_symlink() {
                format!("{name} -> {}", fs::read_link(entry.path()).unwrap().display())
            } else {
                format!("{name} {}", shown(&fs::read(entry.path()).unwrap()))
            }
        };
        if is_simulated() {
            let names = ["empty", "file", "new"].into_iter();
            return names.filter_map(|name| self.shown_there(name)).collect::<Vec<_>>().join(", ");
        }
        let mut all: Vec<_> = fs::read_dir(self.scratch.path()).unwrap().map(show).collect();
        all.sort();
        all.join(", ")
    }

    /// What is at one of the names on a simulated disk, which nobody lists.
    fn shown_there(&self, name: &str) -> Option<String> {
        let path = self.scratch.join(name);
        let known = disk::metadata(&path).ok()?;
        Some(if known.is_dir() {
            format!("{name}/")
        } else if disk::leads_to(&path, "file") {
            format!("{name} -> file")
        } else {
            format!("{name} {}", shown(&disk::read(&path).unwrap()))
        })
    }
}

impl Outcome for File {
    fn text(&self) -> String {
        "a file".into()
    }
}

impl Outcome for Directory {
    fn text(&self) -> String {
        "a directory".into()
    }
}

impl Outcome for Metadata {
    fn text(&self) -> String {
        match self.file_type() {
            FileType::File => format!("a file of {}", self.len()),
            FileType::Directory => "a directory".into(),
            FileType::Fifo => "a pipe".into(),
            other => format!("{other:?}"),
        }
    }
}

/// What an operation is given beside its context.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Path,
    /// A handle, and room to read into.
    Room,
    /// A handle, and bytes to write.
    Bytes,
    Handle,
}

impl Operation {
    fn given(self) -> Given {
        use Operation::*;
        match self {
            ReadAt | ReadExactAt | ReadVectoredAt | ReadAtRegistered => Given::Room,
            WriteAt | WriteAllAt | WriteVectoredAt | WriteAllVectoredAt | Append
            | WriteAllAtRegistered => Given::Bytes,
            SetLen | Allocate | Sync | SyncData | SyncRange | Metadata => Given::Handle,
            _ => Given::Path,
        }
    }

    /// Whether it is given an offset or a length.
    fn has_offset(self) -> bool {
        use Operation::*;
        let given = self.given();
        matches!(self, SetLen | Allocate | SyncRange)
            || (matches!(given, Given::Room | Given::Bytes) && self != Append)
    }
}

impl Scene {
    /// Lays a file and an empty directory, and opens what `operation` uses.
    pub(crate) fn lay(&mut self, b: &Bench, operation: Operation) {
        use Operation::*;
        let scratch = Scratch::new();
        let path = scratch.file("file", b"hello");
        disk::create_dir(scratch.join("empty")).unwrap();
        let mut directory = None;
        if operation.given() == Given::Path {
            let opened = Rc::new(open_directory(b, scratch.path()));
            directory = Some(Rc::clone(&opened));
            self.on = Some(opened);
        } else {
            self.on = Some(Rc::new(open_file(b, &path)));
        }
        let from = match operation {
            OpenDirectory | RemoveDirectory => "empty",
            CreateDirectory | Symlink => "new",
            _ => "file",
        };
        let offset = if operation.given() == Given::Bytes { 2 } else { 0 };
        let ground = Ground { scratch, directory, from, to: "new", offset, len: 8 };
        self.ground = Some(ground);
    }

    fn ground(&mut self) -> &mut Ground {
        self.ground.as_mut().unwrap()
    }

    /// Puts another handle in the place of the one that the operation uses.
    fn replace(&mut self, handle: impl AsSource + 'static) {
        self.on = Some(Rc::new(handle));
    }
}

/// The handle of a file that is there.
fn open_file(b: &Bench, path: &Path) -> File {
    if !is_simulated() {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        return File::from_std(&b.io, file);
    }
    let options = OpenOptions::new().read(true).write(true);
    opened(b, |io, place| {
        io.open(place, path, &options, |place, _io, file| *place.borrow_mut() = file.ok())
    })
}

fn open_directory(b: &Bench, path: &Path) -> Directory {
    if !is_simulated() {
        return Directory::from_fd(&b.io, fs::File::open(path).unwrap().into());
    }
    opened(b, |io, place| {
        io.open_directory(place, path, |place, _io, directory| *place.borrow_mut() = directory.ok())
    })
}

/// What an operation on the loop opens.
fn opened<T>(b: &Bench, start: impl FnOnce(&Io, Rc<RefCell<Option<T>>>) -> Op) -> T {
    let place = Rc::default();
    start(&b.io, Rc::clone(&place));
    b.finish();
    place.take().unwrap()
}

pub(crate) fn start(b: &Bench, operation: Operation, scene: &Scene, context: Context) -> Op {
    let ground = scene.ground.as_ref().unwrap();
    match operation.given() {
        Given::Path => by_path(b, operation, ground, context),
        Given::Room => read(b, operation, scene, ground.offset, context),
        Given::Bytes => write(b, operation, scene, ground.offset, context),
        Given::Handle => on_handle(b, operation, ground, context),
    }
}

fn by_path(b: &Bench, operation: Operation, ground: &Ground, context: Context) -> Op {
    let directory = ground.directory.as_ref().unwrap();
    let (from, to) = (directory.at(ground.from), directory.at(ground.to));
    let options = OpenOptions::new().read(true).write(true);
    match operation {
        Operation::Open => b.io.open(context, from, &options, ended),
        Operation::OpenBeneath => b.io.open(context, from, &options.beneath(true), ended),
        Operation::OpenDirectory => b.io.open_directory(context, from, ended),
        Operation::MetadataAt => b.io.metadata_at(context, from, true, ended),
        Operation::Rename => b.io.rename(context, from, to, ended),
        Operation::HardLink => b.io.hard_link(context, from, to, ended),
        Operation::Symlink => b.io.symlink(context, "file", from, ended),
        Operation::RemoveFile => b.io.remove_file(context, from, ended),
        Operation::RemoveDirectory => b.io.remove_directory(context, from, ended),
        _ => b.io.create_directory(context, from, 0o700, ended),
    }
}

fn read(b: &Bench, operation: Operation, scene: &Scene, offset: u64, context: Context) -> Op {
    let room = || b.room(scene.room);
    match operation {
        Operation::ReadAt => b.io.read_at(context, room(), offset, came),
        Operation::ReadAtRegistered => {
            b.io.read_at(context, b.registered(b"", scene.room), offset, came)
        }
        Operation::ReadExactAt => b.io.read_exact_at(context, room(), scene.exact, offset, came),
        _ => {
            let first = scene.room.min(3);
            let bufs = vec![b.room(first), b.room(scene.room - first)];
            b.io.read_vectored_at(context, bufs, offset, came_all)
        }
    }
}

fn write(b: &Bench, operation: Operation, scene: &Scene, offset: u64, context: Context) -> Op {
    let whole = || b.holding(&scene.bytes);
    let parts = || {
        let (first, second) = scene.bytes.split_at(scene.bytes.len().min(3));
        vec![b.holding(first), b.holding(second)]
    };
    match operation {
        Operation::WriteAt => b.io.write_at(context, whole(), offset, came),
        Operation::WriteAllAt => b.io.write_all_at(context, whole(), offset, came),
        Operation::WriteAllAtRegistered => {
            b.io.write_all_at(context, b.registered(&scene.bytes, 0), offset, came)
        }
        Operation::WriteVectoredAt => b.io.write_vectored_at(context, parts(), offset, came_all),
        Operation::WriteAllVectoredAt => {
            b.io.write_all_vectored_at(context, parts(), offset, came_all)
        }
        _ => b.io.append(context, whole(), came),
    }
}

fn on_handle(b: &Bench, operation: Operation, ground: &Ground, context: Context) -> Op {
    let (offset, len) = (ground.offset, ground.len);
    match operation {
        Operation::SetLen => b.io.set_len(context, len, ended),
        Operation::Allocate => b.io.allocate(context, offset, len, Allocation::Grow, ended),
        Operation::Sync => b.io.sync(context, ended),
        Operation::SyncData => b.io.sync_data(context, ended),
        Operation::SyncRange => b.io.sync_range(context, offset, len, ended),
        _ => b.io.metadata(context, ended),
    }
}

pub(crate) fn cell(operation: Operation, situation: Situation) -> Cell {
    use Situation::*;
    let given = operation.given();
    let has_buffer = matches!(given, Given::Room | Given::Bytes);
    match situation {
        Ordinary => is(ordinary, format!("{}; {}", operation.done(), left(operation))),
        Waited | CancelledWaiting | LoopDropped => Cell::No(NO_WAIT),
        EmptyBuffer if has_buffer => is(empty, empty_said(operation)),
        NoRoom if operation == Operation::ReadAtRegistered => is(no_room, FULL),
        NoRoom if given == Given::Room => {
            let error = "InvalidInput: the buffer has no room to receive into";
            is(no_room, operation.fails(error))
        }
        NoRoom if given == Given::Bytes => Cell::No("a write needs no room in its buffer"),
        MoreThanFits if has_buffer => is(many, many_said(operation)),
        EmptyBuffer | NoRoom | MoreThanFits => Cell::No(NO_BUFFER),
        EndOfStream | DataThenEnd | DataThenReset | ResetBefore | ResetWhile | PeerHalfClosed
        | OwnHalfShut | OwnHalfShutWhile | UrgentData | ClosedUnread | CancelledUnread
        | Refused | BadAddress | NoListener | NobodyReads => Cell::No(NO_PEER),
        CancelledAtOnce => done_or(common::run_cancelled_when_done, operation, "ECANCELED", ""),
        CancelledWhenDone => done_or(cancelled_later, operation, "ECANCELED", ""),
        CancelledWhenReady => Cell::No("the loop alone knows when it is done: as when done"),
        CancelAll => done_or(cancel_all, operation, "ECANCELED", ""),
        DeadlinePasses => done_or(deadline_passes, operation, "TimedOut", ""),
        DeadlineNotReached => common::deadline_not_reached(operation),
        ClosedBefore => common::closed_before(operation),
        ClosedWhile => done_or(closed_while, operation, "ECANCELED", "; closed"),
        Foreign => common::foreign(operation),
        OtherKind => is(other_kind, operation.of(OTHER_KIND)),
        TwoInOrder => Cell::No("operations on files run side by side: they have no order"),
        AtCapacity => common::at_capacity(operation),
        Stopped => Cell::No("only a flow is stopped: this has one result"),
        LoopDroppedWhenDone => common::loop_dropped_when_done(operation),
        EndOfFile if has_buffer => is(end_of_file, end_said(operation)),
        EndOfFile => Cell::No("it reads nothing and writes nothing"),
        BeyondAnyFile if operation.has_offset() => is(beyond, operation.fails("EINVAL")),
        BeyondAnyFile => Cell::No(NO_OFFSET),
        WrongKind => is(wrong_kind, operation.of(WRONG_KIND)),
        Missing if given == Given::Path => is(missing, operation.fails("ENOENT")),
        Missing => Cell::No(OPEN_ALREADY),
    }
}

/// It is done, or was ended before it began.
fn done_or(run: crate::table::Run, operation: Operation, error: &str, then: &str) -> Cell {
    let outcomes = [operation.done().into(), operation.fails(error)];
    either(run, outcomes.map(|outcome: String| outcome + then), TO_SEE)
}

/// What is there after the ordinary case.
fn left(operation: Operation) -> &'static str {
    use Operation::*;
    match operation {
        WriteAt | WriteAllAt | WriteVectoredAt | WriteAllVectoredAt | WriteAllAtRegistered => {
            "empty/, file [hehello]"
        }
        Append => "empty/, file [hellohello]",
        SetLen | Allocate => "empty/, file [hello\\x00\\x00\\x00]",
        Rename => "empty/, new [hello]",
        HardLink => "empty/, file [hello], new [hello]",
        Symlink => "empty/, file [hello], new -> file",
        RemoveFile => "empty/",
        RemoveDirectory => "file [hello]",
        CreateDirectory => "empty/, file [hello], new/",
        _ => "empty/, file [hello]",
    }
}

fn ordinary(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    go(&b, operation, &mut scene);
    b.put(scene.ground().shown());
}

/// A pool has no buffers without room: this one holds a byte.
const FULL: &str = "InvalidInput: the buffer has no room to receive into [\\x00]";

fn empty_said(operation: Operation) -> &'static str {
    use Operation::*;
    match operation {
        ReadAt => "InvalidInput: the buffer has no room to receive into []",
        ReadVectoredAt => "InvalidInput: the buffer has no room to receive into [][]",
        ReadAtRegistered => FULL,
        // A pool has no buffers of no bytes: this one holds a byte.
        WriteAllAtRegistered => "ok [\\x00]",
        ReadExactAt | WriteAllAt => "ok []",
        WriteAllVectoredAt => "ok [][]",
        WriteVectoredAt => "0 [][]",
        _ => "0 []",
    }
}

fn empty(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    (scene.room, scene.exact) = (0, 0);
    scene.bytes.clear();
    go(&b, operation, &mut scene);
}

fn no_room(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.room = 0;
    go(&b, operation, &mut scene);
}

const MANY: usize = 262_144;

fn many_said(operation: Operation) -> &'static str {
    use Operation::*;
    match operation {
        ReadAt | ReadAtRegistered | WriteAt | Append => "262144 [262144]; all there",
        ReadExactAt | WriteAllAt | WriteAllAtRegistered => "ok [262144]; all there",
        WriteAllVectoredAt => "ok [abc][262141]; all there",
        _ => "262144 [abc][262141]; all there",
    }
}

/// A file takes and gives in one call what a socket does not.
fn many(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    (scene.room, scene.exact, scene.bytes) = (MANY, MANY, pattern(MANY));
    let path = scene.ground().scratch.join("file");
    let there = if operation.given() == Given::Room { pattern(MANY) } else { Vec::new() };
    disk::write(&path, there).unwrap();
    scene.ground().offset = 0;
    go(&b, operation, &mut scene);
    b.put(if disk::read(path).unwrap() == pattern(MANY) { "all there" } else { "something else" });
}

/// Cancelled in a later turn.
fn cancelled_later(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    let op = crate::start::start(&b, operation, &mut scene);
    b.io.poll().unwrap();
    b.io.cancel(op);
    conclude(&b, operation, &scene);
}

fn cancel_all(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    crate::start::start(&b, operation, &mut scene);
    b.io.cancel_all();
    conclude(&b, operation, &scene);
}

fn deadline_passes(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    let op = crate::start::start(&b, operation, &mut scene);
    b.io.deadline(op, Duration::ZERO);
    conclude(&b, operation, &scene);
}

fn closed_while(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    crate::start::start(&b, operation, &mut scene);
    b.io.close(b.context(scene.on.as_ref(), ""), |context, _io, result| {
        result.unwrap();
        context.put("closed");
    });
    b.finish();
}

const OTHER_KIND: [&str; 26] = [
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
    "ESPIPE []",
    "ESPIPE []",
    "ESPIPE [][]",
    "ESPIPE []",
    "ESPIPE [hello]",
    "ESPIPE [hello]",
    "ESPIPE [hel][lo]",
    "ESPIPE [hel][lo]",
    "ESPIPE [hello]",
    "ESPIPE [hello]",
    "EINVAL",
    "ESPIPE",
    "EINVAL",
    "EINVAL",
    "ESPIPE",
    "a pipe",
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
    "ENOTDIR",
];

/// A pipe in the place of a file; a file in the place of the directory where paths start.
fn other_kind(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    let (reader, writer) = io::pipe().unwrap();
    match operation.given() {
        Given::Path => {
            let file = fs::File::open(scene.ground().scratch.join("file")).unwrap();
            let place = Rc::new(Directory::from_fd(&b.io, file.into()));
            scene.ground().directory = Some(place);
        }
        Given::Room => scene.replace(File::from_fd(&b.io, reader.try_clone().unwrap().into())),
        _ => scene.replace(File::from_fd(&b.io, writer.try_clone().unwrap().into())),
    }
    go(&b, operation, &mut scene);
}

fn end_said(operation: Operation) -> &'static str {
    use Operation::*;
    match operation {
        ReadAt | ReadAtRegistered => "2 [lo]; 0 []; empty/, file [hello]",
        ReadExactAt => {
            "UnexpectedEof: the file ended after 2 of 5 bytes [lo]; \
             UnexpectedEof: the file ended after 0 of 5 bytes []; empty/, file [hello]"
        }
        ReadVectoredAt => "2 [lo][]; 0 [][]; empty/, file [hello]",
        WriteAt => "5 [hello]; 5 [hello]; empty/, file [helhello\\x00\\x00hello]",
        WriteAllAt | WriteAllAtRegistered => {
            "ok [hello]; ok [hello]; empty/, file [helhello\\x00\\x00hello]"
        }
        WriteVectoredAt => "5 [hel][lo]; 5 [hel][lo]; empty/, file [helhello\\x00\\x00hello]",
        WriteAllVectoredAt => "ok [hel][lo]; ok [hel][lo]; empty/, file [helhello\\x00\\x00hello]",
        _ => "5 [hello]; 5 [hello]; empty/, file [hellohellohello]",
    }
}

/// Across the end, and beyond it.
fn end_of_file(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    for offset in [3, 10] {
        scene.ground().offset = offset;
        go(&b, operation, &mut scene);
    }
    b.put(scene.ground().shown());
}

fn beyond(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    (scene.ground().offset, scene.ground().len) = (u64::MAX, u64::MAX);
    go(&b, operation, &mut scene);
}

const WRONG_KIND: [&str; 26] = [
    "EISDIR",
    "EISDIR",
    "ENOTDIR",
    "EISDIR []",
    "EISDIR []",
    "EISDIR [][]",
    "EISDIR []",
    "EBADF [hello]",
    "EBADF [hello]",
    "EBADF [hel][lo]",
    "EBADF [hel][lo]",
    "EBADF [hello]",
    "EBADF [hello]",
    "EINVAL",
    "EBADF",
    "ok",
    "ok",
    "ok",
    "a directory",
    "a directory",
    "EISDIR",
    "EPERM",
    "EEXIST",
    "EISDIR",
    "ENOTDIR",
    "EEXIST",
];

fn wrong_kind(b: Bench, operation: Operation) {
    use Operation::*;
    let mut scene = Scene::of(&b, operation, When::There);
    if operation.given() == Given::Path {
        let ground = scene.ground();
        (ground.from, ground.to) = match operation {
            OpenDirectory | RemoveDirectory | CreateDirectory => ("file", "new"),
            Rename => ("file", "empty"),
            _ => ("empty", "new"),
        };
    } else {
        let directory = open_directory(&b, scene.ground().scratch.path());
        scene.replace(directory);
    }
    go(&b, operation, &mut scene);
}

fn missing(b: Bench, operation: Operation) {
    let mut scene = Scene::of(&b, operation, When::There);
    scene.ground().from = "nothing/here";
    go(&b, operation, &mut scene);
}
