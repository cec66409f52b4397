//! Responses, written into the connection's output.

use std::io::Write;

use crate::request::Request;
use crate::server::Server;

pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// The head up to its last field; the caller adds fields and the empty line.
pub(crate) fn begin(server: &Server, status: u16, close: bool, output: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(output, "HTTP/1.1 {status} {}\r\nServer: tigereye\r\nDate: ", reason(status));
    server.write_date(output);
    output.extend_from_slice(b"\r\nX-Content-Type-Options: nosniff\r\n");
    if close {
        output.extend_from_slice(b"Connection: close\r\n");
    }
    if status == 405 {
        output.extend_from_slice(b"Allow: GET, HEAD\r\n");
    }
}

/// A whole response. An error without a body gets its reason as one.
pub(crate) fn write(
    server: &Server,
    request: &Request<'_>,
    status: u16,
    kind: &str,
    body: &[u8],
    output: &mut Vec<u8>,
) {
    let body = if status >= 400 && body.is_empty() { reason(status).as_bytes() } else { body };
    begin(server, status, request.close || server.is_draining(), output);
    let _ = write!(output, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    if !request.is_head {
        output.extend_from_slice(body);
    }
}

/// The last response of a connection whose peer does not speak HTTP as it should.
pub(crate) fn refusal(server: &Server, status: u16, output: &mut Vec<u8>) {
    let request = Request { close: true, ..Request::default() };
    write(server, &request, status, "text/plain", &[], output);
}
