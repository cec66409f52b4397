//! The examples with files, as processes.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/example.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod example;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "common/scratch.rs"]
mod scratch;

use std::fs;
use std::process::Command;

use scratch::Scratch;

fn example(name: &str) -> Command {
    Command::new(example::binary(name))
}

/// It writes to its standard output by a descriptor, which Windows has none of.
#[cfg(unix)]
mod cat {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    /// As in the example.
    const BLOCK: usize = 128 * 1024;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn cat_copies_files_in_order() {
        let scratch = Scratch::new();
        let (mut cat, mut expected) = (example("cat"), Vec::new());
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 9 * BLOCK + 7] {
            let contents = bytes(len);
            cat.arg(scratch.file(&len.to_string(), &contents));
            expected.extend(contents);
        }
        let output = cat.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success());
        assert!(output.stdout == expected, "{} bytes of {}", output.stdout.len(), expected.len());
    }

    #[test]
    fn cat_says_what_it_cannot_copy_and_goes_on() {
        let scratch = Scratch::new();
        let file = scratch.file("file", b"whole");
        let output =
            example("cat").arg(scratch.join("nothing")).arg("/").arg(&file).output().unwrap();
        assert_eq!(output.stdout, b"whole");
        assert_eq!(output.status.code(), Some(1));
        let complaints = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = complaints.lines().collect();
        assert!(lines[0].contains("nothing: No such file"), "{complaints}");
        assert!(lines[1].starts_with("cat: /: Is a directory"), "{complaints}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn cat_ends_when_its_reader_goes() {
        let scratch = Scratch::new();
        let file = scratch.file("file", &bytes(100 * BLOCK));
        let mut cat = example("cat");
        cat.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = cat.spawn().unwrap();
        process.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("Broken pipe"));
    }
}

#[test]
fn list_shows_names_and_kinds_in_order() {
    let scratch = Scratch::new();
    scratch.file("b", b"12345");
    fs::create_dir(scratch.join("a")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", scratch.join("c")).unwrap();
    let output = example("list").arg(scratch.path()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    let kinds_and_names: Vec<_> = lines.iter().map(|line| (line[0], line[3])).collect();
    // Windows lets not everybody make links.
    let expected = [("d", "a"), ("-", "b"), ("l", "c")];
    assert_eq!(kinds_and_names, if cfg!(unix) { &expected } else { &expected[..2] });
    assert_eq!(lines[1][2], "5");
    let output = example("list").arg(scratch.join("b")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // Windows says it in words of its own.
    let words = if cfg!(windows) { "list: " } else { "Not a directory" };
    assert!(String::from_utf8_lossy(&output.stderr).contains(words));
}
