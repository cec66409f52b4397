//! Requests that no honest client sends, and what each may be answered with.

pub(crate) enum Expected {
    /// The last answer has one of these statuses.
    Status(&'static [u16]),
    /// The server closes without a word.
    Close,
}

pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

const START: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";

#[derive(Default)]
struct Table(Vec<Hostile>);

impl Table {
    fn add(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>, status: &'static [u16]) {
        let (name, bytes) = (name.into(), bytes.as_ref().to_vec());
        self.0.push(Hostile { name, bytes, expected: Expected::Status(status) });
    }

    /// A GET whose head has these further bytes after `Host`.
    fn head(&mut self, more: impl AsRef<[u8]>, status: &'static [u16]) {
        let more = more.as_ref();
        let name = format!("field {}", more[..more.len().min(60)].escape_ascii());
        self.add(name, [START, more, b"\r\n\r\n"].concat(), status);
    }

    fn target(&mut self, target: impl AsRef<[u8]>, status: &'static [u16]) {
        let target = target.as_ref();
        let name = format!("target {}", target[..target.len().min(60)].escape_ascii());
        let bytes = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        self.add(name, bytes, status);
    }

    fn chunked(&mut self, body: impl AsRef<[u8]>, status: &'static [u16]) {
        let body = body.as_ref();
        let name = format!("chunked {}", body[..body.len().min(60)].escape_ascii());
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        self.add(name, [head.as_slice(), body].concat(), status);
    }
}

pub(crate) fn table() -> Vec<Hostile> {
    let mut table = Table::default();
    lines(&mut table);
    lengths(&mut table);
    codings(&mut table);
    chunks(&mut table);
    hosts(&mut table);
    controls(&mut table);
    sizes(&mut table);
    versions(&mut table);
    methods(&mut table);
    targets(&mut table);
    garbage(&mut table);
    prefixes(&mut table);
    table.0
}

fn lines(table: &mut Table) {
    for bytes in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\r",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nHost: a\r\n\r\n",
    ] {
        table.add(format!("lines {}", bytes.escape_debug()), bytes, &[400]);
    }
    for more in ["X : b", "X\t: b", ": b", "no colon", "X", "(X): b", "X\"Y: b", "X@Y: b", "{}: b"]
    {
        table.head(more, &[400]);
    }
    table.head("Content-Length : 5", &[400]);
    table.head("Transfer-Encoding : chunked", &[400]);
    // Opaque bytes in a value that frames nothing are no fault (RFC 9110, 5.5).
    table.head(b"X: caf\xe9", &[200]);
}

fn lengths(table: &mut Table) {
    for value in [
        "+5",
        "-5",
        "",
        "0x5",
        "5 5",
        "5;",
        "5.0",
        "1e1",
        "5,6",
        "a",
        "\"5\"",
        "5\u{a0}",
        "\u{a0}5",
        "\u{2003}5",
        "\u{ff15}",
        "5\u{85}",
        ",5",
        "5,",
        "_5",
        "5_0",
    ] {
        table.head(format!("Content-Length: {value}"), &[400]);
    }
    for value in ["18446744073709551616", "99999999999999999999999999", "18446744073709551615"] {
        table.head(format!("Content-Length: {value}"), &[400, 413]);
    }
    table.head("Content-Length: 1048577", &[413]);
    table.head("Content-Length: 5\r\nContent-Length: 6", &[400]);
    table.head("Content-Length: 5\r\ncontent-length: 05 6", &[400]);
    table.head(b"Content-Length: \xff", &[400]);
    for te in ["chunked", "Chunked", "gzip, chunked"] {
        let both = format!("Content-Length: 5\r\nTransfer-Encoding: {te}");
        table.head(both, &[400, 501]);
        let both = format!("Transfer-Encoding: {te}\r\nContent-Length: 5");
        table.head(both, &[400, 501]);
    }
}

