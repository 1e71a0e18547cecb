//! Durations as XML Schema writes them: `PT20.000S`, `P0DT2H0M0S`.

use std::time::Duration;

/// In seconds with three places, as Windows writes them.
pub(super) fn write(duration: Duration) -> String {
    format!("PT{}.{:03}S", duration.as_secs(), duration.subsec_millis())
}

/// `None` for what is no duration, is negative, or counts in months and years.
pub(super) fn read(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    if span.is_negative() || span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let hours = i64::from(span.get_hours()) + 24 * i64::from(span.get_days()) + 168 * i64::from(span.get_weeks());
    let seconds = hours.checked_mul(3600)?.checked_add(span.get_minutes().checked_mul(60)?)?.checked_add(span.get_seconds())?;
    let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
    seconds
        .checked_add(Duration::from_millis(u64::try_from(span.get_milliseconds()).ok()?))?
        .checked_add(Duration::from_micros(u64::try_from(span.get_microseconds()).ok()?))?
        .checked_add(Duration::from_nanos(u64::try_from(span.get_nanoseconds()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_servers_and_of_ours_are_read() {
        for (text, millis) in [("PT20.000S", 20_000), ("P0DT2H0M0S", 7_200_000), ("P1DT1S", 86_401_000), ("PT0.5S", 500)] {
            assert_eq!(read(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(write(Duration::from_millis(1500)), "PT1.500S");
        for text in ["", "20", "P1Y", "-PT1S", "PT"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
