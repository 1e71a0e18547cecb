//! Rows as `Invoke-Sqlcmd` puts them out: objects of the type `System.Data.DataRow`, whose columns are adapted properties.

use rusqlite::types::ValueRef;

use crate::remoting::clixml::{Object, Value};

/// A value, by the type that its column was declared with; what was computed goes by its own.
#[must_use]
pub fn value(raw: ValueRef<'_>, declared: Option<&str>) -> Value {
    let kind = declared.unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split('(').next().unwrap_or_default().trim();
    match raw {
        ValueRef::Null => null(),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(number) => Value::Double(number),
        ValueRef::Integer(number) => match kind {
            "bit" => Value::Bool(number != 0),
            "bigint" => Value::I64(number),
            "numeric" | "decimal" => Value::Decimal(number.to_string()),
            _ => i32::try_from(number).map_or(Value::I64(number), Value::I32),
        },
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match kind {
                "datetime" => Value::DateTime(text),
                "numeric" | "decimal" => Value::Decimal(text),
                "uniqueidentifier" => text.parse().map_or_else(|_| Value::from(text.as_str()), Value::Guid),
                _ => Value::String(text),
            }
        }
    }
}

/// `DBNull`: an object of its own.
fn null() -> Value {
    let type_names = ["System.DBNull", "System.Object"].map(str::to_owned).to_vec();
    Object { type_names, to_string: Some(String::new()), ..Object::default() }.into()
}

/// The name of a column; what has none is counted, as ADO.NET does it. `origin` tells a column of a table.
#[must_use]
pub fn column_name(name: &str, origin: bool, place: usize) -> String {
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '#' | '$'));
    let is_number = name.starts_with(|c: char| c.is_ascii_digit());
    if origin || (is_name && !is_number && !name.eq_ignore_ascii_case("null")) {
        name.to_owned()
    } else {
        format!("Column{}", place + 1)
    }
}

/// A row.
#[must_use]
pub fn row(columns: Vec<(String, Value)>) -> Value {
    let items = Value::array(columns.iter().map(|(_, value)| value.clone()));
    let own = [
        ("RowError", Value::from("")),
        ("RowState", Value::enumeration("System.Data.DataRowState", "Unchanged", 2)),
        ("Table", Value::typed::<&str, Value>(&["System.Data.DataTable", "System.Object"], Some(""), [])),
        ("ItemArray", items),
        ("HasErrors", Value::Bool(false)),
    ];
    let all = columns.into_iter().chain(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::typed(&["System.Data.DataRow", "System.Object"], Some("System.Data.DataRow"), all)
}
