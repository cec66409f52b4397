//! The command line: what it takes, and what it says of what it does not take.

use std::process::{Command, Output};

use crate::client::{Server, binary};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

#[test]
fn help_names_every_option() {
    for name in ["--help", "-h"] {
        let output = run(&["--threads", "1", name]);
        assert!(output.status.success() && output.stderr.is_empty());
        let help = String::from_utf8(output.stdout).unwrap();
        for option in ["--addr", "--threads", "--accept", "--root", "--driver", "--spin", "--grace"]
        {
            assert!(help.contains(option), "{option}");
        }
        assert!(help.contains("--help"));
        for timeout in ["--head-timeout", "--idle-timeout", "--send-timeout"] {
            assert!(help.contains(timeout), "{timeout}");
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let server = Server::start();
    let file = server.put("a.txt", b"");
    let (file, taken) = (file.to_str().unwrap(), server.address.to_string());
    for (arguments, expected) in [
        (&["--addr", "localhost"][..], "--addr localhost: an address and a port"),
        (&["--addr", "127.0.0.1"], "--addr 127.0.0.1: an address and a port"),
        (&["--addr", "127.0.0.1:65536"], "an address and a port"),
        (&["--addr", &taken], "ddress already in use"),
        (&["--threads", "0"], "--threads 0: a number from 1 to 1024"),
        (&["--threads", "1025"], "a number from 1 to 1024"),
        (&["--threads", "-1"], "a number from 1 to 1024"),
        (&["--threads", "two"], "--threads two: a number from 1 to 1024"),
        (&["--threads"], "web_server: --threads: a value is needed"),
        (&["--accept", "some"], "--accept some: each or one is needed"),
        (&["--root", "/no such directory"], "--root /no such directory: "),
        (&["--root", file], "this is no directory"),
        (&["--driver", "carrier-pigeon"], "uring"),
        (&["--spin", "-1"], "--spin -1: a number from 0 to 1000000"),
        (&["--spin", "1000001"], "a number from 0 to 1000000"),
        (&["--head-timeout", "0"], "--head-timeout 0: seconds are needed"),
        (&["--idle-timeout", "-1"], "seconds are needed"),
        (&["--send-timeout", "NaN"], "seconds are needed"),
        (&["--grace", "inf"], "seconds are needed"),
        (&["--no-such-option", "1"], "there is no such option; see --help"),
        (&["8080"], "web_server: 8080"),
    ] {
        let output = run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(
            error.starts_with("web_server: ") && error.contains(expected),
            "{arguments:?}: {error}"
        );
        assert!(!error.contains("panicked") && error.lines().count() == 1, "{error}");
        assert!(output.stdout.is_empty());
    }
    server.expect_alive("others that wanted its port");
}

#[test]
fn a_driver_and_a_number_of_loops_are_taken() {
    let server = Server::with(&["--driver", "readiness", "--threads", "3"]);
    let json = String::from_utf8(server.get("/stats.json", "").body).unwrap();
    assert_eq!(json.matches("\"requests\"").count(), 3, "{json}");
    assert!(json.contains("\"driver\":\"readiness\""), "{json}");
}

#[test]
fn loops_that_look_for_work_serve() {
    let server = Server::with(&["--spin", "100", "--threads", "2"]);
    for _ in 0..20 {
        assert_eq!(server.get("/hello", "").body, b"Hello, world!");
    }
}

#[test]
fn one_loop_accepts_for_all_in_turn() {
    let server = Server::with(&["--accept", "one", "--threads", "3"]);
    // A connection each: more than go to the first loop before it learns of the others.
    let fair = |json: &str| json.matches("\"connections\":0").count() == 0;
    let mut json = String::new();
    for _ in 0..100 {
        assert_eq!(server.get("/hello", "").body, b"Hello, world!");
        json = String::from_utf8(server.get("/stats.json", "").body).unwrap();
        if fair(&json) {
            break;
        }
    }
    assert!(fair(&json), "{json}");
}
