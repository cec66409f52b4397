//! What is left when the power is lost: all that was synced, and of the rest a mixture.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Faults, Host, World};
use tigereye::{AsSource, Directory, File, Io, OpenOptions, Source};

use crate::{Random, address, read_write, sync, sync_names, world, write};

const SEEDS: u64 = 3000;
const SECTOR: usize = 512;
const SECTORS: usize = 24;
const PATH: &str = "/tmp/log";

fn losses() -> Faults {
    Faults::none()
        .with(FaultKind::LostWrite, 0.3)
        .with(FaultKind::TornWrite, 0.3)
        .with(FaultKind::ReorderedWrite, 0.3)
        .with(FaultKind::LostName, 0.3)
}

/// What may be in each sector, by the number of the write that filled it.
struct Model {
    may_be: Vec<BTreeSet<u64>>,
    now: Vec<u64>,
    /// Whether the name of the file was synced.
    is_named: bool,
    writes: u64,
    syncs: u64,
    random: Random,
}

type Shared = Rc<RefCell<Model>>;

/// Writes and syncs at random, and notes what it was told.
struct Writer {
    file: File,
    model: Shared,
}

impl AsSource for Writer {
    fn as_source(&self) -> &Source {
        self.file.as_source()
    }
}

impl Writer {
    fn go_on(self, io: &Io) {
        let model = Rc::clone(&self.model);
        let mut model = model.borrow_mut();
        if model.random.below(4) == 0 {
            drop(model);
            io.sync(self, |writer, io, result| {
                result.unwrap();
                let model = Rc::clone(&writer.model);
                let mut model = model.borrow_mut();
                model.may_be = model.now.iter().map(|&write| BTreeSet::from([write])).collect();
                model.syncs += 1;
                drop(model);
                writer.go_on(io);
            });
            return;
        }
        let first = model.random.below(SECTORS as u64) as usize;
        let count = 1 + model.random.below((SECTORS - first).min(6) as u64) as usize;
        model.writes += 1;
        let number = model.writes;
        for sector in first..first + count {
            model.may_be[sector].insert(number);
        }
        drop(model);
        let bytes = number.to_le_bytes().repeat(count * SECTOR / 8);
        io.write_all_at(self, bytes, (first * SECTOR) as u64, move |writer, io, _buf, result| {
            result.unwrap();
            writer.model.borrow_mut().now[first..first + count].fill(number);
            writer.go_on(io);
        });
    }
}

/// Opens the file, or makes it and has its name last, then goes on.
fn program(model: Shared) -> impl Fn(&Io) {
    move |io| {
        let options = read_write().create(true);
        io.open(Rc::clone(&model), PATH, &options, |model, io, file| {
            let writer = Writer { file: file.unwrap(), model };
            io.open_directory(
                writer,
                "/tmp",
                |writer, io, directory: std::io::Result<Directory>| {
                    io.sync(directory.unwrap(), |_directory, io, result| {
                        result.unwrap();
                        writer.model.borrow_mut().is_named = true;
                        writer.go_on(io);
                    });
                },
            );
        });
    }
}

/// Checks what is left; what is left after a loss of power is there for good.
fn check(world: &World, host: Host, model: &Shared, seed: u64, is_for_good: bool) {
    let mut model = model.borrow_mut();
    let Some(mut bytes) = world.file(host, PATH) else {
        assert!(!model.is_named, "seed {seed}: the name was synced");
        return;
    };
    assert_eq!(bytes.len() % SECTOR, 0, "seed {seed}: sectors are whole");
    bytes.resize(SECTORS * SECTOR, 0);
    for (at, sector) in bytes.chunks(SECTOR).enumerate() {
        let number = u64::from_le_bytes(sector[..8].try_into().unwrap());
        assert_eq!(sector, number.to_le_bytes().repeat(SECTOR / 8), "seed {seed}: a torn sector");
        let may_be = &model.may_be[at];
        assert!(may_be.contains(&number), "seed {seed}: {number} in sector {at}, of {may_be:?}");
        model.now[at] = number;
        if is_for_good {
            model.may_be[at] = BTreeSet::from([number]);
        }
    }
}

#[test]
fn p50_p51_what_was_synced_is_there_after_a_loss_of_power_and_the_rest_is_a_mixture() {
    let (mut writes, mut syncs, mut counts) = (0, 0, [0; 4]);
    for seed in 0..SEEDS {
        let model = Rc::new(RefCell::new(Model {
            may_be: vec![BTreeSet::from([0]); SECTORS],
            now: vec![0; SECTORS],
            is_named: false,
            writes: 0,
            syncs: 0,
            random: Random(seed),
        }));
        let mut world = World::new(seed);
        world.set_faults(losses());
        let host = world.host("host", address(), program(Rc::clone(&model)));
        for _ in 0..4 {
            let micros = model.borrow_mut().random.below(3000);
            world.run_for(Duration::from_micros(micros));
            // Where the program alone is killed, what it wrote waits yet.
            let loses_power = model.borrow_mut().random.below(4) > 0;
            if loses_power {
                world.crash(host);
            } else {
                world.kill(host);
            }
            check(&world, host, &model, seed, loses_power);
            world.restart(host);
        }
        let model = model.borrow();
        (writes, syncs) = (writes + model.writes, syncs + model.syncs);
        use FaultKind::{LostName, LostWrite, ReorderedWrite, TornWrite};
        let kinds = [LostWrite, TornWrite, ReorderedWrite, LostName];
        for (count, kind) in counts.iter_mut().zip(kinds) {
            *count += world.summary().faults.of(kind);
        }
    }
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
    assert!(writes > 10 * SEEDS && syncs > 2 * SEEDS, "{writes} writes, {syncs} syncs");
}

