//! What tigereye is compared with: the fastest loops that can honestly be written by hand, the
//! load that drives them, and what the harness that prints the table needs.
//!
//! ```text
//!   harness ──starts──▶ server (core 0)  ◀──TCP──  load (core 1) ◀──starts── harness
//!              bare_uring  bare_epoll, peer_mio     client.rs, accepts.rs
//!              uring_server.rs  readiness/          histogram.rs
//!              uring_files.rs  uring_datagrams.rs  uring_accept.rs
//!                     └─ service.rs: echo, HTTP, a file over HTTP
//! ```

pub mod accepts;
pub mod args;
pub mod buffer;
pub mod client;
pub mod driver;
pub mod harness;
pub mod histogram;
pub mod load;
pub mod micro;
pub mod readiness;
pub mod server;
pub mod service;
pub mod storage;
pub mod sys;
pub mod trial;
pub mod tuning;
pub mod uring_accept;
pub mod uring_datagrams;
pub mod uring_files;
pub mod uring_server;
