//! Conditional requests and ranges (RFC 9110, 13 and 14), without a file or a clock.

use std::time::SystemTime;

/// The fields that make an answer depend on the state of what was asked for. Several lines of one
/// name are one value, joined by commas (RFC 9110, 5.3); where only one is allowed, the joined
/// value is malformed and falls under the rule for those.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<String>,
    if_unmodified_since: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    if_range: Option<String>,
    range: Option<String>,
}

/// What to answer with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Whole,
    /// From the first byte to before the last one.
    Part(u64, u64),
    NotModified,
    PreconditionFailed,
    OutOfRange,
}

/// What is there.
pub(crate) struct State<'a> {
    /// A strong entity tag, in its quotes.
    pub(crate) tag: &'a str,
    pub(crate) modified: SystemTime,
    pub(crate) length: u64,
}

impl Conditions {
    /// Takes a field if it is one of these.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let field = if is("if-match") {
            &mut self.if_match
        } else if is("if-unmodified-since") {
            &mut self.if_unmodified_since
        } else if is("if-none-match") {
            &mut self.if_none_match
        } else if is("if-modified-since") {
            &mut self.if_modified_since
        } else if is("if-range") {
            &mut self.if_range
        } else if is("range") {
            &mut self.range
        } else {
            return;
        };
        match field {
            Some(joined) => {
                joined.push_str(", ");
                joined.push_str(value);
            }
            None => *field = Some(value.to_owned()),
        }
    }

    /// Evaluates them in the order of RFC 9110, 13.2.2.
    pub(crate) fn outcome(&self, state: &State<'_>, is_head: bool) -> Outcome {
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(tags), _) => listed(tags, |tag| tag == state.tag),
            (None, Some(date)) => state.is_newer_than(date) != Some(true),
            (None, None) => true,
        };
        if !holds {
            return Outcome::PreconditionFailed;
        }
        let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == state.tag;
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(tags), _) => listed(tags, weak),
            (None, Some(date)) => state.is_newer_than(date) == Some(false),
            (None, None) => false,
        };
        if unchanged {
            return Outcome::NotModified;
        }
        let same = self.if_range.as_ref().is_none_or(|validator| {
            let same_date = |date| seconds(state.modified) == seconds(date);
            validator == state.tag || httpdate::parse_http_date(validator).is_ok_and(same_date)
        });
        // Only GET has ranges; one that is malformed, or several at once, is passed over (14.2).
        let range = self.range.as_deref().filter(|_| same && !is_head);
        range.and_then(|range| parse_range(range, state.length)).unwrap_or(Outcome::Whole)
    }
}

impl State<'_> {
    /// Nothing when the date is malformed.
    fn is_newer_than(&self, date: &str) -> Option<bool> {
        let date = httpdate::parse_http_date(date).ok()?;
        Some(seconds(self.modified) > seconds(date))
    }
}

/// The precision of dates in HTTP.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn listed(tags: &str, is_match: impl Fn(&str) -> bool) -> bool {
    tags.trim() == "*" || tags.split(',').any(|tag| is_match(tag.trim()))
}

/// A single range; nothing when it is malformed, or several.
fn parse_range(value: &str, length: u64) -> Option<Outcome> {
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than can be counted is more than there is.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (length.saturating_sub(number(suffix)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some(if first < end { Outcome::Part(first, end) } else { Outcome::OutOfRange })
}