/// Puts a new file in the place of the last one, over and over, as programs do that keep a small state.
struct Replacer {
    directory: Rc<Directory>,
    /// The one that was last told to be there for good.
    last: Rc<RefCell<u64>>,
    next: u64,
    syncs_file: bool,
}

impl Replacer {
    fn replace(mut self, io: &Io) {
        self.next += 1;
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        let directory = Rc::clone(&self.directory);
        io.open(self, directory.at("new"), &options, |this, io, file| {
            let bytes = this.next.to_le_bytes().repeat(200);
            io.write_all_at(file.unwrap(), bytes, 0, |file, io, _buf, result| {
                result.unwrap();
                if this.syncs_file {
                    io.sync(file, |_file, io, result| {
                        result.unwrap();
                        this.rename(io);
                    });
                } else {
                    this.rename(io);
                }
            });
        });
    }

    fn rename(self, io: &Io) {
        let directory = Rc::clone(&self.directory);
        io.rename(self, directory.at("new"), directory.at("state"), |this, io, result| {
            result.unwrap();
            io.sync(Rc::clone(&this.directory), |_directory, io, result| {
                result.unwrap();
                this.last.replace(this.next);
                this.replace(io);
            });
        });
    }
}

/// Whether the state was whole, and none that was told of was lost.
fn replaces(seed: u64, syncs_file: bool) -> bool {
    let last = Rc::new(RefCell::new(0));
    let mut world = World::new(seed);
    world.set_faults(losses());
    let note = Rc::clone(&last);
    let host = world.host("host", address(), move |io| {
        let (last, next) = (Rc::clone(&note), *note.borrow());
        io.open_directory((), "/tmp", move |(), io, directory| {
            let directory = Rc::new(directory.unwrap());
            Replacer { directory, last, next, syncs_file }.replace(io);
        });
    });
    world.run_for(Duration::from_micros(500 + seed % 7000));
    world.crash(host);
    let last = *last.borrow();
    match world.file(host, "/tmp/state") {
        None => last == 0,
        Some(bytes) => {
            let whole = |number: u64| bytes == number.to_le_bytes().repeat(200);
            // One that it was not told of may be there as well.
            whole(last) || whole(last + 1)
        }
    }
}

#[test]
fn p51_a_state_that_is_replaced_by_a_rename_is_always_whole() {
    for seed in 0..SEEDS {
        assert!(replaces(seed, true), "seed {seed}");
    }
}

#[test]
fn p51_a_program_that_does_not_sync_before_it_renames_is_found_out() {
    let found = (0..1000).find(|&seed| !replaces(seed, false));
    assert!(found.is_some(), "a bug that no seed finds");
}

#[test]
fn a_killed_program_loses_nothing_that_it_wrote_and_a_loss_of_power_all_that_it_did_not_sync() {
    let (mut world, host) = world(1);
    world.set_faults(losses().with(FaultKind::LostWrite, 1.0).with(FaultKind::LostName, 1.0));
    let file = crate::open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, b"written", 0).unwrap();
    world.kill(host);
    world.restart(host);
    assert_eq!(world.file(host, PATH).unwrap(), b"written");
    world.crash(host);
    assert_eq!(world.file(host, PATH), None);
    world.restart(host);
    let file = crate::open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, b"written", 0).unwrap();
    sync(&mut world, host, &file).unwrap();
    sync_names(&mut world, host, "/tmp");
    write(&mut world, host, &file, b"W", 0).unwrap();
    world.crash(host);
    assert_eq!(world.file(host, PATH).unwrap(), b"written");
}

#[test]
fn a_write_that_was_asked_for_when_its_host_ended_is_made_or_not() {
    for loses_power in [false, true] {
        let made = (0..60).filter(|&seed| {
            let (mut world, host) = world(seed);
            let file = crate::open(&mut world, host, PATH, &read_write().create(true));
            let io = world.io(host).unwrap();
            io.write_at(file, "x", 0, |_file, _io, _buf, _result| unreachable!("it is killed"));
            if loses_power {
                world.crash(host);
            } else {
                world.kill(host);
            }
            !world.file(host, PATH).unwrap().is_empty()
        });
        assert!((1..60).contains(&made.count()));
    }
}

#[test]
fn without_faults_a_loss_of_power_loses_nothing() {
    let (mut world, host) = world(1);
    let file = crate::open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, b"written", 0).unwrap();
    world.crash(host);
    assert_eq!(world.file(host, PATH).unwrap(), b"written");
}
