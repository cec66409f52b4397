//! The changes. Texts are short, so that they survive what does not concern them.

use super::{Edit, Mutation};

/// One edit that needs no context.
pub(super) const fn edit(file: &'static str, find: &'static str, replace: &'static str) -> Edit {
    Edit { file, after: "", find, replace }
}

/// A change seen by a test in the ordinary way of running.
pub(super) const fn change(
    name: &'static str,
    edits: &'static [Edit],
    program: &'static str,
    test: &'static str,
) -> Mutation {
    Mutation { name, edits, program, test, environment: &[] }
}

/// A change seen by a test on the readiness driver.
const fn readiness(
    name: &'static str,
    edits: &'static [Edit],
    program: &'static str,
    test: &'static str,
) -> Mutation {
    Mutation { name, edits, program, test, environment: &[("TIGEREYE_DRIVER", "readiness")] }
}

const CORE: &str = "src/core.rs";
const STATE: &str = "src/state.rs";
const IO: &str = "src/io.rs";
const WAIT: &str = "src/wait.rs";
const DUE: &str = "src/due.rs";
const END: &str = "src/end.rs";
const URING: &str = "src/driver/uring/mod.rs";
const READINESS: &str = "src/driver/readiness/mod.rs";
const PLACE: &str = "src/driver/readiness/place.rs";
const MAKING: &str = "src/fs/making.rs";
const SUITE: &str = "conformance";

