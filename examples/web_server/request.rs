//! HTTP/1.1 requests, without a socket or a clock (RFC 9112; fields are split by `httparse`).

use crate::conditions::Conditions;

/// A head's bytes, its fields, its target.
const HEAD_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 100;
const TARGET_MAX: usize = 8 * 1024;
/// A body that nobody wants is drained up to this many bytes.
const BODY_MAX: u64 = 1024 * 1024;
const CHUNK_LINE_MAX: usize = 1024;

pub(crate) enum Parsed<'a> {
    /// More bytes are needed.
    Partial,
    /// The connection ends with this status.
    Refused(u16),
    /// A request, and how many bytes its head has.
    Head(Request<'a>, usize),
}

#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) target: &'a str,
    pub(crate) is_head: bool,
    pub(crate) persistence: Persistence,
    pub(crate) body: Body,
    pub(crate) expects_continue: bool,
    /// A status that answers the request, whatever its target.
    pub(crate) refused: Option<u16>,
    pub(crate) conditions: Conditions,
}

/// Whether another request may follow, and what the response says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Persistence {
    /// It may, and nothing need be said.
    #[default]
    Usual,
    /// It may, for an HTTP/1.0 client asked for it; that one believes it only when told.
    Asked,
    Close,
}

impl Request<'_> {
    /// The target's path, without its query.
    pub(crate) fn path(&self) -> &str {
        let target = match split_absolute(self.target) {
            Some((_authority, rest)) => rest,
            None => self.target,
        };
        let path = target.split(['?', '#']).next().unwrap_or("/");
        if path.is_empty() { "/" } else { path }
    }
}

/// What of a body is still to come; it is read and forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Body {
    #[default]
    None,
    Sized(u64),
    /// Before a chunk's size, with the bytes drained so far.
    ChunkSize(u64),
    /// In a chunk's data and its line end: bytes left, bytes drained.
    ChunkData(u64, u64),
    /// In the trailers, with the bytes that they have so far.
    Trailers(u64),
}

impl Body {
    /// Takes what `input` has of the body: how many bytes, and whether it is whole.
    ///
    /// # Errors
    /// The status to refuse it with.
    pub(crate) fn drain(&mut self, input: &[u8]) -> Result<(usize, bool), u16> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match *self {
                Body::None => return Ok((used, true)),
                Body::Sized(left) => {
                    let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    used += take;
                    let left = left - take as u64;
                    *self = if left == 0 { Body::None } else { Body::Sized(left) };
                    if left > 0 {
                        return Ok((used, false));
                    }
                }
                Body::ChunkSize(drained) => {
                    let Some(line) = line(rest)? else { return Ok((used, false)) };
                    used += line.len() + 2;
                    let size = chunk_size(line)?;
                    if drained.saturating_add(size) > BODY_MAX {
                        return Err(413);
                    }
                    *self = match size {
                        0 => Body::Trailers(0),
                        size => Body::ChunkData(size + 2, drained + size),
                    };
                }
                Body::ChunkData(left, drained) => {
                    let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    // The last two bytes must be a line end.
                    for (at, &byte) in rest[..take].iter().enumerate() {
                        let to_end = left - at as u64;
                        if to_end <= 2 && byte != b"\n\r"[usize::from(to_end == 2)] {
                            return Err(400);
                        }
                    }
                    used += take;
                    *self = match left - take as u64 {
                        0 => Body::ChunkSize(drained),
                        left => {
                            *self = Body::ChunkData(left, drained);
                            return Ok((used, false));
                        }
                    };
                }
                Body::Trailers(bytes) => {
                    let Some(line) = line(rest)? else { return Ok((used, false)) };
                    used += line.len() + 2;
                    let bytes = bytes + line.len() as u64 + 2;
                    if bytes > HEAD_MAX as u64 {
                        return Err(431);
                    }
                    if !line.is_empty() && !is_field_line(line) {
                        return Err(400);
                    }
                    *self = if line.is_empty() { Body::None } else { Body::Trailers(bytes) };
                }
            }
        }
    }
}

