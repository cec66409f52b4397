//! What runs where: kernels, drivers, and which test programs a pair of them is for.

use std::path::PathBuf;

/// A driver of the library, as `TIGEREYE_DRIVER` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Uring,
    Readiness,
}

/// The drivers that are tried unless the command line picks one.
pub(super) const DRIVERS: &[Driver] = &[Driver::Uring, Driver::Readiness];

impl Driver {
    pub(super) fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Readiness => "readiness",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Driver> {
        [Driver::Uring, Driver::Readiness].into_iter().find(|driver| driver.name() == name)
    }
}

/// What runs a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// QEMU, without help of the processor.
    Emulated,
    /// The kernel is a program, and its processes are the system's, which it traces.
    UserMode,
}

/// A kernel of Debian's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) version: &'static str,
    pub(super) machine: Machine,
    /// The release of Debian that has it.
    pub(super) release: &'static str,
    /// The package that has it, or depends on the newest that do: those for clouds are the smallest.
    pub(super) package: &'static str,
    /// Whether io_uring there has what the driver needs.
    pub(super) has_uring: bool,
    /// Whether a sysctl can forbid it.
    has_sysctl: bool,
}

pub(super) const KERNELS: &[Kernel] = &[
    // No EXT_ARG (5.11), so there the driver must be refused; and rings count as locked memory. Of
    // such kernels Debian has this one left, of 2021.
    Kernel {
        version: "5.10.46",
        machine: Machine::UserMode,
        release: "bullseye",
        package: "user-mode-linux",
        has_uring: false,
        has_sysctl: false,
    },
    // From 5.10.162 on, io_uring is that of 5.15: one connection, one buffer at a time.
    Kernel {
        version: "5.10",
        machine: Machine::Emulated,
        release: "bullseye",
        package: "linux-image-cloud-amd64",
        has_uring: true,
        has_sysctl: false,
    },
    // The first with deferred work, 49 operations.
    Kernel {
        version: "6.1",
        machine: Machine::Emulated,
        release: "bookworm",
        package: "linux-image-cloud-amd64",
        has_uring: true,
        has_sysctl: false,
    },
    Kernel {
        version: "6.12",
        machine: Machine::Emulated,
        release: "bookworm",
        package: "linux-image-6.12-cloud-amd64",
        has_uring: true,
        has_sysctl: true,
    },
];

/// Test programs that are not for booted kernels. All others that cargo builds are.
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    ("examples", "starts the examples, which are not among what is linked statically"),
    ("tee", "starts an example, which is not in the machine"),
    ("web_server", "starts browsers and other clients, which are not linked statically"),
    ("file_examples", "starts programs that are not taken along"),
    ("key_value", "starts an example, which is not put into the machine"),
    ("replicated_log", "starts an example, which is not in the machine"),
    ("chat", "starts an example, which is not in the machine"),
    ("tcp_proxy", "starts an example, which is not in the machine"),
    ("handles", "counts the handles of a process on Windows"),
    ("simulator", "asks the kernel for nothing"),
    ("simulator_runner", "asks the kernel for nothing new, and starts processes of its own"),
    ("simulator_machine", "asks the kernel for nothing"),
    ("simulator_disk", "asks the kernel for little, and takes minutes"),
    ("simulated_web_server", "asks the kernel for nothing"),
    ("simulator_sockets", "asks the kernel for nothing"),
];

/// Programs whose time is that of a hundred thousand messages between two threads: they run on one
/// processor, for between two emulated ones a message takes milliseconds.
const ON_ONE_PROCESSOR: [&str; 2] = ["allocations", "web_server_allocations"];

/// Programs that take minutes on an emulated processor, and count what a kernel has little to say
/// in: `--short` leaves them out.
const LONG: [&str; 4] = ["allocations", "web_server_allocations", "descriptors", "graveyard"];

/// Leaves out the long programs.
pub(super) fn short(programs: Vec<Program>) -> Vec<Program> {
    programs.into_iter().filter(|program| !LONG.contains(&&*program.name)).collect()
}

/// A test program of cargo's: a name in tests/, or `lib` for the library's own tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What `kernel.io_uring_disabled` is set to, and what then must pass.
const FORBIDDEN: (&str, &str) =
    ("kernel/io_uring_disabled=2", "--ignored --exact p07_the_sysctl_leaves_readiness");

/// A program to run in a booted kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) program: &'a Program,
    pub(super) driver: Driver,
    /// The driver that a free loop must take there; the tests read `TIGEREYE_TEST_EXPECTS`.
    pub(super) expects: Driver,
    /// The libtest arguments that choose its tests; none chooses all.
    pub(super) choice: &'static str,
    /// Which processors it may use, as a mask.
    pub(super) processors: u32,
    /// A sysctl that is set while it runs, as `path=value`.
    pub(super) sysctl: Option<&'static str>,
}

impl Run<'_> {
    /// What tells it from the others of its boot: one word.
    pub(super) fn label(&self) -> String {
        let name = &self.program.name;
        self.sysctl.map_or(name.clone(), |setting| format!("{name},{setting}"))
    }
}

