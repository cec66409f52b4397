//! A bank with one account, tried in a world that fails: `cargo run --release --example simulation`.
//! For each seed two clients pay in, over a network that loses messages, resets connections and is cut,
//! to a server whose program is killed. What was acknowledged must be in the account, and nothing
//! twice. A seed that breaks this breaks it again, in the same way: `-- --seed 7 --timeline page.html`
//! shows what happens in one, and `-- --shrink` looks for the few faults that matter.
//!
//! The server and the clients are ordinary programs: `main` could run each of them with `Io::new()`.
//! The account is what the server has on its disk, so it outlives the program.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{Disturbances, FaultKind, Faults, Plan, Runner, World};
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

fn trial(world: &mut World) -> Result<(), String> {
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
    // A client that is killed would forget what it has paid.
    let plan = Disturbances::of(&[server, hosts[0], hosts[1]])
        .kinds(&[FaultKind::Partition, FaultKind::OneWayPartition, FaultKind::HostPaused])
        .within(SECOND / 20..10 * SECOND)
        .lasting(SECOND / 10..=3 * SECOND)
        .pauses(SECOND / 10..=2 * SECOND)
        .draw(world.seed());
    world.disturb(plan);
    world.disturb(Plan::new().with(FaultKind::HostKilled, server, 2 * SECOND, SECOND));
    let done = world.run_until(600 * SECOND, |world| {
        let are_paid = clients.iter().all(|client| client.acknowledged.get() == PAYMENTS);
        are_paid && world.is_calm()
    });
    let paid = account.borrow().len();
    match done {
        false => Err("not all is paid after ten minutes".into()),
        true if paid != 2 * PAYMENTS as usize => {
            Err(format!("what is acknowledged is not there, once: there are {paid}"))
        }
        true => Ok(()),
    }
}

fn main() -> ExitCode {
    Runner::new().seeds(0..1000).main(trial)
}