/// A line that is whole, without its end.
fn line(input: &[u8]) -> Result<Option<&[u8]>, u16> {
    match input.iter().position(|&byte| byte == b'\n') {
        None if input.len() > CHUNK_LINE_MAX => Err(400),
        None => Ok(None),
        Some(at) if at == 0 || input[at - 1] != b'\r' || at > CHUNK_LINE_MAX => Err(400),
        Some(at) => Ok(Some(&input[..at - 1])),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, u16> {
    let digits = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
    let digits = line[..digits].trim_ascii_end();
    let is_size = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let bad_byte = line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t');
    let digits = std::str::from_utf8(digits).map_err(|_| 400_u16)?;
    if !is_size || bad_byte || digits.len() > 16 {
        return Err(400);
    }
    u64::from_str_radix(digits, 16).map_err(|_| 400)
}

/// A trailer is as strict as any field: no folding, no control bytes, a token for a name.
fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
    let (name, value) = line.split_at(colon);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty()
        && name.iter().all(is_token)
        && !value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t')
}

/// Reads a request's head.
pub(crate) fn parse(input: &[u8]) -> Parsed<'_> {
    // An empty line before a request is passed over (RFC 9112, 2.2).
    let skipped = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let input = &input[skipped..];
    let mut head_len = None;
    for (at, &byte) in input.iter().enumerate().take(HEAD_MAX) {
        match byte {
            // A bare line feed or carriage return is how requests are smuggled.
            b'\n' if at == 0 || input[at - 1] != b'\r' => return Parsed::Refused(400),
            b'\n' if input[..at].ends_with(b"\r\n\r") => {
                head_len = Some(at + 1);
                break;
            }
            0 => return Parsed::Refused(400),
            _ if at > 0 && input[at - 1] == b'\r' && byte != b'\n' => return Parsed::Refused(400),
            _ => {}
        }
    }
    let Some(head_len) = head_len else { return unfinished(input) };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(&input[..head_len]) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Parsed::Refused(400),
        Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(431),
        Err(httparse::Error::Version) => return Parsed::Refused(version_status(input)),
        Err(_) => return Parsed::Refused(400),
    }
    match check(&head) {
        Ok(request) => Parsed::Head(request, skipped + head_len),
        Err(status) => Parsed::Refused(status),
    }
}

/// A head that is not whole yet: it may be too long already.
fn unfinished(input: &[u8]) -> Parsed<'_> {
    let line_end = input.iter().position(|&byte| byte == b'\n');
    if line_end.is_none() && input.len() > TARGET_MAX + 64 {
        return Parsed::Refused(414);
    }
    if input.len() >= HEAD_MAX { Parsed::Refused(431) } else { Parsed::Partial }
}

/// A version that is well-formed is not supported; anything else is no request.
fn version_status(input: &[u8]) -> u16 {
    let line = input.split(|&byte| byte == b'\r').next().unwrap_or(&[]);
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            505
        }
        _ => 400,
    }
}

fn check<'a>(head: &httparse::Request<'_, 'a>) -> Result<Request<'a>, u16> {
    let target = head.path.ok_or(400_u16)?;
    if target.len() > TARGET_MAX {
        return Err(414);
    }
    let minor = head.version.ok_or(400_u16)?;
    let mut request = Request { target, ..Request::default() };
    let mut framing = Framing { minor, ..Framing::default() };
    for field in head.headers.iter() {
        match std::str::from_utf8(field.value) {
            // Only a space and a tab are white space around a value: to trim more, as `trim` does,
            // is to see another length than the next server sees.
            Ok(value) => {
                let value = value.trim_matches(OWS);
                if !framing.take(field.name, value, &mut request)? {
                    request.conditions.note(field.name, value);
                }
            }
            // Bytes over 127 are nothing to refuse, but nothing that frames a request has them.
            Err(_) => {
                framing.take(field.name, "\u{80}", &mut request)?;
            }
        }
    }
    let Framing { length, chunked, hosts, close, keep_alive, .. } = framing;
    if hosts > 1 || (hosts == 0 && minor > 0) || (chunked && length.is_some()) {
        return Err(400);
    }
    request.persistence = match (close, minor, keep_alive) {
        (true, ..) | (_, 0, false) => Persistence::Close,
        (_, 0, true) => Persistence::Asked,
        _ => Persistence::Usual,
    };
    request.body = match (chunked, length.unwrap_or(0)) {
        (true, _) => Body::ChunkSize(0),
        (false, 0) => Body::None,
        (false, length) if length > BODY_MAX => return Err(413),
        (false, length) => Body::Sized(length),
    };
    request.expects_continue &= request.body != Body::None;
    let name = head.method.ok_or(400_u16)?;
    method(name, &mut request);
    if !is_target(name, target) {
        return Err(400);
    }
    Ok(request)
}

