//! Time as a value: instants, spans and the clock that a caller may replace.

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// An instant by the wall clock, in UTC. Ordering of events is by sequence number, never by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// From milliseconds since 1970-01-01T00:00:00Z; out-of-range values are clamped.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(jiff::Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// This instant plus a span, clamped at the end of time.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Timestamp(
            self.0
                .saturating_add(SignedDuration::from_millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
                .unwrap_or(jiff::Timestamp::MAX),
        )
    }

    /// The span from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Span {
        Span::from_millis(u64::try_from(self.as_millis() - earlier.as_millis()).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A non-negative length of time, in milliseconds. Written `30s`, `5m`, `1h30m` in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Span(millis)
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Span(secs.saturating_mul(1000))
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// For timers.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

/// What time it is. The real one is [`SystemClock`]; tests and the simulator bring their own.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Milliseconds since some fixed point of this boot, counting sleep where the system can tell.
    fn boot_millis(&self) -> u64;
    /// The same without sleep: it falls behind [`Clock::boot_millis`] by as long as the machine slept.
    fn awake_millis(&self) -> u64 {
        self.boot_millis()
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    began: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { began: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now())
    }

    fn boot_millis(&self) -> u64 {
        boot_millis().unwrap_or_else(|| self.awake_millis())
    }

    fn awake_millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The boot clock counts sleep, which the monotonic clock of the standard library does not on Linux.
#[cfg(target_os = "linux")]
fn boot_millis() -> Option<u64> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
    u64::try_from(now.tv_sec()).ok()?.checked_mul(1000)?.checked_add(u64::try_from(now.tv_nsec() / 1_000_000).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn boot_millis() -> Option<u64> {
    None
}

/// Why a text is no length of time or no local time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TimeError {
    /// What was found; lower case, without a final stop.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl TimeError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        TimeError { message: message.into(), hint: hint.into() }
    }
}

/// The longest span that a plan may name: far beyond any weekend, and far from every overflow.
const LONGEST: u64 = 3660 * 24 * 3600 * 1000;

impl std::str::FromStr for Span {
    type Err = TimeError;

    /// Reads `30s`, `5m`, `1h30m`, `250ms`, `2d`: whole numbers with a unit, the larger unit first, nothing between.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        const UNITS: [(&str, u64); 5] = [("d", 24 * 3600 * 1000), ("h", 3600 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];
        let shape = || TimeError::new(format!("`{text}` is not a length of time"), "write for example `30s`, `5m` or `1h30m`");
        let mut rest = text;
        let mut millis: u64 = 0;
        let mut next_unit = 0;
        if rest.is_empty() {
            return Err(shape());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_alphabetic).count();
            if digits == 0 {
                return Err(shape());
            }
            let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
            if digits == text.len() {
                return Err(TimeError::new(
                    format!("`{text}` has no unit"),
                    format!("write `{text}s` for seconds or `{text}m` for minutes"),
                ));
            }
            let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else { return Err(shape()) };
            if at < next_unit {
                return Err(shape());
            }
            next_unit = at + 1;
            let too_long = || TimeError::new(format!("`{text}` is too long"), "the longest time is ten years");
            millis = number
                .parse::<u64>()
                .ok()
                .and_then(|count| count.checked_mul(UNITS[at].1))
                .and_then(|part| millis.checked_add(part))
                .filter(|sum| *sum <= LONGEST)
                .ok_or_else(too_long)?;
            rest = &rest[digits + letters..];
        }
        Ok(Span(millis))
    }
}

/// Finds a time zone by its IANA name.
///
/// # Errors
/// The name is not known on this machine.
pub fn zone(name: &str) -> Result<jiff::tz::TimeZone, TimeError> {
    jiff::tz::TimeZone::get(name).map_err(|_| {
        TimeError::new(format!("the time zone `{name}` is not known"), "use a name of the IANA database, such as `Europe/Madrid`")
    })
}

/// Reads `2026-11-27 22:00` as the local time of `zone`. A time that the clocks skip or repeat is refused: nobody on
/// a bridge call should have to guess which of the two was meant.
///
/// # Errors
/// The text has another shape, or the moment does not exist exactly once.
pub fn local(text: &str, zone: &jiff::tz::TimeZone) -> Result<Timestamp, TimeError> {
    use jiff::tz::AmbiguousOffset;

    let shape = || {
        TimeError::new(
            format!("`{text}` is not a local date and time"),
            "write it as `\"2026-11-27 22:00\"`, in quotes and without an offset",
        )
    };
    let pattern: &[u8] = match text.len() {
        16 => b"0000-00-00 00:00",
        19 => b"0000-00-00 00:00:00",
        _ => return Err(shape()),
    };
    let fits = text.bytes().zip(pattern).all(|(found, wanted)| match wanted {
        b'0' => found.is_ascii_digit(),
        b' ' => found == b' ' || found == b'T',
        other => found == *other,
    });
    if !fits {
        return Err(shape());
    }
    let time: jiff::civil::DateTime = text.parse().map_err(|_| shape())?;
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().map(Timestamp).map_err(|_| shape()),
        AmbiguousOffset::Gap { .. } => Err(TimeError::new(
            format!("`{text}` does not exist: the clocks go forward over it"),
            "choose a time before or after the change of the clocks",
        )),
        AmbiguousOffset::Fold { .. } => Err(TimeError::new(
            format!("`{text}` happens twice: the clocks go back over it"),
            "choose a time before or after the change of the clocks",
        )),
    }
}

/// Reads an instant: RFC 3339 with an offset (`2026-11-27T22:00:00+01:00`), or a local time if a zone is given.
///
/// # Errors
/// Neither fits.
pub fn instant(text: &str, zone: Option<&jiff::tz::TimeZone>) -> Result<Timestamp, TimeError> {
    if let Ok(exact) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(exact));
    }
    match zone {
        Some(zone) => local(text, zone),
        None => Err(TimeError::new(
            format!("`{text}` has no time zone"),
            "write it with an offset, such as `2026-11-27T22:00:00+01:00`, or give the run a window with a `timezone`",
        )),
    }
}
