//! Reading what a machine said on its console: the first process's lines begin with `kernels: `,
//! the tests' own are between them.

use super::plan::Run;

const MARK: &str = "kernels: ";

/// A test program that ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended<'a> {
    program: &'a str,
    status: i32,
    seconds: u32,
    pub(super) passed: u32,
    pub(super) failed: u32,
    ignored: u32,
    /// What the tests said that they did not do.
    skipped: Vec<&'a str>,
    lines: Vec<&'a str>,
}

impl std::fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ended { program, passed, failed, ignored, seconds, .. } = self;
        write!(f, "{program}: {passed} passed, {failed} failed, {ignored} ignored, {seconds} s")?;
        self.skipped.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// All that a console tells.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    pub(super) system: &'a str,
    pub(super) ended: Vec<Ended<'a>>,
    /// What the kernel complained of.
    pub(super) complaints: Vec<&'a str>,
    all_ended: bool,
    /// What was said after the last program's end.
    rest: Vec<&'a str>,
}

/// The counts of a line with which libtest closes: passed, failed, ignored.
fn counts(line: &str) -> Option<[u32; 3]> {
    let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = counts.split("; ").map(|part| part.split_once(' '));
    let mut next = |name| {
        let (count, what) = parts.next()??;
        if what == name { count.parse().ok() } else { None }
    };
    Some([next("passed")?, next("failed")?, next("ignored")?])
}

/// What the words of an `end` line and the program's own lines say.
fn ended<'a>(words: &'a str, lines: Vec<&'a str>) -> Option<Ended<'a>> {
    let mut words = words.split(' ');
    let (program, status, seconds) = (words.next()?, words.next()?, words.next()?);
    // A test that starts its own program may show the lines of that one too: the last one counts.
    let [passed, failed, ignored] =
        lines.iter().rev().find_map(|line| counts(line)).unwrap_or_default();
    let skipped = lines.iter().copied().filter(|line| line.contains("SKIPPED")).collect();
    let (status, seconds) = (status.parse().ok()?, seconds.parse().ok()?);
    Some(Ended { program, status, seconds, passed, failed, ignored, skipped, lines })
}

/// Reads a console.
pub(super) fn read(console: &str) -> Report<'_> {
    let mut report = Report::default();
    for line in console.lines().map(|line| line.trim_end_matches('\r')) {
        let Some(said) = line.strip_prefix(MARK) else {
            report.rest.push(line);
            continue;
        };
        let (what, words) = said.split_once(' ').unwrap_or((said, ""));
        match what {
            "system" => report.system = words,
            "begin" => report.rest.clear(),
            "end" => {
                let lines = std::mem::take(&mut report.rest);
                report.ended.extend(ended(words, lines));
            }
            "complaint" => report.complaints.push(words),
            "all" => report.all_ended = words == "have ended",
            _ => report.rest.push(line),
        }
    }
    report
}

impl Report<'_> {
    /// What is wrong, where `plan` was to run.
    pub(super) fn faults(&self, plan: &[Run]) -> Vec<String> {
        let mut faults = Vec::new();
        for run in plan {
            let name = run.label();
            match self.ended.iter().find(|ended| ended.program == name) {
                None => faults.push(format!("{name} did not end")),
                Some(ended) if ended.status != 0 || ended.failed != 0 => {
                    faults.push(format!("{name} failed with status {}", ended.status));
                }
                Some(ended) if ended.passed == 0 => faults.push(format!("{name} ran no test")),
                Some(_) => {}
            }
        }
        if !self.all_ended {
            faults.push("the console ends without a verdict".into());
        }
        faults
    }

    /// What failed programs said, and what came last if there is no verdict.
    pub(super) fn failures(&self) -> String {
        let failed = self.ended.iter().filter(|ended| ended.status != 0);
        let mut lines: Vec<&str> = failed.flat_map(|ended| told(&ended.lines)).copied().collect();
        lines.retain(|line| !line.ends_with(" ... ok"));
        if !self.all_ended {
            lines.extend(&self.rest);
        }
        lines.join("\n")
    }
}

/// What a program tells of its failures; all of it, if it did not come to tell of them.
fn told<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    // What was written by tests that passed comes before.
    let position = |mark: &str| lines.iter().position(|line| *line == mark);
    match (position("successes:"), position("failures:")) {
        (Some(passed), Some(failed)) if passed < failed => &lines[failed..],
        _ => lines,
    }
}

#[cfg(test)]
mod self_tests {
    use super::*;
    use crate::kernels::plan::{Driver, Program};

    const BOTH: &str = "\
[    0.1] Linux\r
kernels: system 6.1.0, 2 processors\r
\r
kernels: begin lib\r
test a ... ok\r
test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s\r
SKIPPED: there is no pigeon\r
\r
kernels: end lib 0 7\r
\r
kernels: begin uring\r
test b ... FAILED\r
test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\r
test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\r
\r
kernels: end uring 101 8\r
kernels: complaint BUG: soft lockup\r
kernels: all have ended\r
";

    fn faults(console: &str, names: &[&str]) -> Vec<String> {
        let program = |name: &&str| Program { name: (*name).into(), path: "".into() };
        let programs: Vec<Program> = names.iter().map(program).collect();
        let driver = Driver::Readiness;
        let run = |program| Run {
            program,
            driver,
            expects: driver,
            choice: "",
            processors: 3,
            sysctl: None,
        };
        let plan: Vec<Run> = programs.iter().map(run).collect();
        read(console).faults(&plan)
    }

    #[test]
    fn a_console_tells_what_ended_and_how() {
        let report = read(BOTH);
        assert_eq!(report.system, "6.1.0, 2 processors");
        let [lib, uring] = &report.ended[..] else { panic!("two programs ended") };
        let text = "lib: 1 passed, 0 failed, 2 ignored, 7 s\n    SKIPPED: there is no pigeon";
        assert_eq!(lib.to_string(), text);
        assert_eq!((uring.status, uring.passed, uring.failed), (101, 3, 1));
        assert!(report.failures().contains("test b ... FAILED"));
        assert_eq!(report.complaints, ["BUG: soft lockup"]);
        assert!(!report.failures().contains("test a"));
        let longer =
            BOTH.replace("test b ... FAILED", "successes:\r\na passed\r\nfailures:\r\nb failed");
        let failures = read(&longer).failures();
        assert!(failures.starts_with("failures:\nb failed\n"), "{failures}");
    }

    #[test]
    fn what_is_as_planned_passes() {
        assert_eq!(faults(BOTH, &["lib"]), [""; 0]);
    }

    #[test]
    fn what_fails_or_is_missing_is_a_fault() {
        assert_eq!(faults(BOTH, &["uring"]), ["uring failed with status 101"]);
        assert_eq!(faults(BOTH, &["signals"]), ["signals did not end"]);
        let none = BOTH.replace("1 passed", "0 passed");
        assert_eq!(faults(&none, &["lib"]), ["lib ran no test"]);
    }

    #[test]
    fn a_console_that_stops_is_a_fault() {
        let missing = "the console ends without a verdict";
        let (cut, _) = BOTH.split_once("kernels: all").unwrap();
        assert_eq!(faults(cut, &["lib"]), [missing]);
        let (cut, _) = BOTH.split_once("test b").unwrap();
        assert_eq!(faults(cut, &["lib", "uring"]), ["uring did not end", missing]);
        let panic = format!("{cut}Kernel panic - not syncing\n");
        assert!(read(&panic).failures().contains("Kernel panic"));
        assert_eq!(faults("", &[]), [missing]);
    }
}
