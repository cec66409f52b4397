//! Each invariant is broken on purpose, and found.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::driver::sim::{Host, World};
use crate::slot::Slots;
use crate::{BufferPool, Io, UdpSocket};

const MS: Duration = Duration::from_millis(1);

fn host(world: &mut World) -> Host {
    world.host("host", IpAddr::from([10, 0, 0, 1]), |_io| {})
}

/// Starts a receive that waits, and one behind it; gives their slots.
fn waiting(io: &Io) -> (Rc<UdpSocket>, [u32; 2]) {
    let at = SocketAddr::from(([10, 0, 0, 1], 9));
    let socket = Rc::new(UdpSocket::bind(io, at).expect("a free port"));
    let receive = || io.recv(Rc::clone(&socket), vec![0; 9].into_boxed_slice(), |_, _, _, _| {});
    let slots = [receive(), receive()].map(|op| op.index);
    (socket, slots)
}

/// What the world says of a loop in which something is broken: in its next turn.
fn said_of(start: impl FnOnce(&Io) -> u32, break_it: impl FnOnce(&mut Loop, u32)) -> String {
    let mut world = World::new(1);
    let host = host(&mut world);
    let io = world.io(host).expect("it runs");
    let slot = start(io);
    world.run_for(MS);
    let io = world.io(host).expect("it runs");
    io.next((), |(), _io| {});
    break_it(&mut io.core.state.borrow_mut(), slot);
    let run = || world.run_for(MS);
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("what is broken is found");
    // Its end would find it, too.
    std::mem::forget(world);
    message(panic)
}

fn timer(io: &Io) -> u32 {
    io.timeout((), Duration::from_secs(9), |(), _io, _result| {}).index
}

fn receive(io: &Io) -> u32 {
    let (socket, [slot, _]) = waiting(io);
    std::mem::forget(socket);
    slot
}

/// A receive behind another one.
fn behind(io: &Io) -> u32 {
    let (socket, [_, slot]) = waiting(io);
    std::mem::forget(socket);
    slot
}

fn sim(state: &mut Loop) -> &mut Sim {
    sim_mut(&mut state.driver).expect("it is simulated")
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let panic = panic.downcast::<String>().map(|text| *text);
    panic.unwrap_or_else(|panic| panic.downcast_ref::<&str>().map_or("", |text| *text).into())
}

#[track_caller]
fn assert_begins(said: &str, begin: &str) {
    assert!(said.starts_with(begin), "{said}");
}

#[test]
fn v1_a_slot_that_is_taken_has_a_record() {
    let said = said_of(timer, |state, slot| state.slots.header(slot).vtable = None);
    assert_begins(&said, "V1: slot 0 is Timer, with a record: false");
    let said = said_at_the_end(|io| io.core.state.borrow_mut().slots.header(7).handle = 0);
    assert_begins(&said, "V1: slot 7 is free, and tied to something");
}

#[test]
fn v2_a_timer_is_live_for_who_says_so() {
    let said = said_of(timer, |state, slot| state.timers.remove(timer_key(slot)));
    assert!(said.contains("V2: timer 0 of slot 0"), "{said}");
    let said = said_of(timer, |state, slot| state.timers.insert(9, timer_key(slot) | DEADLINE));
    assert!(said.contains("V2: timer 1 of slot 0"), "{said}");
    let said = said_of(timer, |state, slot| {
        state.timers.remove(timer_key(slot));
        state.slots.header(slot).has_timer = false;
    });
    assert_begins(&said, "V2: slot 0 waits for a timer that does not come");
}

#[test]
fn v3_the_operations_of_a_way_are_in_their_order() {
    let said = said_of(behind, |state, slot| state.slots.header(slot).prev = NONE);
    assert!(said.contains("V3: slot 1"), "{said}");
    let said = said_of(behind, |state, slot| state.slots.header(slot).direction = Direction::Out);
    assert!(said.contains("V3: slot 1 is behind slot 0"), "{said}");
    let said = said_of(receive, |state, slot| {
        let handle = state.slots.header(slot).handle;
        state.handles.get(handle).queues[0].head = NONE;
    });
    assert!(said.contains("V3: slot 0 is the first of its way"), "{said}");
}

#[test]
fn v4_nothing_is_in_flight_for_ever() {
    let said = said_of(receive, |state, _slot| sim(state).waiting.clear());
    assert_begins(&said, "V4: slot 0 is in flight for ever");
    let said = said_of(receive, |state, slot| {
        let op = state.slots.header(slot).op();
        sim(state).waiting[0][0].push_back(Op { generation: op.generation.wrapping_add(1), ..op });
    });
    assert!(said.contains("V4: slot 0 waits for a handle"), "{said}");
    let said = said_of(timer, |state, slot| {
        state.timers.remove(timer_key(slot));
        let header = state.slots.header(slot);
        (header.has_timer, header.state) = (false, State::Offloaded);
    });
    assert_begins(&said, "V4: slot 0 is on a pool");
}

