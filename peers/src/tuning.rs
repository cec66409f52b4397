//! The choices that the io_uring server leaves open, so that they can be measured.
//!
//! The defaults are what measured best by message size, in most cells and badly in none, on two
//! cores of an AMD Zen 3 and Linux 6.18 (median of rounds, all variants interleaved):
//!
//! - Under 4 KiB: multishot receives into 64 slots of 4 KiB, inline sends, direct descriptors.
//!   No other strategy is better by more than the spread; send(2) costs up to a third more CPU
//!   time at 512 connections.
//! - From 4 KiB on: one-shot receives, armed after the send, into 8 slots of 256 KiB that the
//!   kernel picks from, each with room for all that a connection has under way. Multishot
//!   receives have 0.7 to 0.95 of that rate with 16 messages of 16 KiB under way on each
//!   connection, slots of 64 KiB 0.75, slots of one message's size half.

use crate::args::{Args, fail};
use crate::server::{Hints, LARGE};

/// How bytes come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// Multishot, into slots of the provided ring.
    Multi,
    /// One-shot, into a slot of the provided ring picked when there are bytes.
    Select,
    /// One-shot, into a slot chosen when the receive is armed.
    Own,
}

/// How bytes go out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// As an entry that completes while it is submitted and posts nothing when it worked.
    Inline,
    /// As an entry with a completion.
    Complete,
    /// By send(2), a system call per send.
    Direct,
}

/// All of them.
#[derive(Clone, Copy)]
pub struct Tuning {
    /// How bytes come in.
    pub receive: Receive,
    /// How bytes go out.
    pub sending: Sending,
    /// Receives wait for readiness before the first attempt.
    pub poll_first: bool,
    /// One-shot receives are armed together with the send, not after it.
    pub eager: bool,
    /// Sockets are direct descriptors.
    pub direct: bool,
    /// Bytes in a slot: the most that one receive takes.
    pub slot_size: u32,
    /// Slots in all.
    pub slots: u32,
    /// Slots kept in the provided ring.
    pub held: u32,
    /// Entries in the submission queue.
    pub entries: u32,
}

impl Tuning {
    /// Reads the flags; the hints say what is expected.
    #[must_use]
    pub fn from_args(args: &mut Args, hints: Hints) -> Self {
        let small = hints.size < LARGE;
        let receive = if small { "multi" } else { "select" };
        let receive = match args.get("recv", receive.to_owned()).as_str() {
            "multi" => Receive::Multi,
            "select" => Receive::Select,
            "own" => Receive::Own,
            other => fail(&format!("--recv {other}: multi, select or own")),
        };
        let sending = match args.get("send", "inline".to_owned()).as_str() {
            "inline" => Sending::Inline,
            "complete" => Sending::Complete,
            "direct" => Sending::Direct,
            other => fail(&format!("--send {other}: inline, complete or direct")),
        };
        let direct = args.get("direct-files", u8::from(sending != Sending::Direct)) != 0;
        if direct && sending == Sending::Direct {
            fail("send(2) needs real descriptors: --direct-files 0");
        }
        Self {
            receive,
            sending,
            direct,
            poll_first: args.get("poll-first", 1_u8) != 0,
            eager: args.get("eager", u8::from(small)) != 0,
            slot_size: args.get("slot-size", if small { 4096 } else { 256 * 1024 }),
            slots: args.get("slots", if small { 16384 } else { 4096 }),
            held: args.get("held", if small { 64 } else { 8 }),
            entries: args.get("entries", 1024),
        }
    }
}