const OWS: [char; 2] = [' ', '\t'];

/// What says where a request ends, whom it is for, and whether another one follows.
#[derive(Default)]
struct Framing {
    minor: u8,
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    /// Takes a field that it knows; gives whether it did.
    fn take(&mut self, name: &str, value: &str, request: &mut Request<'_>) -> Result<bool, u16> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            self.hosts += 1;
            if !value.is_empty() && !is_authority(value) {
                return Err(400);
            }
        } else if is("content-length") {
            let number = content_length(value)?;
            if self.length.is_some_and(|length| length != number) {
                return Err(400);
            }
            self.length = Some(number);
        } else if is("transfer-encoding") {
            // The last coding must be `chunked`, once, or nobody knows where the body ends.
            let codings = || value.split(',').map(|coding| coding.trim_matches(OWS));
            let is_chunked = |coding: &str| coding.eq_ignore_ascii_case("chunked");
            let times = codings().filter(|coding| is_chunked(coding)).count();
            let is_last = codings().next_back().is_some_and(is_chunked);
            if self.chunked || self.minor == 0 || times != 1 || !is_last {
                return Err(400);
            }
            if !is_chunked(value) {
                return Err(501);
            }
            self.chunked = true;
        } else if is("connection") {
            for token in value.split(',').map(|token| token.trim_matches(OWS)) {
                self.close |= token.eq_ignore_ascii_case("close");
                self.keep_alive |= token.eq_ignore_ascii_case("keep-alive");
            }
        } else if is("expect") {
            match value.eq_ignore_ascii_case("100-continue") {
                true => request.expects_continue = self.minor > 0,
                false => request.refused = Some(417),
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// A target in absolute form: its authority, and what follows.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    scheme.eq_ignore_ascii_case("http://").then(|| rest.split_at(end))
}

fn is_target(method: &str, target: &str) -> bool {
    match (method, split_absolute(target)) {
        ("CONNECT", _) => is_authority(target),
        ("OPTIONS", _) if target == "*" => true,
        (_, Some((authority, _rest))) => is_authority(authority),
        (_, None) => target.starts_with('/'),
    }
}

/// A host and perhaps a port (RFC 3986, 3.2), without a comma, which only a list of hosts has.
fn is_authority(value: &str) -> bool {
    let (host, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, ""),
        Some((address, port)) => match port.strip_prefix(':') {
            Some(port) => (address, port),
            None => return false,
        },
        None => value.split_once(':').unwrap_or((value, "")),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(&byte);
    let is_literal = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    let is_host = match value.starts_with('[') {
        true => host.bytes().all(is_literal),
        false => host.bytes().all(is_name),
    };
    !host.is_empty() && is_host && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn content_length(value: &str) -> Result<u64, u16> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(400);
    }
    // Digits that overflow are a length that nobody sends.
    value.parse().map_err(|_| 400)
}

fn method(name: &str, request: &mut Request<'_>) {
    let refused = match name {
        "GET" => None,
        "HEAD" => {
            request.is_head = true;
            None
        }
        "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" | "TRACE" | "CONNECT" => Some(405),
        _ => Some(501),
    };
    request.refused = request.refused.or(refused);
}
