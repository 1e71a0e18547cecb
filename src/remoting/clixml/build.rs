//! From what Rust works with to values.

use std::sync::Arc;

use uuid::Uuid;

use super::{Content, Object, Property, Value};

/// The type names of an array of objects.
const ARRAY: [&str; 3] = ["System.Object[]", "System.Array", "System.Object"];
const ARRAY_LIST: [&str; 2] = ["System.Collections.ArrayList", "System.Object"];
const HASHTABLE: [&str; 2] = ["System.Collections.Hashtable", "System.Object"];

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn properties<N: Into<String>, V: Into<Value>>(pairs: impl IntoIterator<Item = (N, V)>) -> Vec<Property> {
    pairs.into_iter().map(|(name, value)| Property::new(name, value)).collect()
}

impl Property {
    /// A property.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Property { name: name.into(), value: value.into() }
    }
}

impl Value {
    /// An object without type names, with extended properties: the form of most messages.
    #[must_use]
    pub fn object<N: Into<String>, V: Into<Value>>(extended: impl IntoIterator<Item = (N, V)>) -> Self {
        Object { extended: properties(extended), ..Object::default() }.into()
    }

    /// An object of a type, with adapted properties and the text that shows it: what a cmdlet puts out.
    #[must_use]
    pub fn typed<N: Into<String>, V: Into<Value>>(
        type_names: &[&str],
        to_string: Option<&str>,
        adapted: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Object {
            type_names: owned(type_names),
            to_string: to_string.map(str::to_owned),
            adapted: properties(adapted),
            ..Object::default()
        }
        .into()
    }

    /// A custom object, as `[pscustomobject]@{…}` makes it.
    #[must_use]
    pub fn custom<N: Into<String>, V: Into<Value>>(extended: impl IntoIterator<Item = (N, V)>) -> Self {
        let type_names = owned(&["System.Management.Automation.PSCustomObject", "System.Object"]);
        Object { type_names, extended: properties(extended), ..Object::default() }.into()
    }

    /// An array of objects.
    #[must_use]
    pub fn array<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Self {
        let items = items.into_iter().map(Into::into).collect();
        Object { type_names: owned(&ARRAY), content: Content::List(items), ..Object::default() }.into()
    }

    /// An `ArrayList`: what messages use for lists.
    #[must_use]
    pub fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Self {
        let items = items.into_iter().map(Into::into).collect();
        Object { type_names: owned(&ARRAY_LIST), content: Content::List(items), ..Object::default() }.into()
    }

    /// A hashtable.
    #[must_use]
    pub fn dictionary<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Object { type_names: owned(&HASHTABLE), content: Content::Dictionary(entries), ..Object::default() }.into()
    }

    /// The value of an enumeration: its type, its name, its number ([MS-PSRP] section 2.2.5.2.7).
    #[must_use]
    pub fn enumeration(type_name: &str, name: &str, number: i32) -> Self {
        Object {
            type_names: owned(&[type_name, "System.Enum", "System.ValueType", "System.Object"]),
            to_string: Some(name.to_owned()),
            content: Content::Primitive(Value::I32(number)),
            ..Object::default()
        }
        .into()
    }

    /// A version of two numbers.
    #[must_use]
    pub fn version(major: u32, minor: u32) -> Self {
        Value::Version(format!("{major}.{minor}"))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(Arc::new(object))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Value::Nil, Into::into)
    }
}

impl<V: Into<Value>> From<Vec<V>> for Value {
    /// An array of objects.
    fn from(items: Vec<V>) -> Self {
        Value::array(items)
    }
}

impl From<jiff::Timestamp> for Value {
    /// In UTC, cut to the tenth of a microsecond, which is all that .NET holds.
    fn from(instant: jiff::Timestamp) -> Self {
        Value::DateTime(format!("{instant:.7}"))
    }
}

impl From<jiff::SignedDuration> for Value {
    /// Cut to the tenth of a microsecond.
    fn from(length: jiff::SignedDuration) -> Self {
        let sign = if length.is_negative() { "-" } else { "" };
        let (seconds, ticks) = (length.as_secs().unsigned_abs(), length.subsec_nanos().unsigned_abs() / 100);
        Value::Duration(format!("{sign}PT{seconds}.{ticks:07}S"))
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value)
            }
        }
    )*};
}
from!(String => String, bool => Bool, u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64,
    f32 => Single, f64 => Double, Uuid => Guid, Arc<Object> => Object);
