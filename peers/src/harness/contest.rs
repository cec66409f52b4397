//! What is compared with what: the servers that take part, what their figures are shares of, and
//! how large the shares have to be.
//!
//! ```text
//!   --against all        tigereye on both          to the better of two loops by hand,
//!                                                  and to the best of the libraries
//!   --against uring      tigereye on io_uring      to the better of two loops by hand
//!   --against readiness  tigereye on readiness     to the best of mio, tokio and libuv,
//!                                                  and to the epoll loop by hand
//! ```

use super::cell::WAITS;
use super::fio;
use super::program::{Dialect, Family, Program, Row};

/// Something that others are measured by: in each cell, the best server of a family.
pub struct Yardstick {
    /// As a sentence has it.
    pub name: &'static str,
    /// As the head of a column has it.
    pub column: &'static str,
    /// Whose servers are meant.
    pub family: Family,
    /// Least share of its rate.
    pub rate_min: f64,
    /// Greatest share of its CPU time, if that is asked for.
    pub cpu_max: Option<f64>,
}

/// A comparison.
pub struct Contest {
    /// As `--against` has it.
    pub name: &'static str,
    /// The driver of tigereye that `DRIVER` stands for, unless `--driver` names another.
    pub driver: &'static str,
    /// The drivers whose small measurements take part, unless `--driver` names one.
    pub micro_drivers: &'static [&'static str],
    /// What tigereye is compared with.
    peers: &'static [Row<'static>],
    /// tigereye's ways.
    tigereye: &'static [Row<'static>],
    /// What is shown beside.
    others: &'static [Row<'static>],
    /// Programs of small measurements beside tigereye's.
    pub micros: &'static [&'static str],
    /// Who takes part in the measurements of files.
    pub storages: &'static [StorageRow],
    /// What figures are shares of.
    pub yardsticks: &'static [Yardstick],
    /// Servers that may use [`MEMORY_OVER_MAX`] bytes a connection more than others, by labels.
    pub memory: &'static [(&'static str, &'static str)],
}

/// Who takes part in the measurements of files: by what name, and the program with its own flags.
pub type StorageRow = (&'static str, &'static str);

/// Bytes an idle connection that the first of a pair of [`Contest::memory`] may use more.
pub const MEMORY_OVER_MAX: f64 = 64.0;

const ALL: &str = "echo,http,file,idle,udp,accept";

/// A server that understands what `server.rs` says.
const fn peer(
    label: &'static str,
    command: &'static str,
    family: Family,
    modes: &'static str,
) -> Row<'static> {
    (label, command, family, Dialect::Peer, modes)
}

const BARE_EPOLL: Row<'static> = peer("bare_epoll", "bare_epoll", Family::HandWritten, ALL);

const BARE_URING: &[Row<'static>] = &[
    peer("bare_uring", "bare_uring", Family::HandWritten, ALL),
    peer("bare_uring pieces", "bare_uring --chunk 65536", Family::HandWritten, "file"),
    peer("bare_uring splice", "bare_uring --body splice", Family::HandWritten, "file"),
];

const MIO: Row<'static> = peer("mio", "peer_mio", Family::Library, ALL);
const TOKIO: Row<'static> = peer("tokio", "peer_tokio --runtime current", Family::Library, ALL);
const TOKIO_MULTI: Row<'static> =
    peer("tokio multi", "peer_tokio --runtime multi --threads 1", Family::Library, ALL);
const LIBUV: Row<'static> = peer("libuv", "peer_libuv", Family::Library, ALL);

const EVERYBODY: &[Row<'static>] = &[
    BARE_URING[0],
    BARE_EPOLL,
    MIO,
    TOKIO,
    TOKIO_MULTI,
    peer("monoio", "peer_monoio", Family::Library, ALL),
    peer("compio", "peer_compio", Family::Library, ALL),
    peer("glommio", "peer_glommio", Family::Library, ALL),
    peer("tokio-uring", "peer_tokio_uring", Family::Library, ALL),
    LIBUV,
];

/// On each driver, by flows into provided buffers and by single receives.
const TIGEREYE_ON_BOTH: &[Row<'static>] = &[
    peer("tigereye uring", "tigereye --driver uring", Family::Tigereye, ALL),
    peer("tigereye uring own", "tigereye --driver uring --recv own", Family::Tigereye, OWN),
    peer("tigereye readiness", "tigereye --driver readiness", Family::Tigereye, ALL),
    peer("tigereye readiness own", "tigereye --driver readiness --recv own", Family::Tigereye, OWN),
];