#[test]
fn v5_who_has_completed_is_told() {
    let said = said_of(receive, |state, slot| {
        sim(state).waiting.clear();
        state.slots.header(slot).state = State::Ready;
    });
    assert_begins(&said, "V5: slot 0 has completed, and nobody is told");
}

#[test]
fn v6_a_handle_that_closes_waits_for_something() {
    let said = said_of(receive, |state, slot| {
        let handle = state.slots.header(slot).handle;
        state.handles.get(handle).closer = slot;
    });
    assert!(said.contains("V6: slot 0 waits for handle 0 to close"), "{said}");
    let bind = |io: &Io| {
        let (socket, slots) = waiting(io);
        slots.into_iter().for_each(|index| io.cancel_at(index));
        std::mem::forget(socket);
        0
    };
    let said = said_of(bind, |state, _slot| state.handles.get(0).closer = DROPPED);
    assert_begins(&said, "V6: handle 0 closes, and waits for nothing");
    let said = said_at_the_end(|io| {
        let op = io.event((), |(), _io, _result| {}).0;
        io.core.state.borrow_mut().slots.header(op.index).flags |= FINAL;
    });
    assert!(said.contains("V6: closes that wait"), "{said}");
    let said = said_of(receive, |state, _slot| state.handles.get(0).fd = -1);
    assert!(said.contains("V6: handle 0 is free, and something pending on it"), "{said}");
}

/// What is said of a loop at its end.
fn said_at_the_end(break_it: impl FnOnce(&Io)) -> String {
    let mut world = World::new(1);
    let host = host(&mut world);
    let io = world.io(host).expect("it runs");
    let (socket, _slots) = waiting(io);
    let run = || {
        break_it(world.io(host).expect("it runs"));
        world.kill(host);
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("what is broken is found");
    std::mem::forget((world, socket));
    message(panic)
}

#[test]
fn v7_counts_are_those_of_what_is_there() {
    let said = said_at_the_end(|io| io.core.state.borrow_mut().handles.get(0).pending += 1);
    assert!(said.contains("V7: operations pending on handle 0"), "{said}");
    let said = said_at_the_end(|io| {
        let _taken_and_forgotten = io.core.state.borrow_mut().slots.take();
    });
    assert!(said.contains("V7: slots that are taken"), "{said}");
}

#[test]
fn v8_nothing_waits_for_what_is_there() {
    let mut world = World::new(1);
    let host = host(&mut world);
    let (socket, _slots) = waiting(world.io(host).expect("it runs"));
    assert!(!world.step(), "nothing can happen");
    assert_eq!(world.stuck(), [(host, 2)]);
    {
        // A datagram comes, and nobody is told.
        let mut state = world.io(host).expect("it runs").core.state.borrow_mut();
        let fd = state.handles.get(0).fd;
        let sim = sim(&mut state);
        let mut kernel = sim.kernel.borrow_mut();
        let key = kernel.socket_of(fd).expect("a socket");
        let to = kernel.sockets.get(key).map(|entry| entry.local);
        kernel.send_datagram(key, to, b"hello").expect("it goes");
        kernel.settle();
        kernel.loopers.get(sim.looper).into_iter().for_each(|looper| {
            looper.news.clear();
            looper.has_news.set(false);
        });
    }
    let panic = catch_unwind(AssertUnwindSafe(|| world.step())).expect_err("it is found");
    std::mem::forget((world, socket));
    assert_begins(&message(panic), "V8: slot 0 waits for what is there");
}

#[test]
fn v9_a_loop_that_has_ended_keeps_no_context() {
    for (drained, expected) in
        [(false, "lets go of everything"), (true, "slot 0 keeps its context")]
    {
        let said = said_at_the_end(|io| {
            io.core.state.borrow_mut().check_end(drained);
        });
        assert!(said.starts_with("V9") && said.contains(expected), "{said}");
    }
}

#[test]
fn a_callback_runs_once_and_a_buffer_comes_back_once() {
    let mut slots = Slots::new(1);
    let slot = slots.take();
    slots.header_of(slot).state = State::Ready;
    slots.place(slot, 7_u32);
    slots.free::<u32>(slot);
    let free = || slots.free::<u32>(slot);
    let panic = catch_unwind(AssertUnwindSafe(free)).expect_err("it is found");
    assert_eq!(message(panic), "a slot is freed once, with its callback");

    let mut world = World::new(1);
    let host = host(&mut world);
    let pool = BufferPool::new(world.io(host).expect("it runs"), 4, 64).expect("there is memory");
    drop(pool.take());
    let give = || pool.shared.give(0);
    let panic = catch_unwind(AssertUnwindSafe(give)).expect_err("it is found");
    assert_eq!(message(panic), "a buffer of a pool is given back once");
}