fn codings(table: &mut Table) {
    for value in [
        "gzip",
        "identity",
        "",
        "chunked, gzip",
        "chunked, chunked",
        "chunked;a=b",
        "xchunked",
        "\u{a0}chunked",
        "chunked\u{a0}",
        "\u{85}chunked",
        "\"chunked\"",
        "chunked,",
    ] {
        table.head(format!("Transfer-Encoding: {value}"), &[400]);
    }
    table.head("Transfer-Encoding: gzip, chunked", &[501]);
    table.head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &[400]);
    table.head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &[400]);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    table.add("chunked in HTTP/1.0", old, &[400]);
    table.head("Expect: 200-ok", &[417]);
    table.head("Expect: 100-continue-later", &[417]);
}

fn chunks(table: &mut Table) {
    for body in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\na\r\n",
        "1\na\r\n",
        "1\ra\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        ";a=b\r\n",
        "1 1\r\na\r\n",
        "1;a=\u{1}\r\na\r\n",
        "1;a=\0\r\na\r\n",
        "1;a=\u{7f}\r\na\r\n",
        "1;a=b\rc\r\na\r\n",
        "1;a=b\nc\r\na\r\n",
        "11111111111111111\r\n",
        "1_0\r\n",
        "0\r\n\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: a\r\n folded\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\n: a\r\n\r\n",
        "0\r\nX: \0\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
        "0\r\nX: a\n\r\n",
        "\u{ff11}\r\na\r\n",
    ] {
        table.chunked(body, &[400]);
    }
    table.chunked(format!("1;{}\r\na\r\n", "a".repeat(2000)), &[400]);
    table.chunked("1".repeat(2000), &[400]);
    table.chunked(format!("0\r\n{}\r\n", "X: some trailer\r\n".repeat(2000)), &[431]);
    for size in ["100001", "FFFFFFFFFFFFFFFF", "7fffffffffffffff", "fffffffffffffffd"] {
        table.chunked(format!("{size}\r\n"), &[413]);
    }
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x1_0000));
    table.chunked(chunk.repeat(17), &[413]);
}

