//! The suite on the simulator: all of it that is not named here, with the reason.
//!
//! A loop of the simulator's is alone in a world of its thread's; a test's peers are loops there, too
//! (`peer.rs`).

use std::process::Command;

use crate::peer::is_simulated;

const HUGE: &str = "a file there is in memory";
const PASSING: &str = "what is passed are descriptors of a real system";
const SYSTEM: &str = "about descriptors, pipes, devices or signals of a real system";
const THREADS: &str = "needs a second thread, and a simulated world has one";
const POOL: &str = "needs a call that is stuck on the pool, which has no threads there";
const STD: &str = "about sockets of the standard library";
const STD_FILE: &str = "about files of the standard library";
const URGENT: &str = "urgent data is not simulated";
const CLOCK: &str = "about a real clock";

/// What does not run there: a whole file, where it ends in `::`, or a test.
const SKIPPED: &[(&str, &str)] = &[
    ("data_files::one_of_many_who_make_it_at_once_has_it", THREADS),
    ("data_files::p54_who_finds_a_lock_leaves_the_file_alone", SYSTEM),
    ("data_files::p57_what_cannot_be_a_data_file", SYSTEM),
    ("data_files::p59_p75_an_open_that_waits_for_the_pool_is_cancelled_and_makes_nothing", POOL),
    #[cfg(target_os = "linux")]
    ("cached::", SYSTEM),
    ("descriptors::", SYSTEM),
    ("direct::a_handles_number_used_again_has_no_past_alignment", SYSTEM),
    ("direct::p52_a_file_system_without_it_says_so_or_goes_through_the_cache_as_asked", SYSTEM),
    ("file_ends::p59_p75_each_operation_on_files_ends_once_while_the_pool_is_stuck", POOL),
    ("file_parts::p29_a_read_longer_than_a_call_takes_is_short", HUGE),
    ("file_parts::p29_a_write_longer_than_a_call_takes_is_short", HUGE),
    ("file_parts::p55_what_has_no_offsets_is_refused_by_all_that_take_them", SYSTEM),
    ("file_parts::p55_a_socket_is_no_file_to_any_operation", SYSTEM),
    ("files::a_descriptors_number_used_again_has_no_past_offsets", SYSTEM),
    ("files::a_pipe_is_not_synced", SYSTEM),
    ("files::a_registered_file_that_is_dropped_or_closed_is_closed", SYSTEM),
    ("files::p55_a_pipe_and_a_socket_have_no_offsets", SYSTEM),
    ("files::p59_p75_what_waits_for_a_stuck_pool_is_cancelled_and_ends_at_its_deadline", POOL),
    ("passing::", PASSING),
    ("paths::p57_bad_paths_are_the_errors_that_std_says", STD_FILE),
    ("paths::p75_a_call_that_was_taken_back_did_nothing", POOL),
    ("paths::what_is_known_of_a_file_is_what_std_knows", STD_FILE),
    #[cfg(target_os = "linux")]
    ("send_file::p59_nor_where_nobody_says_what_is_in_memory", SYSTEM),
    ("send_file::p59_peers_that_do_not_read_hold_up_no_thread_of_the_pool", SYSTEM),
    ("send_file::what_is_no_socket_or_no_file_is_an_error", SYSTEM),
    ("signals::", SYSTEM),
    #[cfg(target_os = "linux")]
    ("file_parts::p53_a_file_system_without_allocation_says_so", SYSTEM),
    #[cfg(target_os = "linux")]
    ("paths::an_open_keeps_off_magic_links_and_other_mounts", SYSTEM),
    #[cfg(target_os = "linux")]
    ("splice::", SYSTEM),
    #[cfg(target_os = "linux")]
    ("unix::p45_a_peer_bound_to_a_path_without_an_end_is_no_panic", STD),
    #[cfg(target_os = "linux")]
    (
        "unix_datagram::p141_every_send_and_write_on_a_descriptor_waits_for_its_full_peer_and_is_whole",
        SYSTEM,
    ),
    ("unix::a_listener_goes_to_the_standard_library_and_back", STD),
    ("unix_datagram::a_socket_of_datagrams_goes_to_the_standard_library_and_back", STD),
    ("unix_datagram::descriptors_that_come_with_a_datagram_are_delivered_or_closed", PASSING),
    ("closing::readiness_of_a_stream_and_of_a_pipe", SYSTEM),
    ("edges::a_stream_that_is_given_away_blocks", STD),
    ("edges::p70_what_follows_urgent_data_is_received", URGENT),
    ("edges::p71_who_is_woken_for_nothing_and_cancelled_ends", STD),
    ("edges::p72_regular_files_and_devices_are_ready_at_once", SYSTEM),
    ("edges::p74_a_descriptors_number_used_again_has_no_past", STD),
    ("edges::readiness_comes_again_as_often_as_it_is_asked_for", SYSTEM),
    ("life::p67_stop_from_another_thread", THREADS),
    ("options::a_connection_has_the_options_that_it_was_made_with", STD),
    ("options::a_handle_in_use_is_not_given_back", STD),
    ("options::a_listener_has_the_options_that_it_was_given", STD),
    ("options::a_listener_of_the_standard_library_is_adopted_and_given_back", STD),
    ("options::a_stream_has_a_user_timeout", STD),
    ("options::a_stream_has_the_options_that_it_is_given", STD),
    ("options::p38_accepted_streams_have_the_options_they_should", STD),
    ("options::p40_the_scope_of_an_address_survives", "a host there has no link-local address"),
    ("pressure::p06_far_deadlines_neither_return_at_once_nor_spin", CLOCK),
    ("pressure::p13_rule8_one_fast_connection_does_not_starve_another", THREADS),
    ("pressure::p65_a_loop_woken_while_it_works_loses_nothing", THREADS),
    ("pressure::p65_a_million_wakes_cost_few_system_calls", THREADS),
    ("pressure::p69_the_loops_clock_is_the_monotonic_one", CLOCK),
    ("races::p10_a_cancel_between_two_tries_is_not_lost", URGENT),
    ("remote::a_setup_that_fails_ends_all_threads", THREADS),
    ("remote::a_stream_moves_to_another_threads_loop", THREADS),
    ("remote::an_event_is_pulled_from_another_thread", THREADS),
    ("remote::connections_are_handed_to_the_loops_in_turn", THREADS),
    ("remote::into_std_works_after_a_cancelled_receive", STD),
    ("remote::p65_a_storm_of_posts_loses_none", THREADS),
    ("remote::p65_no_wake_is_lost_between_nothing_to_do_and_wait", THREADS),
    ("remote::p75_a_queued_call_can_be_cancelled_and_a_running_one_is_discarded", POOL),
    ("remote::posts_of_one_thread_keep_their_order", THREADS),
    ("remote::two_threads_serve_one_address", THREADS),
    ("spin::messages_of_a_peer_and_results_of_the_pool_are_found", THREADS),
    ("spin::p65_posts_one_at_a_time_are_heard_while_a_loop_looks_and_after", THREADS),
    ("spin::p67_a_stop_from_another_thread_ends_a_look", THREADS),
    ("spin::the_loops_of_threads_look", THREADS),
    ("timers::p64_missed_ticks_are_counted", CLOCK),
    ("timers::p64_ticks_do_not_drift", CLOCK),
    ("timers::what_has_come_goes_before_a_deadline_that_passed_meanwhile", CLOCK),
    ("udp_socket::joined_datagrams_say_how_long_each_is", "joined datagrams are not simulated"),
    ("udp_socket::options_reach_the_system", STD),
    ("udp_socket::to_and_from_the_standard_library", STD),
];

fn is_named(test: &str, entry: &str) -> bool {
    if entry.ends_with("::") { test.starts_with(entry) } else { test == entry }
}

fn suite() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the environment chooses the simulator in debug builds")]
fn the_suite_runs_on_the_simulator() {
    if is_simulated() {
        return;
    }
    let listed = suite().args(["--list", "--format=terse"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    for (entry, _reason) in SKIPPED {
        assert!(tests.iter().any(|test| is_named(test, entry)), "there is no {entry}");
    }
    let is_skipped = |test: &str| SKIPPED.iter().any(|(entry, _reason)| is_named(test, entry));
    let chosen: Vec<&str> = tests.into_iter().filter(|test| !is_skipped(test)).collect();
    assert!(chosen.len() > 280, "most of the suite runs there, and not {} tests", chosen.len());
    let run = suite().arg("--exact").args(&chosen).env("TIGEREYE_DRIVER", "sim").output().unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{report}\nwhat cannot run there is named in simulated.rs");
}
