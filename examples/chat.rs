//! A chat over a Unix socket: `cargo run --example chat [PATH]`, then `nc -U PATH` in several
//! terminals. Every line goes to everybody else, in the order in which they were said.
//!
//! ```text
//!   receive ──line──▶ tell each other member ──▶ nothing is on its way to it: send
//!      ▲                                    └──▶ else its lines wait, up to a bound
//!      └── the next bytes
//! ```
//!
//! Nobody waits for a slow reader: whose lines wait for too long a row is put out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tigereye::{AsSource, Io, Next, Source, UnixListenOptions, UnixListener, UnixStream};

/// The longest line, in bytes.
const LINE_MAX: usize = 4096;
/// Most bytes that wait for a member to receive them.
const WAITING_MAX: usize = 256 * 1024;

struct Member {
    stream: UnixStream,
    /// What waits behind the line that is on its way, and how many bytes all of it has.
    lines: RefCell<VecDeque<Arc<[u8]>>>,
    waiting: Cell<usize>,
    sending: Cell<bool>,
}

impl AsSource for Member {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

impl Member {
    /// Sends a line when those before it are sent; says whether the member stays.
    fn tell(self: &Rc<Self>, io: &Io, line: &Arc<[u8]>) -> bool {
        let waiting = self.waiting.get() + line.len();
        if waiting > WAITING_MAX {
            io.close(Rc::clone(self), |_member, _io, _result| {});
            return false;
        }
        self.waiting.set(waiting);
        if self.sending.replace(true) {
            self.lines.borrow_mut().push_back(Arc::clone(line));
        } else {
            Rc::clone(self).send(io, Arc::clone(line));
        }
        true
    }

    fn send(self: Rc<Self>, io: &Io, line: Arc<[u8]>) {
        io.send_all(self, line, |member, io, line, result| {
            if result.is_err() {
                // Nothing is sent any more; its receive ends as well.
                return;
            }
            member.waiting.set(member.waiting.get() - line.len());
            let next = member.lines.borrow_mut().pop_front();
            match next {
                Some(line) => member.send(io, line),
                None => member.sending.set(false),
            }
        });
    }
}

/// The members by number.
type Room = Rc<RefCell<BTreeMap<u64, Rc<Member>>>>;

/// What a member says.
struct Speaker {
    number: u64,
    member: Rc<Member>,
    room: Room,
}

impl AsSource for Speaker {
    fn as_source(&self) -> &Source {
        self.member.as_source()
    }
}

impl Speaker {
    fn listen_to(self, io: &Io, buf: Vec<u8>) {
        io.recv(self, buf, |speaker, io, mut buf, result| {
            // An error, too, when a line fills the buffer: there is no room for more of it.
            if !result.is_ok_and(|count| count > 0) {
                speaker.room.borrow_mut().remove(&speaker.number);
                return;
            }
            let whole = buf.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            for line in buf[..whole].split_inclusive(|&byte| byte == b'\n') {
                speaker.say(io, line);
            }
            buf.drain(..whole);
            speaker.listen_to(io, buf);
        });
    }

    fn say(&self, io: &Io, line: &[u8]) {
        let line = [format!("{}: ", self.number).as_bytes(), line].concat().into();
        let mut room = self.room.borrow_mut();
        room.retain(|&number, member| number == self.number || member.tell(io, &line));
    }
}

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.unwrap_or_else(|| std::env::temp_dir().join("tigereye-chat.sock"));
    let io = Io::new()?;
    let options = UnixListenOptions::new().replace_stale(true);
    let listener = UnixListener::bind_with(&io, &path, &options)?;
    println!("listening {}", path.display());
    let (room, mut number) = (Room::default(), 0);
    io.accept_unix_each(
        listener,
        move |_listener, io, stream| {
            number += 1;
            let member = Rc::new(Member {
                stream,
                lines: RefCell::default(),
                waiting: Cell::new(0),
                sending: Cell::new(false),
            });
            room.borrow_mut().insert(number, Rc::clone(&member));
            let speaker = Speaker { number, member, room: Rc::clone(&room) };
            speaker.listen_to(io, Vec::with_capacity(LINE_MAX));
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
    io.run()
}
