//! A small protocol with a bug: a server keeps records in a file, and acknowledges them before they are
//! synced. A client sends record after record until it is told that there is one.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{Disturbances, FaultKind, Faults, Host, World, note};
use tigereye::{AsSource, File, Io, Next, OpenOptions, Source, TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 7000);
const PATH: &str = "/records";
const RECORDS: u64 = 100;
const LEN: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Never,
    BeforeAnswer,
}

/// What the server has of one client.
struct Session {
    stream: TcpStream,
    file: Rc<File>,
    sync: Sync,
}

impl AsSource for Session {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

fn serve(io: &Io, sync: Sync) {
    let options = OpenOptions::new().write(true).create(true);
    io.open((), PATH, &options, move |(), io, file| {
        // A disk or a table of descriptors that is full now has room later.
        let Ok(file) = file else {
            io.timeout((), SECOND, move |(), io, _result| serve(io, sync));
            return;
        };
        io.open_directory(file, "/", move |file, io, root| {
            let Ok(root) = root else { return serve(io, sync) };
            io.sync(root, move |_root, io, result| match result {
                Ok(()) => listen(io, Rc::new(file), sync),
                Err(_) => serve(io, sync),
            });
        });
    });
}

fn listen(io: &Io, file: Rc<File>, sync: Sync) {
    let listener = TcpListener::bind(io, SERVER.into()).unwrap();
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            Session { stream, file: Rc::clone(&file), sync }.receive(io);
            Next::Continue
        },
        |_listener, _io, _result| {},
    );
}

impl Session {
    fn receive(self, io: &Io) {
        io.recv_exact(self, Vec::with_capacity(LEN), LEN, |session, io, record, result| {
            let Ok(number) = <[u8; LEN]>::try_from(&*record) else { return };
            if result.is_err() {
                return;
            }
            let offset = u64::from_be_bytes(number) * LEN as u64;
            let file = Rc::clone(&session.file);
            io.write_all_at(file, record, offset, move |_file, io, record, result| {
                match (result, session.sync) {
                    (Ok(()), Sync::Never) => session.answer(io, record),
                    (Ok(()), Sync::BeforeAnswer) => session.sync(io, record),
                    (Err(_), _) => {}
                }
            });
        });
    }

    fn sync(self, io: &Io, record: Vec<u8>) {
        io.sync(Rc::clone(&self.file), move |_file, io, result| match result {
            Ok(()) => self.answer(io, record),
            // What is on the disk is unknown now.
            Err(_) => io.stop(),
        });
    }

    fn answer(self, io: &Io, record: Vec<u8>) {
        io.send_all(self, record, |session, io, _record, result| {
            if result.is_ok() {
                session.receive(io);
            }
        });
    }
}

#[derive(Clone)]
struct Client {
    acknowledged: Rc<Cell<u64>>,
}

impl Client {
    fn connect(self, io: &Io) {
        let op = io.connect(self, SERVER.into(), |client, io, stream| match stream {
            Ok(stream) => client.send(io, stream),
            Err(_) => client.again(io),
        });
        io.deadline(op, 2 * SECOND);
    }

    fn again(self, io: &Io) {
        io.timeout(self, SECOND / 5, |client, io, _result| client.connect(io));
    }

    fn send(self, io: &Io, stream: TcpStream) {
        let record = self.acknowledged.get() + 1;
        if record > RECORDS {
            return;
        }
        let message = record.to_be_bytes().to_vec();
        let op = io.send_all(stream, message, move |stream, io, _buf, result| {
            if result.is_err() {
                return self.again(io);
            }
            let room = Vec::with_capacity(LEN);
            let op = io.recv_exact(stream, room, LEN, move |stream, io, _buf, result| {
                if result.is_err() {
                    return self.again(io);
                }
                self.acknowledged.set(record);
                if record.is_multiple_of(25) {
                    note(io, format_args!("</script> has {record} & more"));
                }
                io.timeout((), SECOND / 10, move |(), io, _result| self.send(io, stream));
            });
            io.deadline(op, 2 * SECOND);
        });
        io.deadline(op, 2 * SECOND);
    }
}

/// A server and a client, and what is done to the server meanwhile.
pub(crate) fn start(world: &mut World, sync: Sync) -> (Host, Rc<Cell<u64>>) {
    let server = world.host("server", SERVER.0.into(), move |io| serve(io, sync));
    let client = Client { acknowledged: Rc::default() };
    let acknowledged = Rc::clone(&client.acknowledged);
    let address: SocketAddr = ([10, 0, 0, 2], 0).into();
    world.host("client", address.ip(), move |io| client.clone().connect(io));
    let all = Faults::some().with(FaultKind::BitRot, 0.0).with(FaultKind::StuckCall, 0.0);
    let all = all.with(FaultKind::MisdirectedWrite, 0.0);
    world.set_faults(all);
    let plan = Disturbances::of(&[server])
        .within(SECOND..20 * SECOND)
        .pauses(SECOND / 2..=4 * SECOND)
        .lasting(SECOND / 10..=2 * SECOND)
        .draw(world.seed());
    world.disturb(plan);
    (server, acknowledged)
}

/// What was acknowledged is on the server's disk.
pub(crate) fn trial(world: &mut World, sync: Sync) -> Result<(), String> {
    let (server, acknowledged) = start(world, sync);
    world.run_until(60 * SECOND, |world| world.is_calm());
    world.run_for(SECOND);
    let file = world.file(server, PATH).unwrap_or_default();
    for record in 1..=acknowledged.get() {
        let at = record as usize * LEN;
        if file.get(at..at + LEN) != Some(&record.to_be_bytes()) {
            return Err(format!("an acknowledged record is lost\nit is number {record}"));
        }
    }
    Ok(())
}
