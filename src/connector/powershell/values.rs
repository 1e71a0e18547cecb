//! From PowerShell's values to ours: properties of one object, and whole values as JSON for expressions.

use serde_json::{Map, Number, Value as Json};

use crate::remoting::clixml::{Content, Value};

/// Of a text in a fact, in bytes.
const LONGEST: usize = 64 * 1024;
/// How deep an object is shown.
const DEPTH: usize = 6;
/// How many values at most; beyond, `null` stands.
const MOST: usize = 10_000;

/// A text property.
///
/// # Errors
/// It is not there, or not a text.
pub fn text(object: &Value, name: &str) -> Result<String, String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| missing(name))
}

/// A whole number.
///
/// # Errors
/// It is not there, or not a number.
pub fn number(object: &Value, name: &str) -> Result<i64, String> {
    object.get(name).and_then(Value::as_i64).ok_or_else(|| missing(name))
}

/// A truth value.
///
/// # Errors
/// It is not there, or neither true nor false.
pub fn truth(object: &Value, name: &str) -> Result<bool, String> {
    object.get(name).and_then(Value::as_bool).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> String {
    format!("the host's answer has no usable `{name}`")
}

/// A value as JSON, if all of it can be kept: no text is cut, nothing is left out.
#[must_use]
pub fn whole(value: &Value) -> Option<Json> {
    let mut count = Count { values: 0, cut: false };
    let json = convert(value, 0, &mut count);
    (!count.cut).then_some(json)
}

/// What a conversion has met.
struct Count {
    values: usize,
    cut: bool,
}

/// A value as JSON: texts, numbers, truth values, lists and maps as such; an enumeration as its name; bytes, dates and all
/// else as the text that PowerShell would show. Long texts are cut, deep and endless values end in `null`.
#[must_use]
pub fn json(value: &Value) -> Json {
    convert(value, 0, &mut Count { values: 0, cut: false })
}

fn convert(value: &Value, depth: usize, count: &mut Count) -> Json {
    count.values += 1;
    if depth > DEPTH || count.values > MOST {
        count.cut = true;
        return Json::Null;
    }
    let text = |text: String, count: &mut Count| {
        count.cut |= text.len() > LONGEST;
        Json::String(crate::foreign::cut(text, LONGEST))
    };
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Single(number) => Number::from_f64(f64::from(*number)).map_or(Json::Null, Json::Number),
        Value::Double(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::U64(number) => Json::Number((*number).into()),
        Value::Object(object) => match &object.content {
            Content::Primitive(inner) => match &object.to_string {
                // The name of an enumeration says more than its number.
                Some(name) if object.type_names.iter().any(|own| own.ends_with("System.Enum")) => text(name.clone(), count),
                _ => convert(inner, depth, count),
            },
            Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
                items.iter().map(|item| convert(item, depth + 1, count)).collect()
            }
            Content::Dictionary(entries) => {
                let pairs = entries.iter().map(|(key, value)| (key.to_text(), convert(value, depth + 1, count)));
                Json::Object(pairs.collect())
            }
            Content::None | Content::PropertySet => {
                let mut map = Map::new();
                for property in object.adapted.iter().chain(&object.extended) {
                    map.insert(property.name.clone(), convert(&property.value, depth + 1, count));
                }
                if map.is_empty() { text(value.to_text(), count) } else { Json::Object(map) }
            }
        },
        _ => match value.as_i64() {
            Some(number) => Json::Number(number.into()),
            None => text(value.to_text(), count),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_cut_is_no_whole_value() {
        assert_eq!(whole(&Value::from("short")), Some(Json::from("short")));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(whole(&Value::from(long.as_str())), None);
        assert_eq!(json(&Value::from(long.as_str())).as_str().map(str::len), Some(LONGEST));
        let many = Value::list((0..=MOST).map(|_| Value::from("x")));
        assert_eq!(whole(&many), None);
        let deep = (0..=DEPTH).fold(Value::from("x"), |inner, _| Value::list([inner]));
        assert_eq!(whole(&deep), None);
    }
}