pub(super) const MUTATIONS: &[Mutation] = &[
    change(
        "rule 1: callbacks run inside the submitting call",
        &[edit(
            "src/start.rs",
            "self.core.state.borrow_mut().insert(record, vtable, start, O::DIRECTION, target)",
            "let op = self.core.state.borrow_mut()
                .insert(record, vtable, start, O::DIRECTION, target);
            let _turned = self.poll();
            op",
        )],
        SUITE,
        "rules::rule1_one_callback_and_never_inside_the_submitting_call",
    ),
    change(
        "rule 1: an operation cancelled half way has no callback",
        &[Edit {
            file: CORE,
            after: "fn start_again",
            find: "return Some(-code::CANCELED);",
            replace: "return None;",
        }],
        SUITE,
        "races::p21_a_cancelled_exact_receive_shows_what_came",
    ),
    change(
        "rule 1, P14: the first of two completions ends the operation",
        &[Edit {
            file: CORE,
            after: "fn one_of_two",
            find: "        None",
            replace: "        Some(completion.result)",
        }],
        SUITE,
        "stream::p14_a_buffer_changed_in_the_callback_is_not_sent_changed",
    ),
    change(
        "rule 2, P11: names have no generation",
        &[edit("src/slot.rs", "(self.header_of(slot).generation == generation)", "true")],
        SUITE,
        "rules::rule2_a_slot_used_again_and_again_keeps_its_tenants_apart",
    ),
    change(
        "rule 2: handles have no generation",
        &[edit("src/handle.rs", "(handle.generation == id.generation)", "true")],
        SUITE,
        "rules::rule2_a_closed_handles_name_does_not_reach_its_successor",
    ),
    change(
        "rule 3: a cancel is an end, without waiting for the completion",
        &[Edit {
            file: STATE,
            after: "fn ask_to_end",
            find: "State::Driver => {",
            replace: "State::Driver => {
                self.finish_in_user_space(index, -libc::ECANCELED);",
        }],
        SUITE,
        "races::p21_p10_a_cancel_racing_received_bytes_loses_none",
    ),
    change(
        "rule 3, P21: a cancelled operation's result is lost",
        &[edit(STATE, "_ if !interrupted => result", "0 => result")],
        SUITE,
        "races::p21_p10_a_cancel_racing_received_bytes_loses_none",
    ),
    change(
        "rule 3: a cancel that finds the queue full is dropped",
        &[Edit {
            file: URING,
            after: "AsyncCancel::new",
            find: "self.push(",
            replace: "self.try_push(&",
        }],
        SUITE,
        "rules::rule3_cancels_have_room_of_their_own",
    ),
    change(
        "rule 4: close does not wait for what is pending",
        &[edit(STATE, "if handle.pending == 0 {", "if handle.pending < u32::MAX {")],
        SUITE,
        "tcp::rule4_close_cancels_what_is_pending_and_then_calls_back",
    ),
    change(
        "rule 4: close does not cancel what is pending",
        &[edit(STATE, "self.cancel_pending(id.index)", "None")],
        SUITE,
        "tcp::rule4_close_cancels_what_is_pending_and_then_calls_back",
    ),
    change(
        "rule 4: a dropped handle is not closed",
        &[edit("src/handle.rs", "self.core.close_dropped(self.id);", "")],
        SUITE,
        "tcp::rule4_dropping_a_stream_closes_it",
    ),
    change(
        "rule 4: a close waits for the buffer of a zero-copy send",
        &[edit(STATE, "return self.detach(slot, false);", "let _kept = slot;")],
        "drivers",
        "sending",
    ),
    change(
        "an urgent byte makes a stream readable",
        &[edit("src/op/poll.rs", "self.is_woken_in_vain(fd)", "false")],
        "drivers",
        "readiness_of_descriptors",
    ),
    change(
        "rule 5, P36: two sends are with the driver at once",
        &[edit(STATE, "return self.wait_behind(tail, index);", "")],
        SUITE,
        "stream::p36_rule5_two_sends_do_not_interleave",
    ),
    change(
        "rule 6: the capacity is not kept",
        &[edit(STATE, "let full = ", "let full = false && ")],
        SUITE,
        "life::rule6_one_too_many_is_refused_and_gives_everything_back",
    ),
    change(
        "rule 7: the loop's end does not wait for the driver",
        &[Edit {
            file: END,
            after: "fn drain",
            find: "if in_driver == 0 {",
            replace: "if in_driver < u32::MAX {
                return true;",
        }],
        "graveyard",
        "p01_rule7_nothing_is_written_after_the_end_of_a_loop_whose_peers_write",
    ),
    Mutation {
        name: "rule 7, P01: the loop's end drops what the driver still writes to",
        edits: &[
            Edit {
                file: END,
                after: "fn drain",
                find: "if in_driver == 0 {",
                replace: "if in_driver < u32::MAX {
                return true;",
            },
            edit(END, "State::Free | State::Driver | ", "State::Free | "),
        ],
        program: "graveyard",
        test: "p01_rule7_nothing_is_written_after_the_end_of_a_loop_whose_peers_write",
        // With deferred work the kernel drops late receives; in the older way it makes them.
        environment: &[("TIGEREYE_URING_WITHOUT", "defer_taskrun,coop_taskrun")],
    },
    change(
        "rule 8: posts have no bound",
        &[Edit {
            file: IO,
            after: "fn run_messages",
            find: "count < self.callbacks_per_turn",
            replace: "count < usize::MAX",
        }],
        SUITE,
        "pressure::rule8_a_turn_runs_no_more_callbacks_than_it_may",
    ),
    change(
        "rule 8, P63: timers have no bound",
        &[Edit {
            file: IO,
            after: "fn fire_timers",
            find: "count < self.callbacks_per_turn",
            replace: "count < usize::MAX",
        }],
        SUITE,
        "pressure::rule8_a_turn_runs_no_more_callbacks_than_it_may",
    ),
    change(
        "rule 8: completions have no bound",
        &[Edit {
            file: IO,
            after: "fn run_ready",
            find: "count < self.callbacks_per_turn",
            replace: "count < usize::MAX",
        }],
        SUITE,
        "pressure::rule8_a_turn_runs_no_more_callbacks_than_it_may",
    ),
    change(
        "rule 8: what is left over comes after the sends that are done",
        &[edit(WAIT, "if left_over {", "if false {")],
        SUITE,
        "pressure::rule8_a_busy_sender_does_not_starve_a_receive",
    ),
    change(
        "P02: a poll does not ask for completions",
        &[edit("src/driver/uring/enter.rs", "ENTER_GETEVENTS | ENTER_EXT_ARG", "ENTER_EXT_ARG")],
        SUITE,
        "life::p02_poll_alone_sees_what_comes_from_outside",
    ),
    change(
        "P03: an overflowed queue goes unseen",
        &[edit(URING, "&& !queue.cq_overflow()", "")],
        SUITE,
        "pressure::p03_an_overflowed_queue_is_seen_by_poll_alone",
    ),
    change(
        "P05: a signal ends the loop",
        &[edit(URING, "libc::ETIME | libc::EINTR", "libc::ETIME")],
        "signals",
        "p05_a_storm_of_signals_ends_no_wait_and_loses_nothing",
    ),
    change(
        "P06: a far deadline goes to the kernel as it is",
        &[Edit {
            file: URING,
            after: "fn enter",
            find: "timeout.as_secs() < 1 << 32",
            replace: "timeout.as_secs() <= u64::MAX",
        }],
        SUITE,
        "pressure::p06_far_deadlines_neither_return_at_once_nor_spin",
    ),
    change(
        "P07: a ring is not tried out",
        &[edit(URING, "uring.round_trip()?;", "")],
        "fallback",
        "p07_a_filter_that_forbids_part_of_io_uring_leaves_readiness",
    ),
    change(
        "P10: a cancel that found nothing is not asked again",
        &[Edit {
            file: DUE,
            after: "fn set_aside",
            find: "self.missed.push(completion.op());",
            replace: "",
        }],
        SUITE,
        "races::p10_a_cancel_of_a_send_on_its_way_is_not_lost",
    ),
    change(
        "P12: an empty pool is asked again and again",
        &[edit(
            "src/buf/pool/turns.rs",
            "one_more = self.promised < self.provided;",
            "one_more = true;",
        )],
        SUITE,
        "multishot::p12_an_empty_pool_makes_no_busy_loop",
    ),
    change(
        "P17: accepted descriptors are inherited",
        &[edit("src/op/accept.rs", "libc::SOCK_CLOEXEC", "0")],
        "descriptors",
        "p17_p38_no_descriptor_is_for_other_programs",
    ),
    change(
        "P22: an accepted connection that nobody took stays open",
        &[edit(
            "src/op/accept.rs",
            "drop(held(completion.result))",
            "std::mem::forget(held(completion.result))",
        )],
        SUITE,
        "ends::p22_rule7_an_accepted_connection_that_nobody_took_is_closed",
    ),
    change(
        "P22: passed descriptors that nobody took stay open",
        &[edit("src/op/descriptors.rs", "unpack(drop)", "unpack(std::mem::forget)")],
        SUITE,
        "passing::p22_rule7_descriptors_that_nobody_took_are_closed",
    ),
    change(
        "P45: a NUL in a path",
        &[edit("src/net/unix_address.rs", "|| bytes.contains(&0)", "")],
        SUITE,
        "unix::p45_a_path_that_no_address_can_be_is_refused",
    ),
    change(
        "P45: the file of a socket in use is replaced",
        &[edit(
            "src/net/system.rs",
            "asked == Err(io::ErrorKind::ConnectionRefused)",
            "asked != Ok(())",
        )],
        SUITE,
        "unix::p45_a_file_that_is_in_use_is_never_replaced",
    ),
    change(
        "P17: passed descriptors are inherited",
        &[edit("src/net/system.rs", "i32 = libc::MSG_CMSG_CLOEXEC", "i32 = 0")],
        "descriptors",
        "p17_p38_no_descriptor_of_unix_sockets_is_for_other_programs",
    ),
    change(
        "P24: a panic ends the end of the loop",
        &[edit(
            END,
            "catch_unwind(AssertUnwindSafe(run))",
            "Ok::<(), Box<dyn std::any::Any + Send>>(run())",
        )],
        SUITE,
        "life::p24_a_panic_in_a_contexts_drop_leaves_nothing_behind",
    ),
    change(
        "P34: a receive without room asks the kernel",
        &[edit("src/op/recv.rs", "if len == 0", "if false")],
        SUITE,
        "stream::p34_recv_into_a_full_buffer_is_refused",
    ),
    change(
        // In the driver the flag changes nothing: io_uring adds it to every send by itself.
        "P35: send_now raises SIGPIPE",
        &[edit("src/net/system.rs", "SEND_FLAGS | libc::MSG_DONTWAIT", "libc::MSG_DONTWAIT")],
        "signals",
        "p35_no_send_raises_a_signal",
    ),
    change(
        "P47: a wait for room that is over at once is begun again at once",
        &[edit(
            "src/op/two_ends.rs",
            "replace(&mut self.in_vain, true)",
            "replace(&mut self.in_vain, false)",
        )],
        SUITE,
        "send_file::p47_a_peer_that_sends_no_more_and_reads_nothing_is_waited_for_at_rest",
    ),
    readiness(
        "P21: a splice that waits for its source is not cancelled",
        &[edit(STATE, "[header.handle, header.job]", "[header.handle; 2]")],
        SUITE,
        "splice::p47_who_does_not_read_and_who_does_not_write_are_waited_for",
    ),
    change(
        "P59: a splice waits for a socket as long as that wants",
        &[edit("src/net/system/splice.rs", "set(Some(TIMEOUT))?;", "let _ = TIMEOUT;")],
        "lib",
        "net::system::splice::tests::p59_a_call_waits_neither_for_a_silent_socket_nor_for_room_in_one",
    ),
    change(
        "a splice ends before urgent data",
        &[edit("src/net/system/splice.rs", "is_ok_and(|count| count > 0)", "is_err()")],
        SUITE,
        "splice::urgent_data_in_the_way_is_not_the_end",
    ),
    change(
        "P35: a signal that a write raised is not taken away",
        &[edit("src/net/sigpipe.rs", "if may_have_raised(&result) && !pended", "if false")],
        "lib",
        "net::sigpipe::tests::p35_a_signal_that_pended_before_still_does",
    ),
    change(
        "P35: a signal that the second part of a send raised is not taken away",
        &[edit("src/net/sigpipe.rs", "around(call, |_result| true)", "without(call)")],
        "lib",
        "net::sigpipe::tests::p35_a_signal_that_pended_before_still_does",
    ),
    change(
        "a wake tells of one signal alone",
        &[Edit {
            file: "src/op/signal_each.rs",
            after: "fn uring",
            find: "self.listener.has_heard()",
            replace: "false",
        }],
        SUITE,
        "signals::signals_that_come_together_are_told_once_each_in_order",
    ),
    change(
        "P37: accepting ends when no descriptor is left",
        &[edit("src/op/accept.rs", "if is_exhausted(result)", "if false")],
        "exhaustion",
        "p37_accepting_goes_on_when_descriptors_are_free_again",
    ),
    change(
        "P60: a timer counts from the turn's cached time",
        &[edit("src/clock.rs", "self.read().saturating_add", "self.now_ns.get().saturating_add")],
        SUITE,
        "timers::p60_a_timer_is_never_early",
    ),
    change(
        "P64: ticks drift",
        &[edit(
            "src/op/user_space.rs",
            "self.deadline_ns = self.deadline_ns.saturating_add",
            "self.deadline_ns = io.core.clock.now_ns().saturating_add",
        )],
        SUITE,
        "timers::p64_ticks_do_not_drift",
    ),
    change(
        "P65: a loop that sleeps does not say so",
        &[edit(WAIT, "self.mailbox.prepare_wait()", "true")],
        SUITE,
        "remote::p65_no_wake_is_lost_between_nothing_to_do_and_wait",
    ),
    change(
        "P65: a wake-up outlives the look that it ended",
        &[Edit {
            file: WAIT,
            after: "As after a sleep",
            find: "self.mailbox.finish_wait();",
            replace: "",
        }],
        SUITE,
        "spin::p65_a_wake_is_used_up_by_the_look_that_it_ended",
    ),
    change(
        "a look in vain teaches nothing",
        &[edit("src/spin.rs", "self.window_ns /= 2;", "")],
        SUITE,
        "spin::looks_in_vain_are_no_more_than_finds_pay_for",
    ),
    change(
        "P66: a closed mailbox takes messages",
        &[edit("src/mailbox.rs", "if state & CLOSED != 0 {", "if false {")],
        SUITE,
        "remote::p66_a_post_to_a_loop_that_is_gone_gives_the_closure_back",
    ),
    change(
        "P67: a stop before the run is forgotten",
        &[edit(IO, " | self.stopping.replace(false)", "")],
        SUITE,
        "life::p67_stop_before_run_counts_once",
    ),
    change(
        "P68: the descriptor stays readable",
        &[edit(URING, "announcer.drain();", "")],
        "embedding",
        "p68_the_descriptor_is_readable_for_nothing_but_work",
    ),
    readiness(
        "P70: a short call waits although the end was announced",
        &[edit(PLACE, "way.short_calls_end && !way.ended", "way.short_calls_end")],
        SUITE,
        "edges::p70_a_hang_up_with_data_left_still_has_the_data",
    ),
    readiness(
        "P70: a short receive always leaves nothing",
        &[edit(READINESS, "if event.urgent {", "if false {")],
        SUITE,
        "edges::p70_what_follows_urgent_data_is_received",
    ),
    readiness(
        "P70: a short receive leaves nothing, whatever the data's boundaries",
        &[edit(READINESS, "Way::idle(false), Way::idle(true)", "Way::idle(true), Way::idle(true)")],
        SUITE,
        "passing::p70_bytes_behind_descriptors_are_received_without_another_event",
    ),
    readiness(
        "P70: an event leaves the direction blocked",
        &[edit(READINESS, "way.blocked = false;", "")],
        SUITE,
        "stream::recv_a_mebibyte",
    ),
    readiness(
        "P70: a receive is tried again after a short one",
        &[edit(PLACE, "way.blocked = way.short_calls_end", "way.blocked = false")],
        "readiness",
        "p70_a_message_is_a_wait_a_receive_and_a_send",
    ),
    readiness(
        "rule 8: what is sent at once by what was sent at once goes first too",
        &[edit("src/due.rs", "may_go_first = flags & WENT_FIRST == 0;", "may_go_first = true;")],
        SUITE,
        "pressure::rule8_a_busy_sender_does_not_starve_a_receive",
    ),
    readiness(
        "what is sent at once keeps its buffer while others are received from",
        &[edit("src/due.rs", "may_go_first = flags & WENT_FIRST == 0;", "may_go_first = false;")],
        "readiness",
        "what_is_sent_at_once_completes_before_the_next_stream_is_received_from",
    ),
    readiness(
        "P74: an end without readiness is no news",
        &[edit(READINESS, "if !news.ready && !news.ended &&", "if !news.ready &&")],
        "lib",
        "driver::readiness::tests::p74_an_end_without_readiness_wakes",
    ),
    readiness(
        "P71, P74: a handle's past stays when its number is used again",
        &[Edit {
            file: READINESS,
            after: "fn forget",
            find: "std::mem::replace(watch, Watch::NEW).registered",
            replace: "watch.registered",
        }],
        SUITE,
        "edges::p74_a_descriptors_number_used_again_has_no_past",
    ),
    readiness(
        "P73: a cancelled waiter takes those behind it along",
        &[edit(READINESS, "NONE => self.second = next,", "NONE => self.second = NONE,")],
        "lib",
        "driver::readiness::tests::p73_a_cancelled_waiter_leaves_the_others_in_order",
    ),
    readiness(
        "rule 3: a cancelled waiter still waits",
        &[Edit {
            file: READINESS,
            after: "fn cancel",
            find: "any(|way| way.remove(op, &mut self.waiters))",
            replace: "any(|way| way.remove(op, &mut self.waiters) && false)",
        }],
        SUITE,
        "stream::cancel_of_a_receive_gives_everything_back",
    ),
    readiness(
        "rule 3: who is woken for nothing waits again although it was cancelled",
        &[Edit {
            file: STATE,
            after: "fn holds_up",
            find: "if flags & ASKED_TO_END != 0 &&",
            replace: "if flags & ASKED_TO_END > u8::MAX - 1 &&",
        }],
        SUITE,
        "edges::p71_who_is_woken_for_nothing_and_cancelled_ends",
    ),
    readiness(
        "P31: a close that was interrupted is done again",
        &[Edit {
            file: STATE,
            after: "fn holds_up",
            find: "if flags & FINAL != 0 {",
            replace: "if flags & FINAL > u8::MAX - 1 {",
        }],
        "readiness",
        "p31_a_close_that_is_interrupted_is_not_done_again",
    ),
    readiness(
        "what is queued behind a detached send that fails fills its gap",
        &[edit("src/op/mod.rs", "io.core.shut_down(handle);", "let _ = handle;")],
        SUITE,
        "detached::a_detached_send_that_fails_lets_nothing_follow_where_there_is_room",
    ),
    readiness(
        "P39: a connect counts as made when it is writable",
        &[edit("src/op/connect.rs", "Some(error) => Err(error),", "Some(_) => Ok(0),")],
        SUITE,
        "tcp::connect_refused",
    ),
    readiness(
        "P05: an interrupted wait is an error",
        &[edit(
            READINESS,
            "io::ErrorKind::Interrupted => Ok(())",
            "io::ErrorKind::Other => Ok(())",
        )],
        "signals",
        "p05_a_storm_of_signals_ends_no_wait_and_loses_nothing",
    ),
    readiness(
        "P72: what cannot be watched is not asked for its readiness",
        &[edit("src/op/poll.rs", "match place.poll(self.events()) {", "match 0 {")],
        SUITE,
        "edges::p72_regular_files_and_devices_are_ready_at_once",
    ),
    readiness(
        "P70, P44: a short datagram counts as the last one",
        &[edit(READINESS, "[Way::idle(false), Way::idle(true)]", "[Way::idle(true); 2]")],
        SUITE,
        "udp::p70_datagrams_that_wait_are_received_without_another_event",
    ),
    change(
        "P44: an error of an earlier datagram ends a server's flow",
        &[edit("src/op/recv_from_each.rs", "&& !io.core.has_peer(op)", "&& io.core.has_peer(op)")],
        SUITE,
        "udp::p44_an_error_of_an_earlier_datagram_does_not_end_a_servers_flow",
    ),
    readiness(
        "P44: an empty datagram ends a flow",
        &[edit("src/op/supply.rs", "if result == 0 {", "if result == 1 {")],
        SUITE,
        "udp::p44_a_flow_has_empty_datagrams_as_items",
    ),
    change(
        "P44: a cut datagram says nothing of it",
        &[edit("src/op/envelope.rs", "& libc::MSG_TRUNC != 0", "& libc::MSG_TRUNC < 0")],
        SUITE,
        "udp::p44_a_cut_datagram_says_so",
    ),
    change(
        "P140: a datagram to a full receiver is tried in circles",
        &[edit(
            "src/op/retry.rs",
            "self.core.clock.deadline_ns(self.pause)",
            "self.core.clock.deadline_ns(self.pause / 1_000_000)",
        )],
        SUITE,
        "unix_datagram::p140_a_datagram_waits_while_its_receiver_is_full",
    ),
    readiness(
        "P140: a datagram waits for the peer while its receiver has room",
        &[edit("src/op/mod.rs", "Step::Retry => Direction::None,", "Step::Retry => O::DIRECTION,")],
        SUITE,
        "unix_datagram::p140_a_full_peer_holds_up_no_datagram_to_another_receiver",
    ),
    change(
        "P141: a datagram that waits is left to io_uring",
        &[edit("src/op/tries.rs", "!place.carries_datagrams()", "place.fd >= 0")],
        SUITE,
        "unix_datagram::p141_every_send_on_a_connected_socket_waits_for_its_full_peer_and_is_whole",
    ),
    change(
        "rule 6: a call for the pool that is refused is made",
        &[edit("src/start.rs", "if !self.core.state.borrow_mut().is_parked(op)", "if false")],
        SUITE,
        "life::rule6_a_call_for_the_pool_that_is_refused_is_not_made",
    ),
    change(
        "rule 7: the end of a loop loses the blocks of larger contexts",
        &[edit("src/op/mod.rs", "unsafe { slot::free_block::<Self>(slot.as_ptr()) };", "")],
        "allocations",
        "rule7_the_end_of_a_loop_frees_the_memory_of_what_was_in_flight",
    ),
    change(
        "P68: an embedding loop sleeps though posts are left",
        &[edit("src/io.rs", " || left_over;", ";")],
        "embedding",
        "p68_the_descriptor_is_readable_when_posts_are_left",
    ),
    change(
        "P55: an eventfd is read where an offset was asked for",
        &[edit(
            "src/driver/mod.rs",
            "FileType::from_raw_mode(stat.st_mode) != FileType::Unknown",
            "true",
        )],
        SUITE,
        "descriptors::p55_an_eventfd_has_no_offsets",
    ),
    readiness(
        "P160: a receive from a socket that blocks waits in the call",
        &[edit(
            "src/net/system.rs",
            "RECV_AT_ONCE: i32 = libc::MSG_DONTWAIT;",
            "RECV_AT_ONCE: i32 = 0;",
        )],
        SUITE,
        "descriptors::p160_a_socket_that_blocks_holds_up_no_loop",
    ),
    readiness(
        "P160: an accept on a listener that blocks waits in the call",
        &[edit("src/driver/readiness/place.rs", "if blocks && self", "if false && self")],
        SUITE,
        "descriptors::p160_a_socket_that_blocks_holds_up_no_loop",
    ),
    change(
        "P161: a close that lingers is made on the loop's thread",
        &[edit(
            "src/net/system.rs",
            "matches!(socket.linger(), Ok(Some(time)) if !time.is_zero())",
            "false && socket.linger().is_ok()",
        )],
        SUITE,
        "closing::p161_a_close_that_lingers_holds_up_no_loop",
    ),
    change(
        "P150: memory that is freed stays registered",
        &[edit("src/driver/uring/registered_memory.rs", "self.regions[place] = 0..0;", "")],
        SUITE,
        "registered_memory::p150_memory_at_an_address_that_was_registered_is_read_into",
    ),
    change(
        "P22: descriptors that come with a datagram stay open",
        &[Edit {
            file: "src/net/datagram.rs",
            after: "impl Address for UnixAddress",
            find: "const HAS_CONTROL: bool = false;",
            replace: "const HAS_CONTROL: bool = true;",
        }],
        SUITE,
        "unix_datagram::descriptors_that_come_with_a_datagram_are_delivered_or_closed",
    ),
    change(
        "P59: a call for which there is no thread is waited for",
        &[Edit {
            file: "src/start.rs",
            after: "Err(rejected) =>",
            find: "|= FINAL;",
            replace: "|= 0;",
        }],
        "simulator_machine",
        "faults::p59_a_call_for_which_there_is_no_thread_ends_with_an_error",
    ),
    change(
        "P21: an operation that was woken before its late cancel ends as cancelled",
        &[edit(STATE, "&& !self.is_cancel_late(slot)", "")],
        "simulator_machine",
        "faults::p21_p22_cancels_lose_every_race_where_all_of_them_are_late",
    ),
    readiness(
        "P35: a send raises SIGPIPE",
        &[edit("src/net/system.rs", "i32 = libc::MSG_NOSIGNAL;", "i32 = 0;")],
        "signals",
        "p35_no_send_raises_a_signal",
    ),
    readiness(
        "P68: an embedding loop is not told of timers",
        &[edit("src/driver/readiness/alarm.rs", "waker.wake();", "let _ = waker;")],
        "embedding",
        "p68_the_descriptor_is_readable_when_a_timer_is_due",
    ),
    change(
        "P07: a loop without io_uring is an error",
        &[edit(
            "src/driver/choice.rs",
            "is_none() || is_anyones(&error) => return Err(error),",
            "is_none() || !is_anyones(&error) => return Err(error),",
        )],
        "fallback",
        "p07_a_filter_that_forbids_io_uring_leaves_readiness",
    ),
    change(
        "P18: appending moves the file's own position",
        &[edit(
            "src/op/append.rs",
            "part.as_ptr(), len).offset(0)",
            "part.as_ptr(), len).offset(u64::MAX)",
        )],
        SUITE,
        "file_parts::p18_appending_goes_to_the_end_and_moves_no_position",
    ),
    change(
        "P55: several buffers are read from a pipe as if no offset had been named",
        &[edit("src/op/vectored_at.rs", "Ok(_) if !place.is_seekable()", "Ok(_) if false")],
        SUITE,
        "file_parts::p55_what_has_no_offsets_is_refused_by_all_that_take_them",
    ),
    change(
        "P56: a write beyond any offset writes nothing, and says that it did",
        &[edit("src/op/vectored_at.rs", "return Err(-code::TOO_LARGE);", "return Err(0);")],
        SUITE,
        "file_parts::p56_offsets_beyond_what_a_file_has_of_all_that_take_them",
    ),
    change(
        "P22: what an open at the end of its loop brings is not closed",
        &[edit("src/op/open.rs", "drop(held(result));", "std::mem::forget(held(result));")],
        "descriptors",
        "p22_cancelled_opens_leave_no_descriptor",
    ),
    change(
        "P57: an empty path means the directory that it starts in",
        &[edit(
            "src/fs/system.rs",
            "Some(path) if follow => (path, AtFlags::empty())",
            "Some(path) if follow => (path, AtFlags::EMPTY_PATH)",
        )],
        SUITE,
        "paths::p57_bad_paths_are_the_errors_that_std_says",
    ),
    change(
        "limits of a path refuse a mode where no file is made",
        &[edit(
            "src/fs/system.rs",
            "if makes { u64::from(mode) } else { 0 }",
            "if makes { 0 } else { u64::from(mode) }",
        )],
        SUITE,
        "paths::an_open_keeps_to_the_limits_of_its_path",
    ),
    change(
        "P50: a data file forgets that a sync failed",
        &[edit(
            CORE,
            "state.handles.terms.sync_failed(id.index, result);",
            "let _kept = id.index;",
        )],
        "data_file",
        "failing::p50_a_sync_that_failed_stays_failed_until_the_file_is_opened_again",
    ),
    change(
        "P52: what is misaligned goes to the system",
        &[edit("src/fs/terms.rs", "Some(misaligned(wrong.0, wrong.1))", "None")],
        SUITE,
        "direct::p52_what_is_misaligned_is_refused_with_what_is_wrong_and_nothing_is_done",
    ),
    change(
        "P52: a handle has the alignment of the one before it",
        &[edit("src/handle.rs", "self.terms.forget(index);", "")],
        SUITE,
        "direct::a_handles_number_used_again_has_no_past_alignment",
    ),
    change(
        "P53: a data file that is half made stays",
        &[edit(MAKING, "=> drop(self.remove(directory)),", "=> {}")],
        "data_file",
        "failing::p53_a_disk_that_is_full_leaves_no_half_made_file",
    ),
    change(
        "P54: a data file is not locked",
        &[edit(MAKING, "FlockOperation::NonBlockingLockExclusive", "FlockOperation::Unlock")],
        SUITE,
        "data_files::p54_a_second_open_would_block_whoever_makes_it",
    ),
];
