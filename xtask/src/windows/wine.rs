//! Wine, with a prefix of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LINKER;
use crate::cross::tools::run;

/// Wine 8 lacks a library that the standard library takes random numbers from: this one does, from
/// where that one would.
const RANDOM: &str = "\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG count);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
    return SystemFunction036(bytes, (ULONG)count);
}
";

pub(super) struct Wine {
    prefix: PathBuf,
}

impl Wine {
    /// Has a prefix, which is made if it is not there.
    pub(super) fn ready(place: &Path) -> Result<Wine, String> {
        let wine = Wine { prefix: place.join("wine") };
        let library = wine.prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
        if !library.exists() {
            wine.prepare(place, &library)?;
        }
        // One server for all that is run, until the end: none that would say what it was doing when it
        // is ended. One that is still there, of the preparation or of a run that was cut off, is in
        // the way.
        wine.end();
        let mut server = wine.of("wineserver");
        run(server.arg("-p").stdout(Stdio::null()), "starting Wine's server")?;
        Ok(wine)
    }

    fn prepare(&self, place: &Path, library: &Path) -> Result<(), String> {
        println!("preparing Wine");
        let text = |error: std::io::Error| format!("{}: {error}", place.display());
        fs::create_dir_all(place).map_err(text)?;
        run(self.of("wineboot").arg("-i").stdout(Stdio::null()), "preparing Wine")?;
        let source = place.join("random.c");
        fs::write(&source, RANDOM).map_err(text)?;
        let mut build = Command::new(LINKER);
        build.args(["-shared", "-o"]).arg(library).arg(&source).arg("-ladvapi32");
        run(&mut build, "building bcryptprimitives.dll")
    }

    fn of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("WINEPREFIX", &self.prefix).env("WINEARCH", "win64").env("WINEDEBUG", "-all");
        command.stderr(Stdio::null());
        command
    }

    /// Runs a program for Windows.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.of("wine");
        command.arg(program).env_remove("TIGEREYE_DRIVER");
        command
    }

    /// As [`command`](Wine::command), of a program that hears of Ctrl-C whoever has started this one.
    pub(super) fn interruptible(&self, program: &str) -> Command {
        let mut command = self.of("env");
        command.args(["--default-signal=INT", "wine"]).arg(program);
        command.env_remove("TIGEREYE_DRIVER");
        command
    }

    /// A script that runs a program for Windows, with the arguments that it is given.
    pub(super) fn script(&self, program: &str) -> String {
        let prefix = self.prefix.display();
        format!(
            "#!/bin/sh\nunset TIGEREYE_DRIVER\nexport WINEPREFIX='{prefix}' WINEARCH=win64 \
             WINEDEBUG=-all\nexec wine '{program}' \"$@\"\n"
        )
    }

    /// Ends the prefix's server, which would go on for a while, if there is one.
    fn end(&self) {
        let _ = self.of("wineserver").arg("-k").status();
        let _ = self.of("wineserver").arg("-w").status();
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.end();
    }
}