fn hosts(table: &mut Table) {
    table.add("no Host", "GET / HTTP/1.1\r\n\r\n", &[400]);
    table.add("a Host in the next request alone", "GET / HTTP/1.1\r\nX: a\r\n\r\n", &[400]);
    table.head("Host: a", &[400]);
    table.head("hOsT: b", &[400]);
    for value in [
        "a b", "a/b", "a@b", "a,b", "a\\b", "a?b", "a#b", "a<b", "a>b", "a\"b", "a{b", "a|b",
        "a^b", "a`b", "a\tb", "a:b", "a:1:2", ":80", "[::1", "::1", "[::1]a", "[a]b:1", "[g]",
        "\u{e9}", "a:-1", "http://a",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        table.add(format!("Host {}", value.escape_debug()), bytes, &[400]);
    }
    table.add("Host, a byte", b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", &[400]);
}

fn controls(table: &mut Table) {
    for byte in (0..32).chain([127]) {
        let target = [b"/a".as_slice(), &[byte], b"b"].concat();
        table.target(target, &[400]);
        table.head([b"X".as_slice(), &[byte], b"Y: a"].concat(), &[400]);
        // A tab is white space inside a value.
        let status: &[u16] = if byte == b'\t' { &[200] } else { &[400] };
        table.head([b"X: a".as_slice(), &[byte], b"b"].concat(), status);
        let method = [b"G".as_slice(), &[byte], b"T / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        table.add(format!("method with {byte}"), method, &[400]);
    }
}

fn sizes(table: &mut Table) {
    table.head("X: a\r\n".repeat(100).trim_end(), &[431]);
    table.head("X: a\r\n".repeat(1000).trim_end(), &[431]);
    table.head("X: a\r\n".repeat(99).trim_end(), &[200]);
    table.head(format!("X: {}", "a".repeat(16 * 1024)), &[431]);
    table.head(format!("{}: a", "X".repeat(16 * 1024)), &[431]);
    table.head(format!("X: {}", "a".repeat(1024 * 1024)), &[431]);
    table.target(format!("/{}", "a".repeat(8 * 1024 - 1)), &[404]);
    for length in [8 * 1024, 8 * 1024 + 100, 12 * 1024] {
        table.target(format!("/{}", "a".repeat(length)), &[414]);
    }
    table.target(format!("/{}", "a".repeat(100 * 1024)), &[414, 431]);
    table.add("a method without end", "A".repeat(20 * 1024), &[400, 414, 431, 501]);
}

fn versions(table: &mut Table) {
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        table.add(version, format!("GET / {version}\r\nHost: a\r\n\r\n"), &[505]);
    }
    // A higher minor version may be read as the highest one known.
    table.add("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", &[200, 505]);
    for version in [
        "http/1.1",
        "Http/1.1",
        "HTTP/1",
        "HTTP/11",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.11",
        "HTTP/01.1",
        "HTTP/1.1x",
        "HTTP /1.1",
        "HTTPS/1.1",
        "HTTP/1,1",
        "HTTP/a.b",
        "HTTP/-1.1",
        "ICY/1.1",
        "",
    ] {
        let bytes = format!("GET / {version}\r\nHost: a\r\n\r\n");
        table.add(format!("version {version:?}"), bytes, &[400]);
    }
    table.add("no version", "GET /\r\n\r\n", &[400]);
    table.add("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 501, 505]);
}

fn methods(table: &mut Table) {
    for method in ["BREW", "get", "Get", "PROPFIND", "GETT", "G", "X-Y", "M-SEARCH"] {
        table.add(method, format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), &[501]);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        table.add(method, format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), &[405]);
    }
    for method in ["G(T", "G,T", "G/T", "G@T", "G\"T", "G[T", "G\u{e9}T", ""] {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        table.add(format!("method {method:?}"), bytes, &[400]);
    }
    table.add("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 405]);
    table.add("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", &[405, 501]);
}

fn targets(table: &mut Table) {
    let dots = ["..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%252e%252e", "%c0%ae%c0%ae", "..%00"];
    let slashes = ["/", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "//"];
    for dot in dots {
        for slash in slashes {
            let target = format!("/{dot}{slash}secret.txt");
            table.target(target, &[400, 404]);
        }
        table.target(format!("/dir/{dot}/{dot}/secret.txt"), &[400, 404]);
        table.target(format!("http://a/{dot}/secret.txt"), &[400, 404]);
    }
    for target in ["/%", "/%4", "/%zz", "/%4g", "/a%", "/%%41", "/%00", "/a%00.txt", "/%ff"] {
        table.target(target, &[400]);
    }
    for target in [
        "*",
        "a:80",
        "hello",
        "?a",
        "http://",
        "http:///hello",
        "http://b:x/",
        "http:/hello",
        "http://u@a/",
        "ftp://a/hello",
        "file:///etc/passwd",
        "../secret.txt",
        "",
        "#",
        "//\u{1}",
    ] {
        table.target(target, &[400]);
    }
    for target in ["/hello", "/hello?a=b", "http://a/hello", "HTTP://a/hello?/b", "http://a?/b"] {
        table.target(target, &[200]);
    }
    for target in ["/./hello", "/hello/../hello", "/etc/passwd", "//etc/passwd", "/\u{e9}"] {
        table.target(target, &[400, 404]);
    }
}

fn garbage(table: &mut Table) {
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    table.add("a TLS hello", [tls.as_slice(), &[0; 506]].concat(), &[400]);
    table.add("an SSH banner", "SSH-2.0-OpenSSH_9.9\r\n\r\n", &[400]);
    table.add("NULs", [0; 5000], &[400]);
    table.add("a SOCKS greeting", b"\x05\x02\x00\x01", &[400]);
    table.add("empty lines", "\r\n".repeat(100), &[400]);
    // Deterministic noise: a linear congruential generator (Knuth's MMIX).
    for seed in 0..20_u64 {
        let mut state = seed;
        let mut noise = Vec::new();
        for _ in 0..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed * 2 + 1);
            noise.extend_from_slice(&state.to_be_bytes()[..1]);
        }
        table.add(format!("noise {seed}"), noise, &[400, 414, 431]);
    }
}

/// Clients that go away too early, after every byte of a good request but the last.
fn prefixes(table: &mut Table) {
    let good = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    for length in 0..good.len() {
        table.0.push(Hostile {
            name: format!("the first {length} bytes of a request"),
            bytes: good[..length].to_vec(),
            expected: Expected::Close,
        });
    }
}
