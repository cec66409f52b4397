//! Responses, written into the connection's output.

use std::io::Write;

use crate::request::{Persistence, Request};
use crate::server::Server;

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// The head up to the fields that speak of the content.
pub(crate) fn begin(status: u16, date: &[u8], persistence: Persistence, output: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(output, "HTTP/1.1 {status} {}\r\nServer: tigereye\r\nDate: ", reason(status));
    output.extend_from_slice(date);
    output.extend_from_slice(b"\r\nX-Content-Type-Options: nosniff\r\n");
    output.extend_from_slice(match persistence {
        Persistence::Usual => b"",
        Persistence::Asked => b"Connection: keep-alive\r\n",
        Persistence::Close => b"Connection: close\r\n",
    });
    if status == 405 {
        output.extend_from_slice(b"Allow: GET, HEAD\r\n");
    }
}

/// The rest of the head, and the body. An error without a body gets its reason as one.
pub(crate) fn end(status: u16, kind: &str, body: &[u8], is_head: bool, output: &mut Vec<u8>) {
    let body = if status >= 400 && body.is_empty() { reason(status).as_bytes() } else { body };
    let _ = write!(output, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    if !is_head {
        output.extend_from_slice(body);
    }
}

/// A whole response.
pub(crate) fn write(
    server: &Server,
    request: &Request<'_>,
    status: u16,
    kind: &str,
    body: &[u8],
    output: &mut Vec<u8>,
) {
    server.with_date(|date| begin(status, date, request.persistence, output));
    end(status, kind, body, request.is_head, output);
}

/// The last response of a connection whose peer does not speak HTTP as it should.
pub(crate) fn refusal(server: &Server, status: u16, output: &mut Vec<u8>) {
    let request = Request { persistence: Persistence::Close, ..Request::default() };
    write(server, &request, status, "text/plain", &[], output);
}
