//! The page of a timeline: its data as text for the program in `page.html`.

use std::fmt::Write;

use super::spans::{Span, State};
use super::{Line, Message, Sort, Timeline};

const PAGE: &str = include_str!("page.html");
/// Where the page has its data.
const PLACE: &str = "/*DATA*/";

pub(super) fn of(timeline: &Timeline) -> String {
    PAGE.replacen(PLACE, &data(timeline), 1)
}

/// All of it as JSON, which is JavaScript too. Times are in nanoseconds.
fn data(timeline: &Timeline) -> String {
    let Timeline { seed, end_ns, hosts, lines, messages, spans, left_out, failure } = timeline;
    let hosts = list(hosts.iter().map(|name| quoted(name)));
    let lines = list(lines.iter().map(line));
    let messages = list(messages.iter().map(message));
    let spans = list(spans.iter().map(span));
    let failure = failure.as_ref().map_or("null".into(), |failure| quoted(failure));
    let mut text = String::new();
    // Writing to a string does not fail. A seed may be larger than what JavaScript counts to.
    let _ = write!(
        text,
        "{{\"seed\":\"{seed}\",\"end\":{end_ns},\"leftOut\":{left_out},\"failure\":{failure},\n\
         \"hosts\":{hosts},\n\"lines\":{lines},\n\"messages\":{messages},\n\"spans\":{spans}}}"
    );
    text
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(",\n"))
}

fn line(line: &Line) -> String {
    let Line { at_ns, host, sort, words } = line;
    format!("[{at_ns},{host},{},{}]", *sort as u8, quoted(words))
}

fn message(message: &Message) -> String {
    let Message { from, to, sent_ns, arrived_ns, sort, is_lost } = message;
    let (name, len) = match sort {
        Sort::Ask => ("connect", 0),
        Sort::Agreed => ("accepted", 0),
        Sort::Refused => ("refused", 0),
        Sort::Bytes(len) => ("bytes", *len),
        Sort::End => ("end", 0),
        Sort::Reset => ("reset", 0),
        Sort::Datagram(len) => ("datagram", *len),
    };
    format!("[{from},{to},{sent_ns},{arrived_ns},\"{name}\",{len},{}]", u8::from(*is_lost))
}

fn span(span: &Span) -> String {
    let Span { host, state, from_ns, to_ns } = span;
    let (state, other) = match state {
        State::Down => ("down", 0),
        State::Paused => ("paused", 0),
        State::CutFrom(other) => ("cut", *other),
    };
    format!("[{host},\"{state}\",{from_ns},{to_ns},{other}]")
}

/// A text in quotes that ends neither them nor the script that it is in.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}' | '\0'..'\u{20}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_ends_neither_quotes_nor_the_script() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
        assert_eq!(quoted("</script>&é"), r#""\u003c/script\u003e\u0026é""#);
    }

    #[test]
    fn the_page_has_one_place_for_its_data() {
        assert_eq!(PAGE.matches(PLACE).count(), 1);
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"), "it needs no network");
    }
}
