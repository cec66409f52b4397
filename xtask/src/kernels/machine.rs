//! The machines that kernels are booted in.
#![expect(clippy::disallowed_methods, reason = "a boot is timed here")]

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::wait;

/// A boot that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A panic or an oops ends the machine, which is not started again.
const COMMAND_LINE: &str = "quiet panic=-1 oops=panic";

/// What came of a boot.
pub(super) struct Boot {
    pub(super) console: String,
    pub(super) time: Duration,
    /// What is wrong with the machine's end.
    pub(super) fault: Option<String>,
}

/// A machine that QEMU emulates, without help of the processor: it works everywhere.
pub(super) fn emulated(qemu: &Path, kernel: &Path, initramfs: &Path) -> Command {
    let mut command = Command::new(qemu);
    // Every instruction that the emulator knows; two processors, that threads do run at once.
    command.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    command.args(["-append", &format!("console=ttyS0 {COMMAND_LINE}")]);
    command
}

/// A kernel that is a program of this system; it has one processor. Its memory is a file.
pub(super) fn user_mode(kernel: &Path, initramfs: &Path) -> Command {
    let mut command = Command::new(kernel);
    command.arg(format!("initrd={}", initramfs.display())).args(["mem=2048M", "con=null"]);
    // What is written comes here; what is read comes from nowhere.
    command.args(["con0=null,fd:1"]).args(COMMAND_LINE.split(' '));
    if let Some(place) = initramfs.parent() {
        command.env("TMPDIR", place);
    }
    // Its processes are stopped with it.
    command.process_group(0);
    command
}

/// Boots the machine that `command` makes of a first file system, and puts what is said into the
/// file `log`.
pub(super) fn boot(
    command: impl FnOnce(&Path) -> Command,
    archive: &[u8],
    log: &Path,
) -> Result<Boot, String> {
    let initramfs = log.with_file_name("initramfs");
    let complain = |error: std::io::Error| format!("{}: {error}", log.display());
    fs::write(&initramfs, archive).map_err(complain)?;
    let console = File::create(log).map_err(complain)?;
    let mut command = command(&initramfs);
    // What the machine itself complains of comes to the same place.
    let complaints = console.try_clone().map_err(complain)?;
    command.stdin(Stdio::null()).stdout(console).stderr(complaints);
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let fault = match wait(&mut child, PATIENCE).map_err(complain)? {
        None => Some(format!("the machine hangs: it was stopped after {PATIENCE:?}")),
        Some(status) if !status.success() => Some(format!("the machine: {status}")),
        Some(_) => None,
    };
    let console = fs::read(log).map_err(complain)?;
    let console = String::from_utf8_lossy(&console).into_owned();
    Ok(Boot { console, time: start.elapsed(), fault })
}
