//! What runs where: kernels, drivers, and which test programs a pair of them is for.

use std::path::PathBuf;

/// A driver of the library, as `TIGEREYE_DRIVER` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Uring,
    Readiness,
}

/// The drivers that are tried unless the command line picks one.
pub(super) const DRIVERS: &[Driver] = &[Driver::Uring];

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

/// A kernel of Debian's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) version: &'static str,
    /// The release of Debian that has it.
    pub(super) release: &'static str,
    /// The package that depends on the newest image: those for clouds are the smallest.
    pub(super) package: &'static str,
    /// Whether io_uring there has what the driver needs.
    pub(super) has_uring: bool,
}

pub(super) const KERNELS: &[Kernel] = &[
    // No EXT_ARG (5.11), so there the driver must be refused.
    Kernel {
        version: "5.10",
        release: "bullseye",
        package: "linux-image-cloud-amd64",
        has_uring: false,
    },
    // The first with deferred work, 49 operations.
    Kernel {
        version: "6.1",
        release: "bookworm",
        package: "linux-image-cloud-amd64",
        has_uring: true,
    },
    Kernel {
        version: "6.12",
        release: "bookworm",
        package: "linux-image-6.12-cloud-amd64",
        has_uring: true,
    },
];

/// Test programs that are not for booted kernels. All others that cargo builds are.
pub(super) const LEFT_OUT: &[(&str, &str)] =
    &[("web_server", "starts browsers and other clients, which are not linked statically")];

/// Programs whose time is that of a hundred thousand messages between two threads: they run on one
/// processor, for between two emulated ones a message takes milliseconds.
const ON_ONE_PROCESSOR: [&str; 2] = ["allocations", "web_server_allocations"];

/// A test program of cargo's: a name in tests/, or `lib` for the library's own tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// A program to run in a booted kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) program: &'a Program,
    /// The libtest arguments that choose its tests; none chooses all.
    pub(super) choice: &'static str,
    /// Which processors it may use, as a mask.
    pub(super) processors: u32,
}

/// What to run on `driver` in `kernel`.
pub(super) fn plan<'a>(kernel: &Kernel, driver: Driver, programs: &'a [Program]) -> Vec<Run<'a>> {
    programs
        .iter()
        .filter_map(|program| {
            let choice = choice(kernel, driver, &program.name)?;
            let processors = if ON_ONE_PROCESSOR.contains(&&*program.name) { 1 } else { 3 };
            Some(Run { program, choice, processors })
        })
        .collect()
}

/// How to choose the program's tests, or nothing if it is not for this pair.
fn choice(kernel: &Kernel, driver: Driver, program: &str) -> Option<&'static str> {
    if LEFT_OUT.iter().any(|(name, _reason)| *name == program) {
        return None;
    }
    match (driver, kernel.has_uring) {
        (Driver::Uring, true) => (!program.starts_with("readiness")).then_some(""),
        (Driver::Uring, false) => {
            (program == "uring").then_some("--exact p07_a_kernel_that_is_too_old_is_an_error")
        }
        (Driver::Readiness, _) if program.starts_with("uring") => None,
        (Driver::Readiness, true) => Some(""),
        // The driver's own tests make rings.
        (Driver::Readiness, false) if program == "lib" => Some("--skip driver::uring"),
        (Driver::Readiness, false) => Some(""),
    }
}

/// The tables, for people.
pub(super) fn list() -> String {
    let mut text = String::new();
    for kernel in KERNELS {
        let uring = if kernel.has_uring { "" } else { " (must be refused)" };
        text += &format!("{:<5} uring{uring}, readiness\n", kernel.version);
    }
    let names: Vec<&str> = DRIVERS.iter().map(|driver| driver.name()).collect();
    text += &format!("without --driver: {}\n", names.join(", "));
    for (program, reason) in LEFT_OUT {
        text += &format!("not {program}: it {reason}\n");
    }
    text
}

#[cfg(test)]
mod self_tests {
    use super::*;

    fn programs() -> Vec<Program> {
        ["lib", "conformance", "uring", "readiness_edges", "web_server", "allocations"]
            .map(|name| Program { name: name.into(), path: name.into() })
            .into()
    }

    fn names(kernel: usize, driver: Driver) -> Vec<String> {
        let programs = programs();
        let plan = plan(&KERNELS[kernel], driver, &programs);
        plan.iter().map(|run| format!("{} {}", run.program.name, run.choice)).collect()
    }

    #[test]
    fn each_pair_has_its_programs() {
        let refusal = "uring --exact p07_a_kernel_that_is_too_old_is_an_error";
        assert_eq!(names(0, Driver::Uring), [refusal]);
        assert_eq!(names(1, Driver::Uring), ["lib ", "conformance ", "uring ", "allocations "]);
        let all = ["lib ", "conformance ", "readiness_edges ", "allocations "];
        assert_eq!(names(2, Driver::Readiness), all);
        assert_eq!(names(0, Driver::Readiness)[0], "lib --skip driver::uring");
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
        let text = std::fs::read_to_string(crate::root().join("tests/uring.rs")).unwrap();
        assert!(text.contains("fn p07_a_kernel_that_is_too_old_is_an_error()"));
    }
}
