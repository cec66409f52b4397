//! Tests that Wine 8 cannot serve. Each is to pass on Windows, for the reason given: what Microsoft's
//! documentation says, with the page.

/// Why an error of a socket is not told: Wine's server takes it from the system (`SO_ERROR`) when it
/// is woken by it, and the next call finds none.
const LOST_ERROR: &str = "Wine loses a socket's error; Windows tells it to the next call (WSARecv, \
                          WSARecvFrom: WSAECONNRESET)";
const NO_PROBES: &str = "Wine has no TCP_KEEPCNT; Windows has it from 10 1703 on (\"IPPROTO_TCP \
                         socket options\")";

const NO_UNIX: &str = "Wine has no Unix sockets; Windows has them from 10 1803 on (\"AF_UNIX comes to Windows\", \
                       devblogs.microsoft.com/commandline)";
const NO_SIGNALS: &str = "no process under Wine is sent SIGTERM's like from here; on Windows it is \
                          CTRL_CLOSE_EVENT (HandlerRoutine), and Ctrl-C is tried beside these tests";

const AFTER_A_RESET: &str = "Wine's TransmitFile may not end when the connection is reset or shut down, and \
                             says otherwise what it was; on Windows it fails (TransmitFile, WSAECONNRESET)";

/// Cells of the table of operations and situations (`tests/drivers/`).
pub(super) const SKIPPED_CELLS: &[(&str, &str)] = &[
    ("Recv/ResetBefore RecvExact/ResetBefore RecvVectored/ResetBefore", LOST_ERROR),
    ("RecvEach/ResetBefore RecvPaused/ResetBefore", LOST_ERROR),
    ("RecvEach/ResetWhile RecvPaused/ResetWhile", LOST_ERROR),
    ("RecvFrom/Refused RecvFromEach/Refused RecvFromPaused/Refused SendTo/Refused", LOST_ERROR),
    ("RecvFrom/NoListener RecvFromEach/NoListener RecvFromPaused/NoListener", LOST_ERROR),
    (
        "ShutdownRead/DataThenReset ShutdownWrite/DataThenReset ShutdownBoth/DataThenReset",
        LOST_ERROR,
    ),
    ("ShutdownRead/ResetBefore ShutdownWrite/ResetBefore ShutdownBoth/ResetBefore", LOST_ERROR),
    (
        "Accept/OtherKind AcceptEach/OtherKind AcceptPaused/OtherKind",
        "Wine's AcceptEx waits where nobody listens; on Windows it fails (AcceptEx, WSAEINVAL)",
    ),
    ("SendFile/EndOfStream SendFile/ResetBefore SendFile/ResetWhile", AFTER_A_RESET),
    ("SendFileAll/EndOfStream SendFileAll/ResetBefore SendFileAll/ResetWhile", AFTER_A_RESET),
    ("SendFile/OwnHalfShutWhile SendFileAll/OwnHalfShutWhile", AFTER_A_RESET),
];

/// The variable that keeps resets and refusals out of the sequences of tests/differential.
pub(super) const SKIPPED_RESETS: (&str, &str) = ("TIGEREYE_TEST_LOSES_ERRORS", LOST_ERROR);

const NO_DESCRIPTORS: &str =
    "it is about descriptors of Unix, of pipes, terminals and devices (decisions.md)";
const LONG: &str = "it takes minutes, of worlds in which no system is asked for anything: they are the same on \
                    all systems, and tests/simulator and the test beside it hold to that";
const OF_LINUX: &str = "it is about what Linux alone has";
const OF_UNIX: &str = "it is about limits and tables of descriptors, and signals, which are part of Unix; \
                       tests/handles has that of Windows";

/// Programs in tests/ that are not run under Wine.
pub(super) const SKIPPED_PROGRAMS: &[(&str, &str)] = &[
    ("chat", NO_UNIX),
    ("descriptors", OF_UNIX),
    (
        "disk_full",
        "it mounts a small file system of its own (unshare); Windows has none to mount for a process",
    ),
    ("embedding", "a loop cannot be embedded on Windows (decisions.md)"),
    ("exhaustion", OF_UNIX),
    ("fallback", OF_LINUX),
    ("readiness", "it is about a driver that Windows does not have"),
    ("signals", OF_UNIX),
    ("tee", NO_DESCRIPTORS),
    ("uring", OF_LINUX),
    ("web_server", "it runs here, and asks the server there"),
];

