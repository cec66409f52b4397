//! What plans do to a world, and when it is over.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tigereye::sim::{FaultKind, Host, Plan, World};
use tigereye::{Io, Next, UdpSocket};

const SECOND: Duration = Duration::from_secs(1);

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9))
}

/// How many datagrams each of three hosts has got from each of the others.
type Counts = Rc<[[Cell<u32>; 3]; 3]>;

fn receive(io: &Io, socket: Rc<UdpSocket>, counts: Counts, me: usize) {
    io.recv_from(socket, Vec::with_capacity(9), move |socket, io, _buf, result| {
        if let Ok(datagram) = result
            && let SocketAddr::V4(from) = datagram.from
        {
            let count = &counts[me][usize::from(from.ip().octets()[3]) - 1];
            count.set(count.get() + 1);
            receive(io, socket, counts, me);
        }
    });
}

/// Three hosts, each of which sends a datagram to the others a hundred times a second.
fn world() -> (World, [Host; 3], Counts) {
    let mut world = World::new(1);
    let counts = Counts::default();
    let hosts = [1_u8, 2, 3].map(|last| {
        let counts = Rc::clone(&counts);
        world.host(&format!("host {last}"), at(last).ip(), move |io| {
            let socket = Rc::new(UdpSocket::bind(io, at(last)).unwrap());
            receive(io, Rc::clone(&socket), Rc::clone(&counts), usize::from(last) - 1);
            io.tick_each(
                socket,
                SECOND / 100,
                move |socket, io, _ticks| {
                    for other in [1, 2, 3].into_iter().filter(|&other| other != last) {
                        let to = at(other);
                        io.send_to(Rc::clone(socket), "x", to, |_socket, _io, _buf, _result| {});
                    }
                    Next::Continue
                },
                |_socket, _io, _result| {},
            );
        })
    });
    (world, hosts, counts)
}

/// Which ways carried something in the next second.
fn open_ways(world: &mut World, counts: &Counts) -> Vec<(usize, usize)> {
    let look = || counts.iter().map(|row| row.each_ref().map(Cell::get)).collect::<Vec<_>>();
    let before = look();
    world.run_for(SECOND);
    let after = look();
    let ways = (0..3).flat_map(|from| (0..3).map(move |to| (from, to)));
    ways.filter(|&(from, to)| after[to][from] > before[to][from] + 2).collect()
}

const ALL: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];

#[test]
fn partitions_of_a_plan_overlap_and_end_one_by_one() {
    let (mut world, [one, other, third], counts) = world();
    world.disturb(
        Plan::new()
            .with_partition(one, None, SECOND, 4 * SECOND)
            .with_partition(other, Some(one), 2 * SECOND, 6 * SECOND)
            .with(FaultKind::OneWayPartition, third, 10 * SECOND, 4 * SECOND),
    );
    assert!(!world.is_calm());
    assert_eq!(open_ways(&mut world, &counts), ALL);
    world.run_for(SECOND / 10);
    // The first host is cut off from all.
    assert_eq!(open_ways(&mut world, &counts), [(1, 2), (2, 1)]);
    world.run_for(3 * SECOND);
    // That is over, and the second cut is not.
    let expected: Vec<_> = ALL.into_iter().filter(|way| ![(0, 1), (1, 0)].contains(way)).collect();
    assert_eq!(open_ways(&mut world, &counts), expected);
    world.run_for(2 * SECOND);
    assert_eq!(open_ways(&mut world, &counts), ALL);
    world.run_for(2 * SECOND);
    // What the third one says is not heard, and it hears the others.
    let expected: Vec<_> = ALL.into_iter().filter(|&(from, _to)| from != 2).collect();
    assert_eq!(open_ways(&mut world, &counts), expected);
    world.run_for(2 * SECOND);
    assert!(world.is_calm());
    assert_eq!(open_ways(&mut world, &counts), ALL);
    let faults = world.summary().faults;
    let of = [FaultKind::Partition, FaultKind::OneWayPartition].map(|kind| faults.of(kind));
    assert_eq!(of, [2, 1]);
}

#[test]
fn a_host_of_a_plan_ends_for_a_while_and_comes_back() {
    let down = [FaultKind::HostKilled, FaultKind::HostCrashed, FaultKind::HostPaused];
    for kind in down {
        let (mut world, [one, ..], counts) = world();
        world.disturb(Plan::new().with(kind, one, SECOND, 3 * SECOND));
        assert_eq!(open_ways(&mut world, &counts), ALL, "{kind}");
        world.run_for(SECOND / 10);
        assert_eq!(world.io(one).is_some(), kind == FaultKind::HostPaused, "{kind}");
        assert_eq!(open_ways(&mut world, &counts), [(1, 2), (2, 1)], "{kind}");
        world.run_for(2 * SECOND);
        assert!(world.is_calm() && world.io(one).is_some(), "{kind}");
        assert_eq!(open_ways(&mut world, &counts), ALL, "{kind}");
        assert_eq!(world.summary().faults.of(kind), 1);
    }
}

#[test]
fn clocks_of_a_plan_jump_and_drift_for_a_while() {
    let mut world = World::new(1);
    let idle = |last: u8| world.host(&format!("host {last}"), at(last).ip(), |_io: &Io| {});
    let [one, other, third] = [1, 2, 3].map(idle);
    world.disturb(Plan::new().with(FaultKind::ClockJump, one, SECOND, Duration::ZERO).with(
        FaultKind::ClockDrift,
        other,
        SECOND,
        1000 * SECOND,
    ));
    world.run_for(1001 * SECOND + SECOND / 2);
    assert!(world.is_calm());
    let right = world.wall_clock(third);
    let jumped = world.wall_clock(one);
    let by = jumped.duration_since(right).unwrap_or_else(|error| error.duration());
    assert!(by >= SECOND / 1000, "{by:?}");
    // It drifts no more, and stays where it came to.
    let off = |world: &World| {
        let wrong = world.wall_clock(other);
        let right = world.wall_clock(third);
        wrong.duration_since(right).unwrap_or_else(|error| error.duration())
    };
    let before = off(&world);
    assert!(before > Duration::ZERO && before <= SECOND / 2, "{before:?}");
    world.run_for(1000 * SECOND);
    assert_eq!(off(&world), before);
    let faults = world.summary().faults;
    assert_eq!([FaultKind::ClockJump, FaultKind::ClockDrift].map(|kind| faults.of(kind)), [1, 1]);
}
