//! The key-value example is killed again and again: whatever it has acknowledged is there afterwards,
//! and nothing that was never put.
//!
//! `TIGEREYE_TEST_KILLS` says how often (CI: 1,000), `TIGEREYE_TEST_SEED` which run to repeat.
#![allow(clippy::disallowed_methods, reason = "a seed from the clock, and threads of its own")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod example;
#[path = "common/random.rs"]
mod random;
#[path = "common/scratch.rs"]
mod scratch;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use random::Random;
use scratch::Scratch;

const KEYS: u64 = 40;
const MEBIBYTES: &str = "8";
/// A log that is fuller than this is given up, for one that has room: for all that one round puts, each
/// in a group of its own.
const FULL: usize = 4 << 20;
const PUTS: u64 = 600;

fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

struct Store {
    child: Child,
    /// None, once it has been taken by whoever writes.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// How much of the log was taken when it started.
    used: usize,
}

impl Store {
    fn start(path: &Path) -> Store {
        let mut command = Command::new(example::binary("key_value"));
        command.arg(path).arg(MEBIBYTES).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.next().expect("it starts").unwrap();
        let used = ready.strip_prefix("ready ").expect(&ready).parse().unwrap();
        Store { child, input, output, used }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.output.next().expect("it answers").unwrap()
    }

    fn get(&mut self, key: &str) -> Option<String> {
        match self.ask(&format!("get {key}")).as_str() {
            "-" => None,
            answer => Some(answer.strip_prefix("= ").expect(answer).into()),
        }
    }

    /// Ends it in order.
    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills it, and says how many more puts it has acknowledged by then.
    fn kill(mut self) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.output.filter(|line| line.as_ref().is_ok_and(|line| line == "ok")).count()
    }
}

type Values = BTreeMap<String, String>;

fn key(number: u64) -> String {
    format!("key-{number}")
}

/// Puts, one after another, of which no two have the same value.
fn puts(random: &mut Random, round: u64, count: u64) -> Vec<(String, String)> {
    let put = |number| {
        let len = random.below(if number % 10 == 0 { 20_000 } else { 200 });
        let filler: String = (0..len).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        (key(random.below(KEYS)), format!("{round}.{number}.{filler}"))
    };
    (0..count).map(put).collect()
}

/// What the store holds is what was acknowledged, and then perhaps what came next, in order: gives
/// it.
#[track_caller]
fn check(store: &mut Store, mut values: Values, after: &[(String, String)]) -> Values {
    let pair = |key: String| Some((key.clone(), store.get(&key)?));
    let held: Values = (0..KEYS).map(key).filter_map(pair).collect();
    for (key, value) in after {
        if values == held {
            return held;
        }
        values.insert(key.clone(), value.clone());
    }
    for number in (0..KEYS).map(key) {
        assert_eq!(held.get(&number), values.get(&number), "{number}");
    }
    held
}

/// Floods the store with puts, and kills it some time after so many were acknowledged. Gives how
/// many of them were.
fn flood(mut store: Store, puts: &[(String, String)], wanted: usize, spins: u64) -> usize {
    let mut input = store.input.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (key, value) in puts {
                // It is killed meanwhile: the pipe breaks.
                if writeln!(input, "put {key} {value}").is_err() {
                    return;
                }
            }
        });
        for _ in 0..wanted {
            let answer = store.output.next().expect("it lives").unwrap();
            assert_eq!(answer, "ok");
        }
        (0..spins).for_each(|_| std::hint::spin_loop());
        wanted + store.kill()
    })
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let kills = variable("TIGEREYE_TEST_KILLS").unwrap_or(30);
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = variable("TIGEREYE_TEST_SEED").unwrap_or_else(|| clock().as_micros() as u64);
    println!("TIGEREYE_TEST_SEED={seed}");
    let (mut random, scratch) = (Random(seed), Scratch::new());
    let (mut path, mut values, mut after) = (scratch.path().join("log"), Values::new(), Vec::new());
    let mut total = 0;
    for round in 0..kills {
        let mut store = Store::start(&path);
        values = check(&mut store, values, &after);
        if store.used > FULL {
            store.end();
            fs::remove_file(&path).unwrap();
            path = scratch.join(&format!("log-{round}"));
            values = Values::new();
            store = Store::start(&path);
        }
        let mut puts = puts(&mut random, round, PUTS);
        let (wanted, spins) = (random.below(300) as usize, random.below(200_000));
        let acknowledged = flood(store, &puts, wanted, spins);
        after = puts.split_off(acknowledged);
        values.extend(puts);
        total += acknowledged;
    }
    let mut store = Store::start(&path);
    check(&mut store, values, &after);
    store.end();
    println!("{kills} kills, {total} puts acknowledged");
}

#[test]
fn recovery_stops_at_the_first_torn_record_and_goes_on_from_there() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    let mut store = Store::start(&path);
    let mut ends = Vec::new();
    for number in 0..4 {
        assert_eq!(store.ask(&format!("put {} {number}", key(number))), "ok");
        ends.push(fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap());
    }
    store.end();
    // The second one is torn; those that lie behind it are whole.
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[1]] ^= 1;
    scratch.file("log", &bytes);
    let mut store = Store::start(&path);
    assert_eq!(store.get(&key(0)).as_deref(), Some("0"));
    let behind = |store: &mut Store| [store.get(&key(2)), store.get(&key(3))];
    assert_eq!((store.get(&key(1)), behind(&mut store)), (None, [None, None]));
    // Behind the new run's own record, up to where the last one of the old run begins, which does
    // not come back with it.
    assert_eq!(store.ask(&format!("put {} 1", key(1))), "ok");
    store.end();
    let mut store = Store::start(&path);
    assert_eq!(store.get(&key(1)).as_deref(), Some("1"));
    assert_eq!(behind(&mut store), [None, None]);
    store.end();
}

#[test]
fn a_full_log_says_so_and_keeps_what_it_has() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    let mut store = Store::start(&path);
    let value = "x".repeat(60_000);
    let mut count = 0;
    while store.ask(&format!("put {} {value}{count}", key(0))) == "ok" {
        count += 1;
    }
    assert_eq!(store.get(&key(0)), Some(format!("{value}{}", count - 1)));
    assert!((130..140).contains(&count), "{count} of 60,000 bytes in 8 MiB");
    store.end();
}
