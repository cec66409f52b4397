//! A process that a runner has started, seen from there.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::pool::now;
use super::wire::Said;
use super::{Runner, arguments, worker};

/// How long a process may take to end that has closed its side.
const ENDING: Duration = Duration::from_secs(10);

pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
}

/// What is heard of a process, by number; nothing more when it has ended.
pub(super) type Heard = (usize, Option<Said>);

impl Process {
    /// Starts this program again, at the call of `run` that this is in.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn start(
        runner: &Runner,
        number: usize,
        heard: Sender<Heard>,
        stderr: Stdio,
    ) -> io::Result<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments::of_process(runner)?)
            .env(worker::STARTED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a process without pipes"));
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it reads a pipe; no simulated code runs on it"
        )]
        std::thread::Builder::new().name("runner".into()).spawn(move || {
            // The program may write what is no text.
            let lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
            // A runner that has ended hears nothing more.
            let _ = lines
                .filter_map(|line| Said::read(&String::from_utf8_lossy(&line)))
                .try_for_each(|said| heard.send((number, Some(said))));
            let _ = heard.send((number, None));
        })?;
        let mut process = Process { child, stdin };
        process.ask(worker::greeting().trim_end());
        Ok(process)
    }

    /// Asks it for something. That it has ended is heard elsewhere.
    pub(super) fn ask(&mut self, line: &str) {
        let _ = self.stdin.write_all(format!("{line}\n").as_bytes());
    }

    /// How a process ended that has closed its side.
    pub(super) fn how_it_ended(&mut self) -> String {
        let begin = now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return format!("its process ended: {status}"),
                Err(error) => return format!("its process ended, and how is unknown: {error}"),
                Ok(None) if begin.elapsed() > ENDING => {
                    self.kill();
                    return "its process closed its output".into();
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