/// What to run on `driver` in `kernel`.
pub(super) fn plan<'a>(kernel: &Kernel, driver: Driver, programs: &'a [Program]) -> Vec<Run<'a>> {
    let expects = if kernel.has_uring { Driver::Uring } else { Driver::Readiness };
    let plain = |program: &'a Program| {
        let processors = if ON_ONE_PROCESSOR.contains(&&*program.name) { 1 } else { 3 };
        Run { program, driver, expects, choice: "", processors, sysctl: None }
    };
    let chosen = |program| Some(Run { choice: choice(kernel, driver, program)?, ..plain(program) });
    let mut plan: Vec<Run> = programs.iter().filter_map(chosen).collect();
    // Last: it is the whole machine's.
    if driver == Driver::Readiness && kernel.has_sysctl {
        let (sysctl, choice) = FORBIDDEN;
        let of_fallback = programs.iter().filter(|program| program.name == "fallback");
        let sysctl = Some(sysctl);
        plan.extend(of_fallback.map(|program| Run { sysctl, choice, ..plain(program) }));
    }
    plan
}

/// How to choose the program's tests, or nothing if it is not for this pair.
fn choice(kernel: &Kernel, driver: Driver, program: &Program) -> Option<&'static str> {
    let program = &*program.name;
    if LEFT_OUT.iter().any(|(name, _reason)| *name == program) {
        return None;
    }
    match driver {
        Driver::Uring if !kernel.has_uring => {
            (program == "uring").then_some("--exact p07_a_kernel_that_is_too_old_is_an_error")
        }
        // The drivers' own tests name them.
        Driver::Uring if program == "lib" => Some("--skip driver::readiness"),
        Driver::Uring => (!program.starts_with("readiness")).then_some(""),
        Driver::Readiness if program == "lib" => Some("--skip driver::uring"),
        Driver::Readiness => (!program.starts_with("uring")).then_some(""),
    }
}

/// The tables, for people.
pub(super) fn list() -> String {
    let mut text = String::new();
    for kernel in KERNELS {
        let uring = if kernel.has_uring { "" } else { " (must be refused)" };
        text += &format!("{:<7} uring{uring}, readiness\n", kernel.version);
    }
    let names: Vec<&str> = DRIVERS.iter().map(|driver| driver.name()).collect();
    text += &format!("without --driver: {}\n", names.join(", "));
    for (program, reason) in LEFT_OUT {
        text += &format!("not {program}: it {reason}\n");
    }
    text += &format!("with --short not {}: they take minutes\n", LONG.join(", "));
    text
}

#[cfg(test)]
mod self_tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn programs() -> Vec<Program> {
        ["lib", "fallback", "uring", "readiness_edges", "web_server", "allocations"]
            .map(|name| Program { name: name.into(), path: name.into() })
            .into()
    }

    fn names(kernel: usize, driver: Driver) -> Vec<String> {
        let programs = programs();
        let plan = plan(&KERNELS[kernel], driver, &programs);
        plan.iter().map(|run| format!("{} {}", run.label(), run.choice)).collect()
    }

    #[test]
    fn what_has_no_tests_on_linux_is_left_out() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let mut of_windows = 0;
        for entry in fs::read_dir(tests).unwrap() {
            let path = entry.unwrap().path();
            let main = if path.is_dir() { path.join("main.rs") } else { path.clone() };
            let Ok(text) = fs::read_to_string(main) else { continue };
            if text.lines().any(|line| line == "#![cfg(windows)]") {
                let name = path.file_stem().unwrap();
                assert!(LEFT_OUT.iter().any(|(left_out, _reason)| name == *left_out), "{name:?}");
                of_windows += 1;
            }
        }
        assert_ne!(of_windows, 0, "this looks at no test");
    }

    #[test]
    fn each_pair_has_its_programs() {
        let refusal = "uring --exact p07_a_kernel_that_is_too_old_is_an_error";
        assert_eq!(names(0, Driver::Uring), [refusal]);
        let all = ["lib --skip driver::readiness", "fallback ", "uring ", "allocations "];
        assert_eq!(names(1, Driver::Uring), all);
        let all = ["lib --skip driver::uring", "fallback ", "readiness_edges ", "allocations "];
        assert_eq!(names(0, Driver::Readiness), all);
        assert_eq!(names(1, Driver::Readiness), all);
    }

    #[test]
    fn the_sysctl_is_set_last_where_there_is_one() {
        let last = "fallback,kernel/io_uring_disabled=2 --ignored --exact \
                    p07_the_sysctl_leaves_readiness";
        assert_eq!(names(3, Driver::Readiness)[4..], [last]);
        assert_eq!(names(3, Driver::Uring), names(1, Driver::Uring));
    }

    #[test]
    fn what_a_free_loop_takes_is_the_kernels() {
        let programs = programs();
        for (kernel, expects) in KERNELS.iter().zip([Driver::Readiness, Driver::Uring]) {
            for driver in [Driver::Uring, Driver::Readiness] {
                let plan = plan(kernel, driver, &programs);
                assert!(plan.iter().all(|run| (run.driver, run.expects) == (driver, expects)));
            }
        }
    }

    #[test]
    fn what_counts_messages_has_one_processor() {
        let programs = programs();
        let plan = plan(&KERNELS[1], Driver::Uring, &programs);
        let masks: Vec<u32> = plan.iter().map(|run| run.processors).collect();
        assert_eq!(masks, [3, 3, 3, 1]);
    }

    #[test]
    fn the_named_tests_are_there() {
        for (file, name) in [
            ("uring", "p07_a_kernel_that_is_too_old_is_an_error"),
            ("fallback", "p07_the_sysctl_leaves_readiness"),
        ] {
            let path = crate::root().join(format!("tests/{file}.rs"));
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("fn {name}()")), "{name}");
        }
    }
}
