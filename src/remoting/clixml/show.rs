//! Values as the other side would show them.

use super::{Content, Object, Value};

impl Value {
    /// The text that PowerShell would put for the value into a string.
    ///
    /// An object's own text (`ToString`) goes first; lists are their elements with spaces between, a custom object is
    /// `@{name=value; …}`. The culture is always the invariant one.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.show(&mut out);
        out
    }

    fn show(&self, out: &mut String) {
        match self {
            Value::Nil => {}
            Value::Char(unit) => out.extend(char::decode_utf16([*unit]).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))),
            Value::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
            Value::Bytes(bytes) => join(bytes, " ", out, |byte, out| out.push_str(&byte.to_string())),
            Value::SecureString(_) => out.push_str("System.Security.SecureString"),
            Value::Object(object) => object.show(out),
            Value::String(text)
            | Value::Uri(text)
            | Value::Version(text)
            | Value::Xml(text)
            | Value::ScriptBlock(text)
            | Value::DateTime(text)
            | Value::Duration(text)
            | Value::Decimal(text) => out.push_str(text),
            Value::U8(number) => out.push_str(&number.to_string()),
            Value::I8(number) => out.push_str(&number.to_string()),
            Value::U16(number) => out.push_str(&number.to_string()),
            Value::I16(number) => out.push_str(&number.to_string()),
            Value::U32(number) => out.push_str(&number.to_string()),
            Value::I32(number) => out.push_str(&number.to_string()),
            Value::U64(number) => out.push_str(&number.to_string()),
            Value::I64(number) => out.push_str(&number.to_string()),
            Value::Single(number) => out.push_str(&number.to_string()),
            Value::Double(number) => out.push_str(&number.to_string()),
            Value::Guid(id) => out.push_str(&id.to_string()),
        }
    }
}

fn join<T>(items: &[T], between: &str, out: &mut String, mut show: impl FnMut(&T, &mut String)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        show(item, out);
    }
}

impl Object {
    fn show(&self, out: &mut String) {
        if let Some(text) = &self.to_string {
            out.push_str(text);
            return;
        }
        match &self.content {
            Content::Primitive(value) => value.show(out),
            Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
                join(items, " ", out, Value::show);
            }
            Content::Dictionary(_) => {
                out.push_str(self.type_names.first().map_or("System.Collections.Hashtable", String::as_str));
            }
            Content::None | Content::PropertySet => {
                out.push_str("@{");
                let properties: Vec<_> = self.adapted.iter().chain(&self.extended).collect();
                join(&properties, "; ", out, |property, out| {
                    out.push_str(&property.name);
                    out.push('=');
                    property.value.show(out);
                });
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_powershell_shows_them_within_a_string() {
        let object = Value::custom([("Name", Value::from("web1")), ("Up", true.into()), ("Ports", Value::array([80, 443]))]);
        assert_eq!(object.to_text(), "@{Name=web1; Up=True; Ports=80 443}");
        assert_eq!(Value::enumeration("System.ServiceProcess.ServiceControllerStatus", "Running", 4).to_text(), "Running");
        assert_eq!(Value::Bytes(vec![1, 255]).to_text(), "1 255");
        assert_eq!(Value::Char(0x41).to_text(), "A");
        assert_eq!(Value::Char(0xd83d).to_text(), "\u{fffd}");
        assert_eq!(Value::dictionary([("a", 1)]).to_text(), "System.Collections.Hashtable");
        assert_eq!(Value::Nil.to_text(), "");
    }
}
