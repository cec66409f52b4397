//! Real clients: curl, wrk, and a headless browser.
//!
//! A machine that has only Rust runs the other tests; what is skipped there is said aloud. Where
//! `CI=true` is set, a client that is missing is a failure.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::HELLO;
use crate::client::{Server, wait_until};

/// The first of these programs that is here.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = |name: &&str| directories.iter().map(|directory| directory.join(name)).collect();
    let found =
        names.iter().flat_map(|name| -> Vec<PathBuf> { files(name) }).find(|at| at.is_file());
    if found.is_none() {
        let name = names[0];
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{name} is not here");
        // Not by a macro, whose output the test harness keeps to itself.
        std::io::stderr().write_all(format!("skipped: no {name}\n").as_bytes()).unwrap();
    }
    found
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    output
}

#[test]
fn curl_fetches() {
    let Some(curl) = find(&["curl"]) else { return };
    let server = Server::start();
    let path = server.put("a.txt", b"0123456789");
    let large = vec![b'x'; 1_000_000];
    let large_path = server.put("large.bin", &large);
    let large_path = large_path.to_str().unwrap();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let fetch = |arguments: &[&str]| {
        run(Command::new(&curl).args(["-q", "-sS", "-m", "60", "--noproxy", "*"]).args(arguments))
            .stdout
    };
    assert_eq!(fetch(&[&url("/hello")]), HELLO);
    assert!(fetch(&[&url("/")]).starts_with(b"<!"));
    assert_eq!(fetch(&["-r", "2-4", &url("/a.txt")]), b"234");
    assert_eq!(fetch(&[&url("/large.bin")]), large);
    assert_eq!(fetch(&["--http1.0", &url("/hello"), &url("/a.txt")]), b"Hello, world!0123456789");
    // Bodies: sized, chunked, and after `100 Continue`; none is wanted, and all are drained.
    let upload = ["-w", "%{num_connects} ", "-o", "/dev/null", "--expect100-timeout", "30"];
    for more in [&["-d", "body"][..], &["-T", large_path], &["-T", large_path, "-H", "Expect:"]] {
        for chunked in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
            let urls = [url("/"), url("/hello")];
            let arguments =
                [&upload, more, chunked, &[&urls[0], "-o", "/dev/null", &urls[1]]].concat();
            let connects = String::from_utf8(fetch(&arguments)).unwrap();
            assert!(connects.starts_with("1 "), "{arguments:?}: {connects}");
        }
    }
    assert_eq!(fetch(&["-d", "body", &url("/")]), b"Method Not Allowed");
    let status = ["-w", "%{http_code}", "-o", "/dev/null"];
    let since = ["-z", path.to_str().unwrap()];
    assert_eq!(fetch(&[&status, &since[..], &[&url("/a.txt")]].concat()), b"304");
    assert_eq!(fetch(&[&status[..], &["--path-as-is", &url("/../a.txt")]].concat()), b"404");
    // One connection for all, also for HEAD.
    let urls: Vec<String> = vec![url("/hello"); 10];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let connects = fetch(&[&["-I", "-w", "%{num_connects}"], &urls[..]].concat());
    let connects = String::from_utf8(connects).unwrap();
    assert_eq!(connects.matches("HTTP/1.1 200 OK").count(), 10, "{connects}");
    assert!(connects.ends_with("\r\n\r\n0"), "{connects}");
}

#[test]
fn wrk_loads() {
    let Some(wrk) = find(&["wrk"]) else { return };
    let server = Server::start();
    server.put("a.bin", &vec![b'x'; 100_000]);
    for target in ["/hello", "/a.bin", "/"] {
        let before = server.figure("requests");
        let url = format!("http://{}{target}", server.address);
        let mut command = Command::new(&wrk);
        let output =
            run(command.args(["-t", "1", "-c", "50", "-d", "1s", "--timeout", "60s", &url]));
        let output = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = output.split_whitespace().collect();
        let at = words.windows(2).position(|two| two == ["requests", "in"]).expect("a count");
        let requests: u64 = words[at - 1].parse().unwrap();
        assert!(requests > 0 && server.figure("requests") - before >= requests, "{output}");
        // It says so only where there were some.
        assert!(!output.contains("Socket errors") && !output.contains("Non-2xx"), "{output}");
    }
    wait_until("its connections are gone", || server.figure("open") == 1);
}

/// The page in a browser: its script has asked for the figures, twice, and has put them in.
#[test]
fn a_browser_shows_the_figures() {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let Some(browser) = find(&names) else { return };
    let server = Server::start();
    let mut profile = std::ffi::OsString::from("--user-data-dir=");
    profile.push(server.directory.join("profile"));
    let output = run(Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--no-proxy-server", "--disable-dev-shm-usage"])
        .arg(profile)
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("http://{}/", server.address)));
    let page = String::from_utf8(output.stdout).unwrap();
    let text = |id: &str| {
        let (_, rest) = page.split_once(&format!("id=\"{id}\"")).expect(id);
        rest.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
    };
    for name in ["requests", "connections", "operations", "system_calls", "open"] {
        let figure: String = text(name).chars().filter(|&digit| digit != ',').collect();
        assert!(figure.parse::<u64>().is_ok_and(|figure| figure > 0), "{name}: {figure}\n{page}");
    }
    assert!(text("requests_rate").ends_with(" a second"), "the figures were updated\n{page}");
    assert_eq!(text("driver"), super::driver());
    assert_eq!(text("state"), "", "the server answered");
    let (_, table) = page.split_once("id=\"loops\"").unwrap();
    assert_eq!(table.matches("<tr>").count(), 2, "a row a loop\n{page}");
    assert!(page.contains(&format!("curl -i http://<span class=\"host\">{}", server.address)));
}

/// Nothing of the page comes from elsewhere.
#[test]
fn the_page_is_whole_in_itself() {
    let server = Server::start();
    let response = server.get("/", "");
    assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
    let page = String::from_utf8(response.body).unwrap();
    for tag in ["<script src", "<link rel=\"stylesheet", "<img", "<iframe", "@import", "url(http"] {
        assert!(!page.contains(tag), "{tag}");
    }
    let mut links = page.split("href=\"").skip(1);
    assert!(links.all(|link| link.starts_with('/') || link.starts_with("data:")));
}
