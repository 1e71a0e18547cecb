//! Small words: spans and times for people, widths, wrapping, lists.

use console::measure_text_width;
use jiff::tz::TimeZone;

use crate::time::{Span, Timestamp};

/// A span in at most two units: `0.4s`, `12s`, `1m40s`, `1h05m`, `2d03h`.
#[must_use]
pub fn span(span: Span) -> String {
    let millis = span.as_millis();
    let secs = millis / 1000;
    match secs {
        0 if millis == 0 => "0s".to_owned(),
        0 => format!("0.{}s", (millis / 100).max(1)),
        1..60 => format!("{secs}s"),
        60..3600 if secs.is_multiple_of(60) => format!("{}m", secs / 60),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 if (secs / 60).is_multiple_of(60) => format!("{}h", secs / 3600),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

/// The time of day with seconds: `03:12:45`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    let local = zone.to_datetime(at.0);
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

/// The day: `Saturday 2026-11-28`.
#[must_use]
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at.0).strftime("%A %Y-%m-%d").to_string()
}

/// A moment to the minute, with its weekday unless it is today: `05:40`, `Sun 05:40`, `2026-12-24 05:40`.
#[must_use]
pub fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (local, today) = (zone.to_datetime(at.0), zone.to_datetime(now.0));
    let apart = (at.as_millis() - now.as_millis()).abs();
    let format = if local.date() == today.date() {
        "%H:%M"
    } else if apart < 6 * 86_400_000 {
        "%a %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    local.strftime(format).to_string()
}

/// Date, time and zone in full: `2026-11-28 05:40 CET`. For anything that will be read on another day.
#[must_use]
pub fn full(at: Timestamp, zone: &TimeZone) -> String {
    let local = zone.to_datetime(at.0);
    format!("{} {}", local.strftime("%Y-%m-%d %H:%M"), zone.to_offset_info(at.0).abbreviation())
}

/// How far away a moment is: `in 1h20m`, `12m ago`, `now`.
#[must_use]
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    if at.as_millis().abs_diff(now.as_millis()) < 1000 {
        "now".to_owned()
    } else if at > now {
        format!("in {}", span(at.since(now)))
    } else {
        format!("{} ago", span(now.since(at)))
    }
}

/// `1 step`, `3 steps`.
#[must_use]
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// At most `max` items, and how many there are besides: `a, b and 4 more`.
#[must_use]
pub fn list<T: AsRef<str>>(items: &[T], max: usize) -> String {
    let shown: Vec<&str> = items.iter().take(max).map(AsRef::as_ref).collect();
    match items.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Columns that a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// The text cut to `columns`, with `…` where something is missing.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

/// The text cut or filled with blanks to exactly `columns`.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// The text filled with blanks to at least `columns`; never cut.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// Breaks a text at blanks into lines of at most `columns`; a word that is longer stands alone and is not broken,
/// so that identities and commands can be copied. At least one line.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split(' ') {
        if !current.is_empty() && width(&current) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut current));
        } else if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines
}

/// Breaks a line that is wider than `columns` as [`wrap`] does; what goes over to the next line is indented by `indent`,
/// and the first `indent` columns stay as they are.
#[must_use]
pub fn hang(text: &str, columns: usize, indent: usize) -> String {
    if width(text) <= columns || indent >= columns {
        return text.to_owned();
    }
    let head = cut_at(text, indent);
    let blanks = " ".repeat(indent);
    format!("{}{}", &text[..head], wrap(&text[head..], columns - indent).join(&format!("\n{blanks}")))
}

/// Where the first `columns` of a text end, in bytes.
fn cut_at(text: &str, columns: usize) -> usize {
    text.char_indices().map(|(at, _)| at).find(|at| width(&text[..*at]) >= columns).unwrap_or(text.len())
}
