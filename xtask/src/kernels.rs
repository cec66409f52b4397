//! Does it work on the kernels that people have? `cargo xtask kernels` boots Debian's in an emulator
//! and runs the tests in each, on each driver.
//!
//! ```text
//!   packages.rs: QEMU and busybox, a kernel ──┐
//!   build.rs: static test programs ───────────┤
//!   guest.rs, init: an initramfs of them ─────┴─▶ machine.rs: boots ─▶ console.rs: what was said
//! ```
//!
//! A boot passes when each planned program ended with status 0 after at least one test, when the
//! first process said that all have ended, and when the machine was switched off then.
//! All files are below target/kernels: VERSION/DRIVER.log is what a kernel and its tests said.

mod archive;
mod build;
mod console;
mod guest;
mod machine;
mod packages;
mod plan;

use std::path::Path;

use plan::{DRIVERS, Driver, KERNELS, Kernel, Machine, Program};

/// How often a machine is started whose first process says nothing: a kernel that patches its own
/// instructions while the other emulated processor runs them may panic, before any of the tests.
const TRIES: u32 = 3;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    kernels: Vec<&'static Kernel>,
    drivers: Vec<Driver>,
    /// Without the programs that take minutes.
    short: bool,
}

impl Chosen {
    fn parse(options: &[&str]) -> Result<Chosen, String> {
        let (mut kernels, mut drivers, mut short) = (Vec::new(), Vec::new(), false);
        let mut options = options.iter();
        while let Some(&option) = options.next() {
            if option == "--driver" {
                let name = options.next().ok_or("--driver wants a name")?;
                drivers.push(Driver::from_name(name).ok_or(format!("no driver is called {name}"))?);
            } else if option == "--short" {
                short = true;
            } else {
                let kernel = KERNELS.iter().find(|kernel| kernel.version == option);
                kernels.push(kernel.ok_or(format!("no kernel {option}: see --list"))?);
            }
        }
        if kernels.is_empty() {
            kernels.extend(KERNELS);
        }
        if drivers.is_empty() {
            drivers.extend(DRIVERS);
        }
        Ok(Chosen { kernels, drivers, short })
    }
}

/// The command with its options.
pub(crate) fn command(root: &Path, options: &[&str]) -> Result<(), String> {
    if options == ["--list"] {
        print!("{}", plan::list());
        return Ok(());
    }
    let chosen = Chosen::parse(options)?;
    let root = root.canonicalize().map_err(|error| format!("the workspace: {error}"))?;
    let place = root.join("target/kernels");
    let tools = packages::tools()?;
    let mut programs = build::programs(&root, &place)?;
    if chosen.short {
        programs = plan::short(programs);
    }
    let (mut passed, mut failed, mut faults) = (0, 0, Vec::new());
    for kernel in chosen.kernels {
        let image = packages::image(&place, kernel)?;
        for &driver in &chosen.drivers {
            let plan = plan::plan(kernel, driver, &programs);
            let archive = guest::archive(&tools.busybox, &image.modules, &plan)?;
            let name = format!("{} {}", kernel.version, driver.name());
            let log = place.join(kernel.version).join(format!("{}.log", driver.name()));
            let command = |initramfs: &Path| match kernel.machine {
                Machine::Emulated => machine::emulated(&tools.qemu, &image.kernel, initramfs),
                Machine::UserMode => machine::user_mode(&image.kernel, initramfs),
            };
            let mut boot = machine::boot(command, &archive, &log)?;
            for _ in 1..TRIES {
                if !console::read(&boot.console).system.is_empty() {
                    break;
                }
                println!("{name}: the kernel did not come up; once more");
                boot = machine::boot(command, &archive, &log)?;
            }
            let report = console::read(&boot.console);
            println!("{name}: {}, {:.0?}", report.system, boot.time);
            for ended in &report.ended {
                println!("  {ended}");
                passed += ended.passed;
                failed += ended.failed;
            }
            for complaint in &report.complaints {
                println!("  the kernel complained: {complaint}");
            }
            let mut bad = report.faults(&plan);
            bad.extend(boot.fault);
            if !bad.is_empty() {
                println!("{}", report.failures());
                let log = log.display();
                faults.extend(bad.iter().map(|fault| format!("{name}: {fault} (see {log})")));
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn options_choose() {
        let all = Chosen::parse(&[]).unwrap();
        assert_eq!((all.kernels.len(), &*all.drivers), (KERNELS.len(), DRIVERS));
        let one = Chosen::parse(&["6.1", "--driver", "readiness"]).unwrap();
        assert_eq!((one.kernels[0].version, &*one.drivers), ("6.1", &[Driver::Readiness][..]));
        for wrong in [&["2.4"][..], &["--driver"], &["--driver", "pigeon"], &["--drivers"]] {
            assert!(Chosen::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
