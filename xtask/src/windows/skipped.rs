//! Tests that Wine 8 cannot serve. Each is to pass on Windows, for the reason given: what Microsoft's
//! documentation says, with the page.

/// Why an error of a socket is not told: Wine's server takes it from the system (`SO_ERROR`) when it
/// is woken by it, and the next call finds none.
const LOST_ERROR: &str = "Wine loses a socket's error; Windows tells it to the next call (WSARecv, \
                          WSARecvFrom: WSAECONNRESET)";
const NO_PROBES: &str = "Wine has no TCP_KEEPCNT; Windows has it from 10 1703 on (\"IPPROTO_TCP \
                         socket options\")";

pub(super) const SKIPPED: &[(&str, &str)] = &[
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
