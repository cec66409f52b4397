//! The arguments of a runner, and those that a program, or a test, is started with again.

use std::io;
use std::process::ExitCode;

use super::Runner;
use crate::driver::sim::Schedule;

const USAGE: &str = "\
arguments: --seeds N, --from SEED, --jobs N, --twice, --seed SEED, --schedule TEXT or FILE, --shrink,
--timeline FILE";

/// The name that the thread of `main` has; those of tests have the names of the tests.
const MAIN: &str = "main";

pub(super) fn take(
    mut runner: Runner,
    arguments: impl IntoIterator<Item = String>,
) -> Result<(Runner, Vec<String>), String> {
    let mut arguments = arguments.into_iter();
    let mut rest = Vec::new();
    let (mut from, mut count) = (None, None);
    let (mut is_replay, mut shrinks) = (false, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} has a value\n{USAGE}"));
        match argument.as_str() {
            "--seeds" => count = Some(number(&value()?)?),
            "--from" => from = Some(number(&value()?)?),
            "--jobs" => runner = runner.jobs(number(&value()?)? as usize),
            "--seed" => {
                let seed = number(&value()?)?;
                runner.replay = Some(Schedule::all(seed));
                is_replay = true;
            }
            "--schedule" => {
                runner.replay = Some(schedule(&value()?)?);
                is_replay = true;
            }
            "--twice" => runner.twice = true,
            "--shrink" => shrinks = true,
            "--timeline" => runner.timeline = Some(value()?.into()),
            _ => rest.push(argument),
        }
    }
    // One world is run as it is, unless it is to be shrunk as well, whatever the program has asked for.
    runner.shrinks = shrinks || runner.shrinks && !is_replay;
    if from.is_some() || count.is_some() {
        let from = from.unwrap_or(runner.seeds.start);
        let count = count.unwrap_or(runner.seeds.end.saturating_sub(runner.seeds.start));
        runner.seeds = from..from.saturating_add(count);
    }
    runner.arguments = Some(rest.clone());
    Ok((runner, rest))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number\n{USAGE}"))
}

/// A schedule, or the name of a file with one.
fn schedule(text: &str) -> Result<Schedule, String> {
    match text.parse() {
        Ok(schedule) => Ok(schedule),
        Err(_) if std::path::Path::new(text).exists() => {
            std::fs::read_to_string(text).map_err(|error| format!("{text}: {error}"))?.parse()
        }
        Err(message) => Err(message),
    }
}

/// Takes arguments from a variable of the environment, where quotes hold words together.
pub(super) fn take_variable(runner: Runner, text: &str) -> Result<Runner, String> {
    let (runner, rest) = take(runner, words(text))?;
    match rest.is_empty() {
        true => Ok(Runner { arguments: None, ..runner }),
        false => Err(format!("unknown: {rest:?}\n{USAGE}")),
    }
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_quoted = matches!(first, '"' | '\'');
        let begin = usize::from(is_quoted);
        let ends = |c: char| if is_quoted { c == first } else { c.is_whitespace() };
        let len = rest[begin..].find(ends).unwrap_or(rest.len() - begin);
        words.push(rest[begin..begin + len].into());
        rest = rest.get(begin + len + begin..).unwrap_or_default().trim_start();
    }
    words
}

/// Says what is wrong with the arguments.
pub(super) fn refuse(message: &str) -> ExitCode {
    eprintln!("{message}\n{USAGE}");
    ExitCode::from(2)
}

/// The name of the test that `run` is called in; none in a program's `main`.
fn test(runner: &Runner) -> io::Result<Option<String>> {
    let thread = std::thread::current();
    match (&runner.test, thread.name()) {
        (Some(name), _) => Ok(Some(name.clone())),
        (None, Some(MAIN)) => Ok(None),
        (None, Some(name)) => Ok(Some(name.into())),
        (None, None) => {
            let message = "this thread is neither that of `main` nor that of a test: \
                           see `Runner::test`";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// The arguments with which this program gets to this run again.
///
/// # Errors
/// `InvalidInput` on a thread without a name.
pub(super) fn of_process(runner: &Runner) -> io::Result<Vec<String>> {
    match test(runner)? {
        Some(name) => {
            Ok([&name, "--exact", "--include-ignored", "--nocapture"].map(String::from).into())
        }
        None => Ok(std::env::args().skip(1).collect()),
    }
}

/// The command that runs a schedule again.
pub(super) fn command(runner: &Runner, schedule: &Schedule) -> String {
    let what = match schedule.size() {
        None => format!("--seed {}", schedule.seed()),
        Some(_) => format!("--schedule \"{schedule}\""),
    };
    let what = if runner.twice { what + " --twice" } else { what };
    let program = std::env::args().next().unwrap_or_else(|| "program".into());
    match test(runner) {
        Ok(Some(name)) => {
            with_variable(&what, &format!("{} --exact {name} --include-ignored", quoted(&program)))
        }
        _ => {
            let own = runner.arguments.iter().flatten().map(|argument| quoted(argument));
            let words = std::iter::once(quoted(&program)).chain(own).chain([what]);
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

/// A command for a shell, with these arguments of a runner in the environment; on Windows the shell is
/// cmd.
fn with_variable(arguments: &str, command: &str) -> String {
    if cfg!(windows) {
        format!("set \"{}={arguments}\" && {command}", super::ARGUMENTS)
    } else {
        format!("{}='{arguments}' {command}", super::ARGUMENTS)
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = if cfg!(windows) { r"-_./\:=+@" } else { "-_./:=,+%@" };
    let is_plain = |c: char| c.is_alphanumeric() || plain.contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else if cfg!(windows) {
        format!("\"{}\"", word.replace('"', r#"\""#))
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_taken_and_the_rest_is_given_back() {
        let text = "--bug 3 --seeds 10 --from 5 --jobs 2 --timeline a.html --shrink last";
        let (runner, rest) = Runner::new().arguments(words(text)).unwrap();
        assert_eq!(rest, ["--bug", "3", "last"]);
        assert_eq!((runner.seeds.clone(), runner.jobs, runner.shrinks), (5..15, 2, true));
        let (runner, _rest) =
            Runner::new().arguments(words("--schedule 'seed 3; plan 1'")).unwrap();
        assert_eq!(runner.replay.map(|schedule| schedule.to_string()).unwrap(), "seed 3; plan 1");
        for wrong in ["--seeds", "--seeds x", "--schedule nothing"] {
            assert!(Runner::new().arguments(words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_may_be_quoted() {
        assert_eq!(words(" a 'b c'  \"d\" '' e"), ["a", "b c", "d", "", "e"]);
        assert_eq!(words("'open"), ["open"]);
    }

    #[test]
    fn a_word_of_a_command_is_one_word() {
        let quotes = if cfg!(windows) { r#""it's""# } else { r"'it'\''s'" };
        assert_eq!([quoted("a/b-c"), quoted("it's")], ["a/b-c", quotes]);
    }
}
