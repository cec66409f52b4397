//! The changes that tests under Wine must notice (`cargo xtask windows --rules`). Not here is what Wine does
//! without: the contexts of accepted and connected sockets (P78), and `SIO_UDP_CONNRESET` (P82).

use super::table::{change, edit};
use super::{Edit, Mutation};

const IOCP: &str = "src/driver/iocp/mod.rs";
const PLACE: &str = "src/driver/iocp/place.rs";
const PORT: &str = "src/driver/iocp/port.rs";
const SYSTEM: &str = "src/net/windows.rs";
const INCOMING: &str = "src/op/incoming.rs";
const SUITE: &str = "conformance";
const DONE: &str = "Ok(()) => Ok((association == Association::SkipsDone).then_some(block)),";

pub(super) const WINDOWS: &[Mutation] = &[
    change(
        "P76: the packet of a call that is done at once is waited for in vain",
        &[edit(PLACE, DONE, "Ok(()) => Ok((association == Association::None).then_some(block)),")],
        SUITE,
        "windows::p76_a_call_that_is_done_at_once_completes_once",
    ),
    change(
        "P76: a call that is done at once completes a second time, by its packet",
        &[edit(PLACE, DONE, "Ok(()) => Ok((association != Association::None).then_some(block)),")],
        "lib",
        "driver::iocp::tests::p76_where_every_call_has_a_packet_it_is_waited_for",
    ),
    change(
        "P77: an abort that nobody asked for ends the operation",
        &[edit(
            IOCP,
            "STATUS_CANCELLED => -code::INTERRUPTED,",
            "STATUS_CANCELLED => -code::CANCELED,",
        )],
        "lib",
        "driver::iocp::tests::p77_a_call_that_somebody_else_takes_back_is_made_again",
    ),
    change(
        "P77: an ended connection is told in the words of the port",
        &[Edit {
            file: SYSTEM,
            after: "pub(crate) fn failure(",
            find: "Err(error) => error,",
            replace: "Err(_error) => io::Error::from_raw_os_error(64),",
        }],
        "lib",
        "driver::iocp::tests::p77_an_ended_connection_is_told_in_winsocks_words",
    ),
    change(
        "P77: what was received is taken back with its call",
        &[edit(IOCP, "STATUS_CANCELLED if call.cancelled =>", "_ if call.cancelled =>")],
        SUITE,
        "windows::p77_a_cancel_that_comes_too_late_finds_nothing",
    ),
    change(
        "P78: ConnectEx is given a socket that is not bound",
        &[edit(SYSTEM, "    socket.bind(&any.into())", "    let _bound_to = any;\n    Ok(())")],
        SUITE,
        "windows::p78_accepted_and_connected_streams_know_their_ends_and_can_be_shut_down",
    ),
    change(
        "P79: one accept at a time",
        &[edit(INCOMING, "const CROWD: usize = 8;", "const CROWD: usize = 1;")],
        "lib",
        "driver::iocp::tests::p79_as_many_accepts_as_before_are_with_the_system_when_one_is_taken",
    ),
    change(
        "P79: an accept that is taken is not made again",
        &[edit("src/op/mod.rs", "io.core.start_beside(slot, Self::start);", "let _slot = slot;")],
        "lib",
        "driver::iocp::tests::p79_as_many_accepts_as_before_are_with_the_system_when_one_is_taken",
    ),
    change(
        "P79: a flow of accepts ends with the first of its calls",
        &[edit(IOCP, "completion.flags |= MORE;", "completion.flags |= 0;")],
        SUITE,
        "windows::p79_p22_what_is_accepted_when_the_flow_is_cancelled_is_delivered_or_waits",
    ),
    change(
        "P79: the socket of an accept that ends is left open",
        &[edit(
            INCOMING,
            "// A socket that failed is not used again.",
            "std::mem::forget(socket);",
        )],
        "handles",
        "p22_p79_no_socket_is_left_of_what_was_cancelled_or_dropped",
    ),
    change(
        "P80: another port's socket is used all the same",
        &[edit(
            IOCP,
            "Err(_) if is_file(fd) => Association::Refused,",
            "Err(_) if !is_file(fd) => Association::AllPackets,",
        )],
        SUITE,
        "windows::p80_a_stream_that_was_used_is_refused_by_another_loop",
    ),
    change(
        "P81: waits are counted in ticks",
        &[edit(PORT, "Timer(own(timer).ok())", "Timer(own(timer).ok().filter(|_| false))")],
        "lib",
        "driver::iocp::port::tests::p81_a_wait_is_ended_by_the_fine_timer_and_not_by_the_tick",
    ),
    change(
        "a shutdown leaves a receive waiting",
        &[Edit {
            file: PLACE,
            after: "pub(crate) fn shutdown",
            find: "self.driver.end_receive(self.fd, self.handle);",
            replace: "",
        }],
        SUITE,
        "closing::shutdown_of_reading_ends_a_receive_that_waits",
    ),
    change(
        "a directory is sent as an empty file",
        &[edit(SYSTEM, "    if info.Directory {", "    if false {")],
        SUITE,
        "windows::a_directory_has_nothing_to_send",
    ),
];
