//! A bank with one account, tried in a world that fails: `cargo run --release --example simulation
//! [SEEDS]`. For each seed two clients pay in, over a network that loses messages, resets connections
//! and is cut, to a server whose program is killed. What was acknowledged must be in the account, and
//! nothing twice. A seed that breaks this can be run again: it breaks it in the same way.
//!
//! The server and the clients are ordinary programs: `main` could run each of them with `Io::new()`.
//! The account is what the server has on its disk, so it outlives the program.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, World};
use tigereye::{AsSource, Io, Next, Source, TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 7000);
const PAYMENTS: u32 = 50;
/// A message: who pays, and which payment it is, in four bytes each. The answer is the same.
const LEN: usize = 8;

/// What has been paid in: payments by client and number.
type Account = Rc<RefCell<BTreeSet<[u8; LEN]>>>;

struct Teller {
    stream: TcpStream,
    account: Account,
}

impl AsSource for Teller {
    fn as_source(&self) -> &Source {
        self.stream.as_source()
    }
}

fn server(io: &Io, account: Account) {
    let listener = TcpListener::bind(io, SERVER.into()).expect("the port is free");
    io.accept_each(
        listener,
        move |_listener, io, stream| {
            Teller { stream, account: Rc::clone(&account) }.receive(io, Vec::with_capacity(LEN));
            Next::Continue
        },
        |_listener, _io, result| println!("no longer accepting: {result:?}"),
    );
}

impl Teller {
    fn receive(self, io: &Io, mut buf: Vec<u8>) {
        buf.clear();
        io.recv_exact(self, buf, LEN, |teller, io, buf, result| {
            let Ok(payment) = <[u8; LEN]>::try_from(&*buf) else { return };
            if result.is_ok() {
                // A payment that is sent again is the same payment.
                teller.account.borrow_mut().insert(payment);
                teller.answer(io, buf);
            }
        });
    }

    fn answer(self, io: &Io, buf: Vec<u8>) {
        io.send_all(self, buf, |teller, io, buf, result| {
            if result.is_ok() {
                teller.receive(io, buf);
            }
        });
    }
}

/// Pays, and pays again until it is acknowledged.
#[derive(Clone)]
struct Client {
    number: u32,
    acknowledged: Rc<Cell<u32>>,
}

impl Client {
    fn connect(self, io: &Io) {
        let op = io.connect(self, SERVER.into(), |client, io, stream| match stream {
            Ok(stream) => client.pay(io, stream),
            Err(_) => client.connect_later(io),
        });
        io.deadline(op, SECOND);
    }

    fn connect_later(self, io: &Io) {
        io.timeout(self, SECOND / 10, |client, io, _result| client.connect(io));
    }

    fn pay(self, io: &Io, stream: TcpStream) {
        let payment = self.acknowledged.get() + 1;
        if payment > PAYMENTS {
            return;
        }
        let message = [self.number.to_be_bytes(), payment.to_be_bytes()].concat();
        let op = io.send_all(stream, message, move |stream, io, message, result| {
            if result.is_err() {
                return self.connect_later(io);
            }
            let op = io.recv_exact(
                stream,
                Vec::with_capacity(LEN),
                LEN,
                move |stream, io, buf, result| {
                    if result.is_err() {
                        return self.connect_later(io);
                    }
                    assert_eq!(buf, message, "the answer is to what was asked");
                    self.acknowledged.set(payment);
                    self.pay(io, stream);
                },
            );
            io.deadline(op, SECOND);
        });
        io.deadline(op, SECOND);
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    world.set_faults(Faults::some().with(FaultKind::ConnectionReset, 0.01));
    let account = Account::default();
    let of_server = Rc::clone(&account);
    let server_address = IpAddr::from(SERVER.0);
    let server = world.host("server", server_address, move |io| server(io, Rc::clone(&of_server)));
    let clients = [2, 3].map(|number| Client { number, acknowledged: Rc::default() });
    let hosts = clients.clone().map(|client| {
        let address: SocketAddr = ([10, 0, 0, client.number as u8], 0).into();
        let name = format!("client {}", client.number);
        world.host(&name, address.ip(), move |io| client.clone().connect(io))
    });
    world.run_for(SECOND / 20);
    world.partition(hosts[0], server);
    world.run_for(3 * SECOND);
    world.heal(hosts[0], server);
    world.restart(server);
    let done = world.run_until(600 * SECOND, |_world| {
        clients.iter().all(|client| client.acknowledged.get() == PAYMENTS)
    });
    assert!(done, "seed {seed}: not all is paid after ten minutes");
    let paid = account.borrow().len();
    assert_eq!(paid, 2 * PAYMENTS as usize, "seed {seed}: what is acknowledged is there, once");
    world
}

fn main() {
    let seeds = std::env::args().nth(1).map_or(100, |seeds| seeds.parse().expect("a number"));
    let mut time = Duration::ZERO;
    for seed in 0..seeds {
        let summary = run(seed).summary();
        time += summary.time;
        if seed < 3 {
            println!("{summary}");
        }
    }
    println!("{seeds} seeds held, over {time:.0?} of their time");
}
