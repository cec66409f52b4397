//! The faults of a disk, one by one, by script and by chance.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{Disk, FaultKind, Faults, Latency, World};
use tigereye::{DataFile, DataFileOptions, File, Io, OpenOptions};

use crate::{
    EIO, Place, Random, SECOND, address, open, put, read, read_write, run, sync, sync_names, world,
    write,
};

const PATH: &str = "/tmp/file";

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8).collect()
}

#[test]
fn p50_a_failed_sync_drops_what_it_was_to_write_and_the_next_one_succeeds() {
    let mut lost = 0;
    for seed in 0..50 {
        let (mut world, host) = world(seed);
        let file = open(&mut world, host, PATH, &read_write().create(true));
        sync_names(&mut world, host, "/tmp");
        write(&mut world, host, &file, b"hello", 0).unwrap();
        world.fail_next(host, FaultKind::FailedSync);
        let error = sync(&mut world, host, &file).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO));
        sync(&mut world, host, &file).unwrap();
        assert_eq!(read(&mut world, host, &file, 9, 0).unwrap(), b"hello", "as if all was well");
        world.crash(host);
        lost += usize::from(world.file(host, PATH).unwrap().is_empty());
    }
    assert!((1..50).contains(&lost), "{lost}");
}

#[test]
fn p50_a_data_file_keeps_its_failed_sync() {
    let (mut world, host) = world(1);
    let options = DataFileOptions::new(1 << 16).create(true);
    let file: DataFile =
        run(&mut world, host, |io, place| io.open_data_file(place, PATH, &options, put)).unwrap();
    let file = Rc::new(file);
    world.fail_next(host, FaultKind::FailedSync);
    for _ in 0..2 {
        let file = Rc::clone(&file);
        let synced: std::io::Result<()> = run(&mut world, host, |io, place| {
            io.sync(file, move |_file, io, result| put(place, io, result))
        });
        assert_eq!(synced.unwrap_err().raw_os_error(), Some(EIO));
    }
}

#[test]
fn a_sector_that_cannot_be_read_can_be_written() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, &pattern(4096), 0).unwrap();
    world.fail_next(host, FaultKind::LatentSectorError);
    for _ in 0..2 {
        let error = read(&mut world, host, &file, 512, 1024).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO), "it stays");
    }
    assert_eq!(read(&mut world, host, &file, 1024, 0).unwrap(), pattern(1024), "others are well");
    write(&mut world, host, &file, &[7; 512], 1024).unwrap();
    assert_eq!(read(&mut world, host, &file, 512, 1024).unwrap(), [7; 512]);
}

#[test]
fn a_misdirected_read_gives_another_sector_and_the_next_one_the_right_one() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    let sectors: Vec<u8> = (0..8_u8).flat_map(|sector| [sector; 512]).collect();
    write(&mut world, host, &file, &sectors, 0).unwrap();
    world.fail_next(host, FaultKind::MisdirectedRead);
    let other = read(&mut world, host, &file, 512, 1024).unwrap();
    assert!(other[0] != 2 && other == [other[0]; 512], "{}", other[0]);
    assert_eq!(read(&mut world, host, &file, 512, 1024).unwrap(), [2; 512]);
}

#[test]
fn a_misdirected_write_is_elsewhere_in_the_file() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, &[1; 4096], 0).unwrap();
    world.fail_next(host, FaultKind::MisdirectedWrite);
    assert_eq!(write(&mut world, host, &file, &[2; 512], 1024).unwrap(), 512);
    let bytes = world.file(host, PATH).unwrap();
    assert_eq!(bytes[1024..1536], [1; 512]);
    assert_eq!(bytes.iter().filter(|&&byte| byte == 2).count(), 512);
}

#[test]
fn bit_rot_turns_one_bit_and_lasts() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, &[0; 2000], 0).unwrap();
    world.fail_next(host, FaultKind::BitRot);
    for _ in 0..2 {
        let bytes = read(&mut world, host, &file, 2000, 0).unwrap();
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
}

