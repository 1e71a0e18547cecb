//! A row of a result, as PowerShell sends it: an object of the type `System.Data.DataRow` whose columns are properties.

use crate::remoting::clixml::Value;

/// What a `DataRow` has besides its columns; PowerShell sends these along with them.
const OWN: &[&str] = &["RowError", "RowState", "Table", "ItemArray", "HasErrors"];

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Value);

impl Row {
    /// Takes an object as a row.
    ///
    /// # Errors
    /// It is none.
    pub fn of(value: Value) -> Result<Self, String> {
        match value.as_object() {
            Some(object) if object.is("System.Data.DataRow") => Ok(Row(value)),
            _ => Err("the answer holds something that is no row of a result".to_owned()),
        }
    }

    /// Its columns, in order. `NULL` is `None`.
    #[must_use]
    pub fn columns(&self) -> Vec<(&str, Option<&Value>)> {
        let properties = self.0.as_object().map(|object| object.adapted.as_slice()).unwrap_or_default();
        let is_column = |name: &str| !OWN.contains(&name);
        properties.iter().filter(|it| is_column(&it.name)).map(|it| (it.name.as_str(), not_null(&it.value))).collect()
    }

    fn get(&self, name: &str) -> Result<Option<&Value>, String> {
        let found = self.columns().into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).ok_or_else(|| format!("SQL Server's answer has no column `{name}`"))
    }

    /// A text, id, date or number, as text; `None` for `NULL`.
    ///
    /// # Errors
    /// There is no such column.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.get(name)?.map(|value| value.to_text().trim_end().to_owned()))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// There is none.
    pub fn needed(&self, name: &str) -> Result<String, String> {
        self.text(name)?.ok_or_else(|| format!("SQL Server's answer has nothing in the column `{name}`"))
    }

    /// A whole number; `None` for `NULL`.
    ///
    /// # Errors
    /// There is no such column, or it holds something else.
    pub fn number(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        whole(value).map(Some).ok_or_else(|| format!("SQL Server's answer has no whole number in the column `{name}`"))
    }

    /// A bit, or a number that is one; `NULL` is neither.
    ///
    /// # Errors
    /// As [`Row::number`].
    pub fn truth(&self, name: &str) -> Result<Option<bool>, String> {
        match self.get(name)? {
            Some(value) if value.as_bool().is_some() => Ok(value.as_bool()),
            Some(_) => Ok(self.number(name)?.map(|number| number != 0)),
            None => Ok(None),
        }
    }
}

fn not_null(value: &Value) -> Option<&Value> {
    let is_null = value.is_nil() || value.as_object().is_some_and(|object| object.is("System.DBNull"));
    (!is_null).then_some(value)
}

/// A whole number of any of SQL Server's types; a decimal only without a fraction.
#[must_use]
pub fn whole(value: &Value) -> Option<i64> {
    match value.primitive() {
        Value::Decimal(text) => match text.split_once('.') {
            Some((number, rest)) if rest.bytes().all(|byte| byte == b'0') => number.parse().ok(),
            Some(_) => None,
            None => text.parse().ok(),
        },
        _ => value.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::clixml::Object;

    fn row() -> Row {
        let null = Object { type_names: vec!["Deserialized.System.DBNull".to_owned()], ..Object::default() };
        let columns = [
            ("n", Value::I32(3)),
            ("size", Value::Decimal("4096".to_owned())),
            ("half", Value::Decimal("0.5".to_owned())),
            ("none", Value::from(null)),
            ("name", Value::from("a  ")),
            ("RowError", Value::from("")),
            ("Table", Value::Nil),
        ];
        let value = Value::typed(&["Deserialized.System.Data.DataRow", "Deserialized.System.Object"], None, columns);
        Row::of(value).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn columns_are_read_without_what_every_row_has() {
        let row = row();
        assert_eq!(row.columns().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["n", "size", "half", "none", "name"]);
        assert_eq!(row.number("N"), Ok(Some(3)));
        assert_eq!(row.number("size"), Ok(Some(4096)));
        assert!(row.number("half").is_err() && row.number("name").is_err() && row.number("other").is_err());
        assert_eq!(row.text("none"), Ok(None));
        assert!(row.needed("none").is_err());
        assert_eq!(row.text("name"), Ok(Some("a".to_owned())));
    }

    #[test]
    fn what_is_no_row_is_refused() {
        assert!(Row::of(Value::from("3")).is_err());
        assert!(Row::of(Value::custom([("n", 3)])).is_err());
    }
}
