//! The example `chat`, as a process, with clients of the standard library.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
mod example;
#[path = "common/patient.rs"]
mod patient;
#[path = "common/scratch.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod scratch;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use example::Example;
use patient::read_some;
use scratch::Scratch;

const HANG: Duration = Duration::from_secs(120);

struct Client(BufReader<UnixStream>);

impl Client {
    fn join(server: &Example) -> Client {
        let stream = UnixStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        Client(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn hears(&mut self, line: &str) {
        let mut heard = String::new();
        self.0.read_line(&mut heard).unwrap();
        assert_eq!(heard, line);
    }

    /// What is still there before the end, in bytes.
    fn rest(&mut self) -> usize {
        let (mut count, mut bytes) = (0, vec![0; 65_536]);
        // A reset is an end as well: it was put out with something unread.
        while let Ok(more @ 1..) = read_some(&mut self.0, &mut bytes) {
            count += more;
        }
        count
    }
}

fn try_to_start(directory: &Scratch) -> Option<Example> {
    Example::start("chat", &[directory.join("chat").as_os_str()])
}

fn start(directory: &Scratch) -> Example {
    try_to_start(directory).unwrap()
}

/// Clients are accepted in order: who hears the last one has joined.
#[test]
fn every_line_goes_to_everybody_else() {
    let directory = Scratch::new();
    let server = start(&directory);
    let [mut one, mut two, mut three] = [(); 3].map(|()| Client::join(&server));
    three.say("hello\n");
    one.hears("3: hello\n");
    two.hears("3: hello\n");
    one.say("part of ");
    two.say("first\nsecond\n");
    for client in [&mut one, &mut three] {
        client.hears("2: first\n");
        client.hears("2: second\n");
    }
    one.say("a line\n\n");
    for client in [&mut two, &mut three] {
        client.hears("1: part of a line\n");
        client.hears("1: \n");
    }
    // Who has left holds up nobody, and who says no more leaves.
    drop(one);
    two.say("who is there?\n");
    three.hears("2: who is there?\n");
    two.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(two.rest(), 0);
}

#[test]
fn a_slow_reader_is_put_out_and_holds_up_nobody() {
    const ROUNDS: usize = 200;
    let directory = Scratch::new();
    let server = start(&directory);
    let [mut slow, mut quick, mut speaker] = [(); 3].map(|()| Client::join(&server));
    let line = "x".repeat(999) + "\n";
    for _ in 0..ROUNDS {
        // Less than may wait for a member: the quick one is never put out.
        for _ in 0..32 {
            speaker.say(&line);
        }
        for _ in 0..32 {
            quick.hears(&format!("3: {line}"));
        }
    }
    let received = slow.rest();
    assert!(received > 0 && received < ROUNDS * 32 * 1000 / 2, "{received} bytes waited");
    quick.say("on we go\n");
    speaker.hears("2: on we go\n");
}

#[test]
fn a_line_without_an_end_ends_its_speaker() {
    let directory = Scratch::new();
    let server = start(&directory);
    let [mut one, mut two, mut three] = [(); 3].map(|()| Client::join(&server));
    // The server may have closed before all of it is written.
    let _ = two.0.get_mut().write_all(&[b'x'; 10_000]);
    assert_eq!(two.rest(), 0);
    three.say("still here\n");
    one.hears("3: still here\n");
}

#[test]
fn p45_a_server_starts_again_where_one_was_killed() {
    let directory = Scratch::new();
    drop(start(&directory));
    // What io_uring holds of a process that was killed is let go of some time after its end.
    let mut again = (0..1000).filter_map(|_| try_to_start(&directory));
    let server = again.next().unwrap();
    let [mut one, mut two] = [(); 2].map(|()| Client::join(&server));
    two.say("again\n");
    one.hears("2: again\n");
}