#[test]
fn p53_a_full_disk_takes_what_fits_and_has_room_again_when_files_go() {
    let (mut world, host) = world(1);
    world.set_disk(host, Disk::new().capacity(Some(3 * 4096)));
    let file = open(&mut world, host, PATH, &read_write().create(true));
    assert_eq!(write(&mut world, host, &file, &[1; 20_000], 100).unwrap(), 3 * 4096 - 100);
    let error = write(&mut world, host, &file, &[1; 10], 3 * 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(write(&mut world, host, &file, &[2; 10], 50).unwrap(), 10, "that is there");
    run(&mut world, host, |io, place| io.remove_file(place, PATH, put)).unwrap();
    let other = open(&mut world, host, "/tmp/other", &read_write().create(true));
    let error = write(&mut world, host, &other, &[1; 10], 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "a file that is open is there yet");
    drop(file);
    assert_eq!(write(&mut world, host, &other, &[1; 10], 0).unwrap(), 10);
    let options = DataFileOptions::new(1 << 20).create(true);
    let made: std::io::Result<DataFile> =
        run(&mut world, host, |io, place| io.open_data_file(place, PATH, &options, put));
    assert_eq!(made.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(world.file(host, PATH), None, "what could not be made whole is removed");
    assert!(world.summary().faults.of(FaultKind::FullDisk) >= 3);
}

#[test]
fn p59_a_stuck_call_can_be_given_up_and_holds_nothing_else_up() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    write(&mut world, host, &file, b"hello", 0).unwrap();
    world.fail_next(host, FaultKind::StuckCall);
    let place: Place<std::io::Result<usize>> = Place::default();
    let io = world.io(host).unwrap();
    let stuck = Rc::clone(&place);
    let op =
        io.read_at(Rc::clone(&file), vec![0; 5].into_boxed_slice(), 0, move |_, io, _, result| {
            put(stuck, io, result);
        });
    io.deadline(op, SECOND);
    assert_eq!(read(&mut world, host, &file, 5, 0).unwrap(), b"hello");
    assert!(place.borrow().is_none());
    assert!(world.run_until(2 * SECOND, |_| place.borrow().is_some()));
    assert_eq!(place.take().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    // And the end of its program waits for none.
    world.fail_next(host, FaultKind::StuckCall);
    let io = world.io(host).unwrap();
    io.sync(Rc::clone(&file), |_file, _io, _result| unreachable!("the program is killed"));
    world.run_for(SECOND);
    world.kill(host);
}

#[test]
fn as_many_calls_are_under_way_as_the_disk_takes() {
    let millisecond = Duration::from_millis(1);
    for (depth, expected) in [(1, 8), (4, 2), (8, 1)] {
        let (mut world, host) = world(1);
        let file = open(&mut world, host, PATH, &read_write().create(true));
        let exactly = Latency::between(millisecond, millisecond);
        world.set_disk(host, Disk::new().latency(exactly).queue_depth(depth));
        let before = world.now();
        let count = Rc::new(std::cell::Cell::new(0));
        let io = world.io(host).unwrap();
        for _ in 0..8 {
            let count = Rc::clone(&count);
            io.read_at(Rc::clone(&file), Vec::with_capacity(1), 0, move |_, _io, _, result| {
                assert_eq!(result.unwrap(), 0);
                count.set(count.get() + 1);
            });
        }
        assert_eq!(count.get(), 0, "never inside the call");
        assert!(world.run_until(SECOND, |_| count.get() == 8));
        let took = world.now() - before;
        assert!(took >= expected * millisecond && took < (expected + 1) * millisecond, "{took:?}");
    }
}

#[test]
fn p54_a_data_files_lock_is_that_of_its_host() {
    let mut world = World::new(1);
    let hosts = ["one", "two"].map(|name| world.host(name, address(), |_io| {}));
    let options = DataFileOptions::new(4096).create(true);
    let mut open = |host| -> std::io::Result<DataFile> {
        run(&mut world, host, |io, place| io.open_data_file(place, PATH, &options, put))
    };
    let file = open(hosts[0]).unwrap();
    assert!(file.is_new());
    let error = open(hosts[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(error.to_string(), "another open of the data file has its lock");
    assert!(open(hosts[1]).unwrap().is_new(), "another host has another disk");
    drop(file);
    assert!(!open(hosts[0]).unwrap().is_new());
}

/// Reads, writes and syncs at random, whatever comes of it.
fn busy(io: &Io, file: Rc<File>, mut random: Random, left: u32) {
    if left == 0 {
        return;
    }
    let (kind, offset) = (random.below(6), random.below(64) * 512);
    match kind {
        0 | 1 => io.read_at(file, Vec::with_capacity(1024), offset, move |file, io, _, _| {
            busy(io, file, random, left - 1);
        }),
        2 => io.sync(file, move |file, io, _| busy(io, file, random, left - 1)),
        _ => io.write_at(file, pattern(1500), offset, move |file, io, _, _| {
            busy(io, file, random, left - 1);
        }),
    };
}

fn busy_world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.set_faults(Faults::some());
    world.keep_trace();
    let host = world.host("host", address(), move |io| {
        let options = OpenOptions::new().read(true).write(true).create(true);
        io.open((), PATH, &options, move |(), io, file| {
            if let Ok(file) = file {
                busy(io, Rc::new(file), Random(seed), 300);
            }
        });
    });
    for _ in 0..3 {
        world.run_for(100 * SECOND);
        world.crash(host);
        world.restart(host);
    }
    world
}

#[test]
fn every_fault_of_the_disk_fires_within_some_seeds() {
    let mut left = FaultKind::OF_DISKS.to_vec();
    for seed in 0..40 {
        let faults = busy_world(seed).summary().faults;
        left.retain(|&kind| faults.of(kind) == 0);
    }
    assert!(left.is_empty(), "never fired: {left:?}");
}

#[test]
fn one_seed_is_one_run_of_a_disk_too() {
    for seed in 0..10 {
        assert_eq!(busy_world(seed).trace(), busy_world(seed).trace(), "seed {seed}");
    }
    assert_ne!(busy_world(1).trace(), busy_world(2).trace());
}

#[test]
fn a_hosts_own_probabilities_are_before_the_worlds() {
    let (mut world, host) = world(1);
    let file = open(&mut world, host, PATH, &read_write().create(true));
    world.set_faults(Faults::none().with(FaultKind::FailedSync, 1.0));
    sync(&mut world, host, &file).unwrap_err();
    world.set_disk_faults(host, Some(Faults::none()));
    sync(&mut world, host, &file).unwrap();
    world.set_disk_faults(host, None);
    sync(&mut world, host, &file).unwrap_err();
}

#[test]
fn p11_a_files_handle_that_was_kept_over_a_kill_finds_nobody() {
    for crashes in [false, true] {
        let (mut world, host) = world(1);
        let options = DataFileOptions::new(4096).create(true);
        let open = |world: &mut World| -> std::io::Result<DataFile> {
            run(world, host, |io, place| io.open_data_file(place, PATH, &options, put))
        };
        let kept = open(&mut world).unwrap();
        if crashes {
            world.crash(host);
        }
        world.restart(host);
        let file = open(&mut world).expect("its lock went with its program");
        drop(kept);
        assert_eq!(open(&mut world).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(file);
    }
}
