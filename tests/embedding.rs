//! A loop inside another one, by its descriptor.
#![allow(clippy::disallowed_methods, reason = "tests have clocks and threads of their own")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tigereye::{AsSource, Descriptor, Io};

/// Turns `inner` from inside `outer` until `done`; says how often it was woken.
fn turn_inside(outer: &Io, inner: &Io, done: &dyn Fn() -> bool) -> usize {
    let fd = inner.descriptor().expect("a descriptor is left");
    let descriptor = Rc::new(Descriptor::new(outer, fd));
    assert!(format!("{:?}", descriptor.as_source()).contains("fd"));
    let mut wakes = 0;
    inner.poll().expect("the inner loop turns");
    while !done() {
        inner.arm().expect("the inner loop is armed");
        outer.readable(Rc::clone(&descriptor), |_descriptor, _io, result| {
            result.expect("the inner loop's descriptor can be polled");
        });
        outer.run().expect("the outer loop runs");
        inner.poll().expect("the inner loop turns");
        wakes += 1;
    }
    wakes
}

#[test]
fn p68_the_descriptor_is_readable_when_a_timer_is_due() {
    let (outer, inner) = (Io::new().unwrap(), Io::new().unwrap());
    let done = Rc::new(Cell::new(false));
    let start = Instant::now();
    inner.timeout(Rc::clone(&done), Duration::from_millis(30), |done, _io, result| {
        result.unwrap();
        done.set(true);
    });
    let wakes = turn_inside(&outer, &inner, &|| done.get());
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(wakes < 10, "it is not readable for nothing: {wakes} wakes");
}

#[test]
fn p68_the_descriptor_is_readable_for_nothing_but_work() {
    let (outer, inner) = (Io::new().unwrap(), Io::new().unwrap());
    let fired = Rc::new(Cell::new(0));
    for number in 1..=5 {
        inner.timeout(
            Rc::clone(&fired),
            Duration::from_millis(10 * number),
            |fired, _io, result| {
                result.unwrap();
                fired.set(fired.get() + 1);
            },
        );
    }
    let wakes = turn_inside(&outer, &inner, &|| fired.get() == 5);
    assert!(wakes < 50, "{wakes} wakes for 5 timers");
}

#[test]
fn p68_the_descriptor_is_readable_when_something_is_posted() {
    let (outer, inner) = (Io::new().unwrap(), Io::new().unwrap());
    let done = Rc::new(Cell::new(false));
    let remote = inner.remote();
    let (op, trigger) = inner.event(Rc::clone(&done), |done, _io, result| {
        result.unwrap();
        done.set(true);
    });
    let thread = std::thread::spawn(move || {
        remote.post(|_io| {}).unwrap();
        trigger.pull();
    });
    turn_inside(&outer, &inner, &|| done.get());
    thread.join().unwrap();
    inner.cancel(op);
}

#[test]
fn p68_the_descriptor_is_readable_when_posts_are_left() {
    let (outer, inner) = (Io::new().unwrap(), Io::builder().callbacks_per_turn(1).build().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let count = Arc::clone(&count);
        let post = move |_io: &Io| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        inner.remote().post(post).unwrap();
    }
    turn_inside(&outer, &inner, &|| count.load(Ordering::Relaxed) == 20);
}

#[test]
fn p68_the_descriptor_is_readable_when_callbacks_are_left() {
    let (outer, inner) = (Io::new().unwrap(), Io::builder().callbacks_per_turn(1).build().unwrap());
    let count = Rc::new(Cell::new(0));
    for _ in 0..20 {
        inner.next(Rc::clone(&count), |count, _io| count.set(count.get() + 1));
    }
    turn_inside(&outer, &inner, &|| count.get() == 20);
}
