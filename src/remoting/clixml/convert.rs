//! From values to what Rust works with. An enumeration or an extended primitive answers as the primitive within it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Content, Object, Value};

impl Value {
    /// The object, where this is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The primitive that stands in an object, else the value itself.
    #[must_use]
    pub fn primitive(&self) -> &Value {
        match self {
            Value::Object(object) => match &object.content {
                Content::Primitive(value) => value,
                _ => self,
            },
            _ => self,
        }
    }

    /// Whether this is `$null`.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self.primitive(), Value::Nil)
    }

    /// The property of this name, or the value under this key of a dictionary. Names do not care for case, as in
    /// PowerShell; a property goes before a key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let object = self.as_object()?;
        object.property(name).or_else(|| match &object.content {
            Content::Dictionary(entries) => {
                let is_key = |key: &Value| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
                entries.iter().find(|(key, _)| is_key(key)).map(|(_, value)| value)
            }
            _ => None,
        })
    }

    /// The text of a string, URI, version, document, script block, date, duration or decimal.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.primitive() {
            Value::String(text)
            | Value::Uri(text)
            | Value::Version(text)
            | Value::Xml(text)
            | Value::ScriptBlock(text)
            | Value::DateTime(text)
            | Value::Duration(text)
            | Value::Decimal(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where this is an integer of any width (or an enumeration) that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self.primitive() {
            Value::U8(number) => Some(number.into()),
            Value::I8(number) => Some(number.into()),
            Value::U16(number) => Some(number.into()),
            Value::I16(number) => Some(number.into()),
            Value::U32(number) => Some(number.into()),
            Value::I32(number) => Some(number.into()),
            Value::I64(number) => Some(number),
            Value::U64(number) => i64::try_from(number).ok(),
            _ => None,
        }
    }

    /// The number, where this is an integer of any width that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self.primitive() {
            Value::U64(number) => Some(number),
            _ => u64::try_from(self.as_i64()?).ok(),
        }
    }

    /// The truth value.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self.primitive() {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// The id.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        match *self.primitive() {
            Value::Guid(id) => Some(id),
            _ => None,
        }
    }

    /// The bytes of an array of bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.primitive() {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of a list, array, enumerable, stack or queue.
    #[must_use]
    pub fn items(&self) -> Option<&[Value]> {
        self.as_object()?.items()
    }

    /// The pairs of a dictionary.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match &self.as_object()?.content {
            Content::Dictionary(entries) => Some(entries),
            _ => None,
        }
    }

    /// The instant, where a date has an offset; without one only the sender knows which instant is meant.
    #[must_use]
    pub fn as_timestamp(&self) -> Option<Timestamp> {
        match self.primitive() {
            Value::DateTime(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The length of a duration.
    #[must_use]
    pub fn as_duration(&self) -> Option<SignedDuration> {
        match self.primitive() {
            Value::Duration(text) => text.parse().ok().or_else(|| with_days(text)),
            _ => None,
        }
    }
}

/// A duration with days, each of 24 hours: what .NET's `TimeSpan` means by them.
fn with_days(text: &str) -> Option<SignedDuration> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (days, rest) = rest.strip_prefix('P')?.split_once('D')?;
    let days = SignedDuration::from_hours(days.parse::<i64>().ok().filter(|days| (0..=10_675_199).contains(days))? * 24);
    let time = if rest.is_empty() { SignedDuration::ZERO } else { format!("P{rest}").parse().ok()? };
    days.checked_add(time)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_days_are_multiples_of_twenty_four_hours() {
        let seconds = |text: &str| Value::Duration(text.into()).as_duration().map(|length| length.as_secs_f64());
        assert_eq!(seconds("PT9.5S"), Some(9.5));
        assert_eq!(seconds("P1DT1H"), Some(90_000.0));
        assert_eq!(seconds("-P2D"), Some(-172_800.0));
        assert_eq!(seconds("P99999999999999999999D"), None);
        assert_eq!(seconds("PXD"), None);
    }

    #[test]
    fn a_date_is_an_instant_only_with_an_offset() {
        let instant = |text: &str| Value::DateTime(text.into()).as_timestamp().map(Timestamp::as_nanosecond);
        assert_eq!(instant("1970-01-01T01:00:00.0000001+01:00"), Some(100));
        assert_eq!(instant("1970-01-01T01:00:00"), None);
    }

    #[test]
    fn properties_and_keys_are_found_without_regard_to_case() {
        let dictionary = Value::dictionary([("Name", "web1")]);
        assert_eq!(dictionary.get("name").and_then(Value::as_str), Some("web1"));
        let object = Value::object([("Status", Value::enumeration("A.B", "Running", 4))]);
        assert_eq!(object.get("status").and_then(Value::as_i64), Some(4));
        assert_eq!(object.get("State"), None);
    }
}