/// Tests of the web server, which run here and ask a server that runs there.
pub(super) const SKIPPED_OF_THE_SERVER: &[(&str, &str)] = &[
    (
        "command_line::a_driver_and_a_number_of_loops_are_taken",
        "it takes the driver readiness, which is part of Unix",
    ),
    (
        "command_line::what_is_wrong_is_said",
        "it knows the words of Unix for an address that is in use; those of Windows are FormatMessage's",
    ),
    (
        "files::only_files_under_the_root",
        "Wine opens what Unix has in a directory, also a FIFO, and waits; on Windows pipes have names of \
         their own (\"Pipe Names\")",
    ),
    ("limits::a_signal_ends_it_with_an_idle_connection_open", NO_SIGNALS),
    ("limits::what_is_under_way_is_finished", NO_SIGNALS),
    ("limits::what_does_not_finish_is_left_after_the_grace", NO_SIGNALS),
    (
        "limits::descriptors_may_run_out",
        "it looks at the server's descriptors, of which Wine's own are most; a process on Windows may have 2^24 \
         handles (\"Kernel Objects\")",
    ),
    (
        "tools::wrk_loads",
        "wrk ends in the middle of a file, and Wine's TransmitFile may not end when the connection is \
         reset; on Windows it fails (TransmitFile, WSAECONNRESET)",
    ),
];

pub(super) const SKIPPED: &[(&str, &str)] = &[
    ("worlds::nothing_acknowledged_is_lost_and_the_cluster_comes_back", LONG),
    ("worlds::p50_p69_each_planted_mistake_is_found_within_a_thousand_seeds", LONG),
    (
        "paths::paths_start_in_a_directory_wherever_it_is",
        "Wine names a file below a directory by the path that this had when it was opened; Windows by \
         the directory (OBJECT_ATTRIBUTES, RootDirectory)",
    ),
    (
        "windows_files::a_symbolic_link_is_of_the_kind_of_what_it_leads_to",
        "Wine's CreateSymbolicLinkW succeeds and makes no link; Windows makes one where the user may \
         (CreateSymbolicLinkW)",
    ),
    (
        "windows_files::p83_a_name_is_taken_from_an_open_file_and_is_free_at_once",
        "Wine 8 removes an open file's name when it is closed; Windows at once, from 10 1809 on \
         (FILE_DISPOSITION_INFORMATION_EX, FILE_DISPOSITION_POSIX_SEMANTICS)",
    ),
    (
        "windows_files::p83_a_name_that_is_not_unicode",
        "Wine's files have names in UTF-8; Windows takes any sequence of 16-bit units (\"Naming Files, \
         Paths, and Namespaces\")",
    ),
    ("a_reset_on_one_side_is_one_on_the_other", LOST_ERROR),
    (
        "windows::segments_arrive_as_datagrams",
        "Wine has no UDP_SEND_MSG_SIZE; Windows has it from 10 2004 on (\"IPPROTO_UDP socket options\")",
    ),
    ("windows::unix_streams_are_streams", NO_UNIX),
    ("windows::p45_a_unix_socket_that_is_gone_leaves_its_file", NO_UNIX),
    ("closing::p33_a_reset_after_part_of_an_exact_receive_is_no_end_of_stream", LOST_ERROR),
    ("closing::p42_shutdown_after_the_peers_reset_is_not_connected", LOST_ERROR),
    ("closing::p43_a_reset_behind_unread_data_is_an_error_and_no_end", LOST_ERROR),
    (
        "udp::p44_a_flow_on_a_connected_socket_ends_with_the_error_and_can_be_started_again",
        LOST_ERROR,
    ),
    ("udp::p44_an_error_of_an_earlier_datagram_does_not_end_a_servers_flow", LOST_ERROR),
    ("udp::p44_an_error_of_an_earlier_datagram_ends_an_operation_and_not_the_socket", LOST_ERROR),
    ("options::a_connection_has_the_options_that_it_was_made_with", NO_PROBES),
    ("options::a_stream_has_the_options_that_it_is_given", NO_PROBES),
    (
        "options::p38_accepted_streams_have_the_options_they_should",
        "Wine's AcceptEx hands no options on; Windows does with SO_UPDATE_ACCEPT_CONTEXT (AcceptEx, \
         remarks)",
    ),
    (
        "send_file::p35_a_peer_that_is_gone_is_an_error",
        "Wine's TransmitFile may not end when the connection is reset; on Windows it fails \
         (TransmitFile, WSAECONNRESET)",
    ),
    (
        "udp_socket::a_connected_socket_has_one_peer",
        "Wine connects to an address of zeros; on Windows that takes the peer away (connect, remarks)",
    ),
];