/// Those that spin before they sleep, where that makes a difference. They are shown beside the others,
/// and no yardstick: they pay for latency with all of a core.
const SPINNING: [Row<'static>; 3] = [
    peer("tigereye uring spin", "tigereye --driver uring --spin 100", Family::Other, WAITS),
    peer("tigereye readiness spin", "tigereye --driver readiness --spin 100", Family::Other, WAITS),
    peer("glommio spin", "peer_glommio --spin 100", Family::Other, WAITS),
];

/// What is done by a strategy of its own, and not the same for all of them.
const OWN: &str = "echo,idle,udp";

const TIGEREYE: &[Row<'static>] = &[
    peer("tigereye", "tigereye --driver DRIVER", Family::Tigereye, ALL),
    peer("tigereye told", "tigereye --driver DRIVER --recv told", Family::Tigereye, "echo,idle"),
    peer("tigereye own", "tigereye --driver DRIVER --recv own", Family::Tigereye, OWN),
];

const STORAGE_BARE: StorageRow = ("io_uring", "storage_bare");
const STORAGE_FIO: StorageRow = ("fio", fio::PROGRAM);
const STORAGE_TOKIO: StorageRow = ("tokio", "storage_tokio");
/// In several runs, for its pool is made once a process: `storage::pool_threads` says why of these sizes.
const STORAGE_LIBUV: [StorageRow; 4] = [
    ("libuv", "peer_libuv_storage --only buffered --threads 1"),
    ("libuv", "peer_libuv_storage --only direct --depths 1 --threads 1"),
    ("libuv", "peer_libuv_storage --only direct --depths 32 --threads 32"),
    ("libuv", "peer_libuv_storage --only direct --depths 128 --threads 128"),
];

const STORAGE_TIGEREYE: &[StorageRow] = &[
    ("tigereye", "storage_tigereye --driver uring"),
    ("tigereye registered", "storage_tigereye --driver uring --register file"),
    ("tigereye registered buffers", "storage_tigereye --driver uring --register all"),
    ("tigereye on readiness", "storage_tigereye --driver readiness"),
];

/// mio is not among them: it has nothing for files.
const STORAGE_EVERYBODY: &[StorageRow] = &[
    STORAGE_BARE,
    STORAGE_FIO,
    STORAGE_TOKIO,
    ("monoio", "peer_monoio_storage"),
    ("compio", "peer_compio_storage"),
    ("glommio", "peer_glommio_storage"),
    ("tokio-uring", "peer_tokio_uring_storage"),
    STORAGE_LIBUV[0],
    STORAGE_LIBUV[1],
    STORAGE_LIBUV[2],
    STORAGE_LIBUV[3],
    STORAGE_TIGEREYE[0],
    STORAGE_TIGEREYE[1],
    STORAGE_TIGEREYE[2],
    STORAGE_TIGEREYE[3],
];

