//! What tigereye is compared with: the fastest loops that can honestly be written by hand, the
//! load that drives them, and what the harness that prints the table needs.
//!
//! ```text
//!   harness ──starts──▶ server (core 0)  ◀──TCP──  load (core 1) ◀──starts── harness
//!              bare_uring, bare_epoll, …            client.rs
//!              uring_server.rs  epoll_server.rs     histogram.rs
//!                     └─ service.rs: echo, HTTP
//! ```

pub mod args;
pub mod client;
pub mod driver;
pub mod epoll_server;
pub mod harness;
pub mod histogram;
pub mod load;
pub mod micro;
pub mod server;
pub mod service;
pub mod sys;
pub mod tuning;
pub mod uring_server;
