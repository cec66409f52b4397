//! What builds for another system: a compiler with its standard library's source, that library for
//! each target, and a linker that has the other systems' stubs inside.
//!
//! The compiler comes from Debian's packages: rustup's would need its server for each target, and
//! has no source of the standard library. The linker is zig, which comes as a Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Target;
use super::link;

/// Where Debian's packages put the compiler, beside which rustup's is another one.
const COMPILER: &str = "/usr/bin";
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];
/// What must be there when they are installed.
const INSTALLED: [&str; 4] =
    ["bin/rustc", "bin/cargo", "bin/clippy-driver", "lib/rustlib/src/rust/library/std"];
/// The Python package that zig comes in.
const ZIG: &str = "ziglang==0.15.2";
/// The crates of the standard library that programs and tests need.
const STD: &str = "-Zbuild-std=std,panic_unwind,panic_abort,test";

/// The tools, and where they and what they make are.
pub(crate) struct Tools {
    root: PathBuf,
    place: PathBuf,
    compiler: String,
}

impl Tools {
    /// Has all that is needed to check for `targets`, and says what it does where that takes time.
    pub(crate) fn ready(root: &Path, targets: &[&str]) -> Result<Tools, String> {
        let root = root.canonicalize().map_err(|error| format!("the workspace: {error}"))?;
        install_compiler()?;
        let mut version = Command::new(program("rustc"));
        let version = version.arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
        let compiler = String::from_utf8_lossy(&version.stdout).into_owned();
        let tools = Tools { place: root.join("target/cross"), root, compiler };
        tools.build_std(targets)?;
        Ok(tools)
    }

    /// Debian's cargo, in the workspace.
    pub(super) fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(program("cargo"));
        cargo.arg(command).current_dir(&self.root);
        self.set_compiler(&mut cargo);
        cargo.env("CARGO_TARGET_DIR", self.place.join("build"));
        // Debug information takes room and time, and only a Mac has the program that strips.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_STRIP", "none");
        cargo
    }

    /// The same for one target: with its standard library, and with this program as its linker and
    /// its C compiler (criterion has some C).
    pub(super) fn cargo_for(&self, command: &str, target: &Target) -> Result<Command, String> {
        let own = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut cargo = self.cargo(command);
        cargo.args(["--target", target.triple]);
        let flags = [
            format!("--sysroot={}", self.sysroot().display()),
            format!("-Clinker={}", own.display()),
            "-Clinker-flavor=gcc".into(),
        ];
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo.env("SDKROOT", self.place.join("sdk"));
        cargo.env(format!("CC_{}", target.triple.replace('-', "_")), own);
        cargo.env(link::TARGET, target.zig).env(link::ZIG, self.zig());
        for cache in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            cargo.env(cache, self.place.join("zig-cache"));
        }
        Ok(cargo)
    }

    /// As [`cargo`](Tools::cargo), for one target with a linker of its own.
    pub(crate) fn cargo_plain(&self, command: &str, target: &str, linker: &str) -> Command {
        let mut cargo = self.cargo(command);
        cargo.args(["--target", target]);
        let flags =
            [format!("--sysroot={}", self.sysroot().display()), format!("-Clinker={linker}")];
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo
    }

    /// Where all lies that is made.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    fn set_compiler(&self, cargo: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        cargo.env("PATH", format!("{COMPILER}:{path}"));
        cargo.env("RUSTC", program("rustc")).env("RUSTDOC", program("rustdoc"));
        // Set by the cargo that runs this program, with rustup's libraries in it, or by a user with
        // this machine in mind.
        for variable in ["LD_LIBRARY_PATH", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            cargo.env_remove(variable);
        }
    }

    fn sysroot(&self) -> PathBuf {
        self.place.join("sysroot")
    }

    fn zig(&self) -> PathBuf {
        self.place.join("zig/ziglang/zig")
    }

    /// Has the linker, for systems that it has stubs of.
    pub(super) fn install_zig(&self) -> Result<(), String> {
        // In place of Apple's: zig has the stubs, and rustc would call xcrun(1) to find it.
        create(&self.place.join("sdk"))?;
        if self.zig().exists() {
            return Ok(());
        }
        let what = format!("installing {ZIG}");
        println!("{what}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action=ignore", "--upgrade", "--target"]);
        run(pip.arg(self.place.join("zig")).arg(ZIG), &what)
    }

    /// Builds the standard library for those targets whose library is not there, or is another
    /// compiler's. All in one go: the first of its crates keeps only one core busy.
    fn build_std(&self, targets: &[&str]) -> Result<(), String> {
        let is_missing = |target: &&&str| {
            fs::read_to_string(self.stamp(target)).ok().as_ref() != Some(&self.compiler)
        };
        let missing: Vec<_> = targets.iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let seed = self.place.join("std");
        create(&seed.join("src"))?;
        let manifest = "[workspace]\n[package]\nname = \"seed\"\nedition = \"2024\"\n";
        write(&seed.join("Cargo.toml"), manifest)?;
        write(&seed.join("src/lib.rs"), "")?;
        let mut cargo = self.cargo("build");
        cargo.args(["--quiet", STD]).current_dir(&seed);
        // What is built with -Z is nobody's but the compiler's own library.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", seed.join("target"));
        for target in &missing {
            println!("building the standard library for {target}");
            cargo.args(["--target", target]);
        }
        run(&mut cargo, "building the standard library")?;
        for target in missing {
            self.take_std(target, &seed.join("target").join(target).join("debug/deps"))?;
        }
        // Hundreds of megabytes that nothing asks for again.
        fs::remove_dir_all(&seed).map_err(|error| format!("{}: {error}", seed.display()))
    }

    /// Moves a library that was built to where the compiler looks for it.
    fn take_std(&self, target: &str, from: &Path) -> Result<(), String> {
        let stamp = self.stamp(target);
        let to = stamp.with_file_name("lib");
        // Another compiler's library, or half of one.
        let _ = fs::remove_file(&stamp);
        let _ = fs::remove_dir_all(&to);
        create(&to)?;
        let text = |error: std::io::Error| format!("{}: {error}", from.display());
        for entry in fs::read_dir(from).map_err(text)? {
            let entry = entry.map_err(text)?;
            if entry.path().extension().is_some_and(|kind| kind == "rlib") {
                fs::rename(entry.path(), to.join(entry.file_name())).map_err(text)?;
            }
        }
        write(&stamp, &self.compiler)
    }

    /// Written when a target's library is whole: the compiler that it is for.
    fn stamp(&self, target: &str) -> PathBuf {
        self.sysroot().join("lib/rustlib").join(target).join("compiler")
    }
}

/// A program of Debian's compiler.
fn program(name: &str) -> PathBuf {
    Path::new(COMPILER).join(name)
}

fn install_compiler() -> Result<(), String> {
    let prefix = Path::new(COMPILER).parent().unwrap_or(Path::new("/"));
    if INSTALLED.iter().all(|path| prefix.join(path).exists()) {
        return Ok(());
    }
    install(&PACKAGES)
}

/// Installs packages of Debian's.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let what = format!("installing {}", packages.join(" "));
    println!("{what}");
    let mut apt = Command::new("apt-get");
    run(apt.args(["update", "-q"]).stdout(Stdio::null()), &what)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-q", "-y", "--no-install-recommends"]).args(packages);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    run(&mut apt, &what)
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let status = command.status();
    let name = command.get_program().display();
    let status = status.map_err(|error| format!("{what}: {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {name}: {status}")) }
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