/// **The servers, and all comparisons. A new server is added here**, or for one run by
/// `--add "label=path flags;…"`: label, program and flags, whose, what it takes part in. `DRIVER`
/// stands for the driver that takes part, `PROFILE` for how the harness was built.
pub const CONTESTS: &[Contest] = &[
    Contest {
        name: "all",
        driver: "uring",
        micro_drivers: &["uring", "readiness"],
        peers: EVERYBODY,
        tigereye: TIGEREYE_ON_BOTH,
        others: &[
            SPINNING[0],
            SPINNING[1],
            SPINNING[2],
            ("nginx", "nginx", Family::Other, Dialect::Nginx, "http,file"),
        ],
        micros: &[
            "micro_bare",
            "micro_tokio",
            "peer_monoio_micro",
            "peer_compio_micro",
            "peer_glommio_micro",
            "peer_tokio_uring_micro",
            "peer_libuv_micro",
        ],
        storages: STORAGE_EVERYBODY,
        yardsticks: &[
            Yardstick {
                name: "the better hand-written loop",
                column: "/hand",
                family: Family::HandWritten,
                rate_min: 0.98,
                cpu_max: Some(1.02),
            },
            Yardstick {
                name: "the best library",
                column: "/best",
                family: Family::Library,
                rate_min: 1.0,
                cpu_max: Some(1.0),
            },
        ],
        memory: &[],
    },
    Contest {
        name: "uring",
        driver: "uring",
        micro_drivers: &["uring"],
        peers: &[BARE_URING[0], BARE_URING[1], BARE_URING[2], BARE_EPOLL],
        tigereye: TIGEREYE,
        others: &[(
            "web_server",
            "../target/PROFILE/examples/web_server",
            Family::Other,
            Dialect::WebServer,
            "http,file",
        )],
        micros: &["micro_bare"],
        storages: &[
            STORAGE_BARE,
            STORAGE_FIO,
            STORAGE_TIGEREYE[0],
            STORAGE_TIGEREYE[1],
            STORAGE_TIGEREYE[2],
        ],
        yardsticks: &[Yardstick {
            name: "the better hand-written loop",
            column: "ratio",
            family: Family::HandWritten,
            rate_min: 0.97,
            cpu_max: Some(1.05),
        }],
        memory: &[],
    },
    Contest {
        name: "readiness",
        driver: "readiness",
        micro_drivers: &["readiness"],
        peers: &[BARE_EPOLL, MIO, TOKIO, TOKIO_MULTI, LIBUV],
        tigereye: TIGEREYE,
        others: &[
            peer("on uring", "tigereye --driver uring", Family::Other, "idle"),
            peer("told on uring", "tigereye --driver uring --recv told", Family::Other, "idle"),
            peer("own on uring", "tigereye --driver uring --recv own", Family::Other, "idle"),
        ],
        micros: &["micro_bare"],
        storages: &[
            STORAGE_BARE,
            STORAGE_TOKIO,
            STORAGE_LIBUV[0],
            STORAGE_LIBUV[1],
            STORAGE_LIBUV[2],
            STORAGE_LIBUV[3],
            STORAGE_TIGEREYE[3],
        ],
        yardsticks: &[
            Yardstick {
                name: "the best of mio, tokio and libuv",
                column: "/best",
                family: Family::Library,
                rate_min: 1.0,
                cpu_max: None,
            },
            Yardstick {
                name: "the hand-written epoll loop",
                column: "/epoll",
                family: Family::HandWritten,
                rate_min: 0.98,
                cpu_max: None,
            },
        ],
        memory: &[
            ("tigereye", "on uring"),
            ("tigereye told", "told on uring"),
            ("tigereye own", "own on uring"),
        ],
    },
];

impl Contest {
    /// The comparison of this name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        let names = || CONTESTS.iter().map(|contest| contest.name).collect::<Vec<_>>().join(" or ");
        CONTESTS.iter().find(|contest| contest.name == name).ok_or_else(names)
    }

    /// Its servers with tigereye on `driver`, and those that `--add` brought: servers of every
    /// mode, tigereye's strategies if they are called so.
    #[must_use]
    pub fn servers(&self, driver: &str, added: &str) -> Vec<Program> {
        let rows = [self.peers, self.tigereye, self.others].concat();
        let mut list: Vec<_> = rows.iter().map(|row| Program::of(row, driver)).collect();
        for part in added.split(';').filter(|part| !part.trim().is_empty()) {
            let (label, command) = part.split_once('=').unwrap_or((part, part));
            let label = label.trim();
            let tigereye = label.starts_with("tigereye");
            let family = if tigereye { Family::Tigereye } else { Family::Other };
            let row = (label, command.trim(), family, Dialect::Peer, ALL);
            list.push(Program::of(&row, driver));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contests_are_whole() {
        for contest in CONTESTS {
            let servers = contest.servers(contest.driver, "x=y --z;tigereye x=tigereye");
            let family = |family| servers.iter().filter(move |server| server.family == family);
            for yardstick in contest.yardsticks {
                assert!(family(yardstick.family).count() > 0, "{}", yardstick.name);
            }
            assert_eq!(family(Family::Tigereye).count(), contest.tigereye.len() + 1);
            for label in contest.memory.iter().flat_map(|(a, b)| [a, b]) {
                let server = servers.iter().find(|server| server.label == *label);
                assert!(server.is_some_and(|server| server.serves("idle")), "{label}");
            }
            for (label, command) in contest.storages {
                let others = contest.storages.iter().filter(|(_, own)| own == command);
                assert_eq!(others.count(), 1, "{label} twice");
            }
            assert!(Contest::named(contest.name).is_ok_and(|found| found.name == contest.name));
        }
        assert_eq!(Contest::named("kqueue").err().as_deref(), Some("all or uring or readiness"));
    }
}
