//! What a runner and its processes say to each other: lines of fields with tabs between them.

use std::time::Duration;

use super::report::{Failure, Report, Smaller};
use crate::driver::sim::faults::{FaultCounts, FaultKind};
use crate::driver::sim::kernel::nanoseconds;
use crate::driver::sim::schedule::Schedule;

/// What a process says begins with this: the program may write lines of its own.
pub(super) const MARK: &str = "@tigereye-runner";

/// What a process says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// It is at a seed.
    At(u64),
    /// The seeds that it was given have passed.
    Passed(Report),
    /// This one has failed, after some that passed.
    Failed(u64, String, Report),
    /// Something goes wrong: its name, as a schedule has it, and in words.
    Fault(Schedule, String),
    /// A schedule was tried, and failed with this, if it did.
    Tried(Option<String>),
    /// The world of a timeline has come to this moment.
    Moment(u64),
    /// A timeline was written; what was wrong with that, if anything.
    Drawn(Option<String>),
}

impl Said {
    pub(super) fn line(&self) -> String {
        match self {
            Said::At(seed) => format!("{MARK}\tat\t{seed}"),
            Said::Fault(part, words) => format!("{MARK}\tfault\t{part}\t{}", escape(words)),
            Said::Moment(number) => format!("{MARK}\tmoment\t{number}"),
            Said::Drawn(wrong) => {
                format!("{MARK}\tdrawn\t{}", escape(wrong.as_deref().unwrap_or_default()))
            }
            Said::Tried(None) => format!("{MARK}\theld"),
            Said::Tried(Some(message)) => format!("{MARK}\ttried\t{}", escape(message)),
            Said::Passed(report) => format!("{MARK}\tpassed\t{}", figures(report)),
            Said::Failed(seed, message, report) => {
                format!("{MARK}\tfailed\t{seed}\t{}\t{}", escape(message), figures(report))
            }
        }
    }

    pub(super) fn read(line: &str) -> Option<Said> {
        let mut fields = line.strip_prefix(MARK)?.trim_start_matches('\t').split('\t');
        match fields.next()? {
            "at" => Some(Said::At(fields.next()?.parse().ok()?)),
            "fault" => Some(Said::Fault(fields.next()?.parse().ok()?, unescape(fields.next()?))),
            "moment" => Some(Said::Moment(fields.next()?.parse().ok()?)),
            "drawn" => {
                let wrong = unescape(fields.next()?);
                Some(Said::Drawn((!wrong.is_empty()).then_some(wrong)))
            }
            "held" => Some(Said::Tried(None)),
            "tried" => Some(Said::Tried(Some(unescape(fields.next()?)))),
            "passed" => Some(Said::Passed(read_figures(fields.next()?)?)),
            "failed" => {
                let seed = fields.next()?.parse().ok()?;
                let message = unescape(fields.next()?);
                Some(Said::Failed(seed, message, read_figures(fields.next()?)?))
            }
            _ => None,
        }
    }
}

/// A text without tabs and ends of lines.
pub(super) fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\t', "\\t");
    text.replace('\n', "\\n").replace('\r', "\\r")
}

pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

/// The figures of a report, with spaces between them.
fn figures(report: &Report) -> String {
    let Report { seeds, time, events, turns, faults, elapsed } = report;
    let (time, elapsed) = (nanoseconds(*time), nanoseconds(*elapsed));
    let first = [*seeds, time, *events, *turns, elapsed];
    let all = first.into_iter().chain(faults.iter().map(|(_kind, count)| count));
    all.map(|figure| figure.to_string()).collect::<Vec<_>>().join(" ")
}

fn read_figures(text: &str) -> Option<Report> {
    let figures: Option<Vec<u64>> = text.split(' ').map(|figure| figure.parse().ok()).collect();
    let figures = figures?;
    let (&[seeds, time, events, turns, elapsed], counts) = figures.split_first_chunk()?;
    let mut faults = FaultCounts::none();
    for (&kind, &count) in FaultKind::ALL.iter().zip(counts) {
        faults.add(kind, count);
    }
    let [time, elapsed] = [time, elapsed].map(Duration::from_nanos);
    Some(Report { seeds, time, events, turns, faults, elapsed })
}

/// How a run ended, as a line.
pub(super) fn result_line(result: &Result<Report, Box<Failure>>) -> String {
    match result {
        Ok(report) => format!("ok\t{}", figures(report)),
        Err(failure) => {
            let Failure { seed, message, schedule, smaller, report, command } = &**failure;
            let seed = seed.map(|seed| seed.to_string()).unwrap_or_default();
            let schedule = schedule.as_ref().map(ToString::to_string).unwrap_or_default();
            let smaller = smaller.as_ref().map(smaller_field).unwrap_or_default();
            let [message, command] = [message, command].map(|text| escape(text));
            let figures = figures(report);
            format!("failed\t{seed}\t{message}\t{schedule}\t{command}\t{figures}\t{smaller}")
        }
    }
}

pub(super) fn read_result(line: &str) -> Option<Result<Report, Box<Failure>>> {
    let mut fields = line.split('\t');
    if fields.next()? == "ok" {
        return Some(Ok(read_figures(fields.next()?)?));
    }
    let seed = fields.next()?.parse().ok();
    let message = unescape(fields.next()?);
    let schedule = fields.next()?.parse().ok();
    let command = unescape(fields.next()?);
    let report = read_figures(fields.next()?)?;
    let smaller = read_smaller(fields.next()?);
    Some(Err(Box::new(Failure { seed, message, schedule, smaller, report, command })))
}

fn smaller_field(smaller: &Smaller) -> String {
    let Smaller { parts, of, tries, is_smallest } = smaller;
    escape(&format!("{of} {tries} {is_smallest}\n{}", parts.join("\n")))
}

fn read_smaller(field: &str) -> Option<Smaller> {
    let text = unescape(field);
    let mut lines = text.lines();
    let mut figures = lines.next()?.split(' ');
    let (of, tries) = (figures.next()?.parse().ok()?, figures.next()?.parse().ok()?);
    let is_smallest = figures.next()?.parse().ok()?;
    Some(Smaller { parts: lines.map(String::from).collect(), of, tries, is_smallest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let mut report = Report { seeds: 3, events: 5, ..Report::default() };
        report.faults.add(FaultKind::BitRot, 7);
        let failed = Said::Failed(9, "two\nlines, a\ttab, \\n and \r".into(), report.clone());
        let fault = Said::Fault("seed 1; plan 3".parse().unwrap(), "1.5 one\tis killed".into());
        let all = [Said::At(u64::MAX), Said::Passed(report.clone()), failed, fault];
        let all = all.into_iter().chain([
            Said::Moment(7),
            Said::Drawn(None),
            Said::Drawn(Some("full".into())),
        ]);
        for said in all.chain([Said::Tried(None), Said::Tried(Some("a\nb".into()))]) {
            assert_eq!(Said::read(&said.line()), Some(said));
        }
        assert_eq!(Said::read("running 1 test"), None);
        let failure = Failure {
            seed: Some(4),
            message: "lost\n\tand found".into(),
            schedule: Some(Schedule::all(4)),
            smaller: Some(Smaller {
                parts: vec!["one".into(), "two".into()],
                of: 9,
                tries: 5,
                is_smallest: false,
            }),
            report: report.clone(),
            command: "program --seed 4".into(),
        };
        for result in
            [Ok(report), Err(Box::new(failure)), Err(Failure::other("no processes".into()))]
        {
            let again = read_result(&result_line(&result)).unwrap();
            assert_eq!(format!("{again:?}"), format!("{result:?}"));
        }
    }
}
