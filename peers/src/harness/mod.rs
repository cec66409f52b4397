//! The harness: starts programs on the two cores, measures them in turn, and prints the tables.

pub mod build;
pub mod cell;
pub mod contest;
pub mod draw;
pub mod file_page;
pub mod fio;
pub mod idle;
pub mod instructions;
pub mod latency;
pub mod libuv;
pub mod machine;
pub mod markdown;
pub mod micro;
pub mod nginx;
pub mod plan;
pub mod program;
pub mod report;
pub mod size;
pub mod stats;
pub mod storage;
pub mod syscalls;
pub mod table;
pub mod verdict;
pub mod wrk;
