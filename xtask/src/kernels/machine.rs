//! A machine that QEMU emulates, without help of the processor: it works everywhere.
#![expect(clippy::disallowed_methods, reason = "a boot is timed here")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::wait;

/// A boot that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1200);

/// A panic or an oops ends the machine, which is not started again.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 oops=panic";

/// What came of a boot.
pub(super) struct Boot {
    pub(super) console: String,
    pub(super) log: PathBuf,
    pub(super) time: Duration,
    /// What is wrong with the machine's end.
    pub(super) fault: Option<String>,
}

/// Boots the kernel `image`; the files are put into `place`.
pub(super) fn boot(
    qemu: &Path,
    place: &Path,
    image: &Path,
    archive: &[u8],
) -> Result<Boot, String> {
    let (initramfs, log) = (place.join("initramfs"), place.join("console.log"));
    let complain = |error: std::io::Error| format!("{}: {error}", place.display());
    fs::write(&initramfs, archive).map_err(complain)?;
    let console = File::create(&log).map_err(complain)?;
    let mut command = Command::new(qemu);
    // Every instruction that the emulator knows; two processors, that threads do run at once.
    command.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.arg("-kernel").arg(image).arg("-initrd").arg(&initramfs);
    command.args(["-append", COMMAND_LINE]);
    command.stdin(Stdio::null()).stdout(console).stderr(Stdio::inherit());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", qemu.display()))?;
    let fault = match wait(&mut child, PATIENCE).map_err(complain)? {
        None => Some(format!("the machine hangs: it was stopped after {PATIENCE:?}")),
        Some(status) if !status.success() => Some(format!("the emulator: {status}")),
        Some(_) => None,
    };
    let console = fs::read(&log).map_err(complain)?;
    let console = String::from_utf8_lossy(&console).into_owned();
    Ok(Boot { console, log, time: start.elapsed(), fault })
}
