//! From values to XML.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::error::ClixmlError;
use super::escape::escape_xml;
use super::{Content, Object, Property, Value, kinds};

/// How deep values may be nested, in levels. What is deeper is refused here, before the other side does it.
pub const DEEPEST: usize = 64;

/// The value as CLIXML: one element, without an XML declaration.
///
/// Ids of objects are unique within the text and count from 0, ids of type names have a count of their own. An object
/// that the value shares is written once and referred to afterwards.
///
/// # Errors
/// [`ClixmlError::TooDeep`] beyond [`DEEPEST`].
pub fn write(value: &Value) -> Result<String, ClixmlError> {
    let mut writer = Writer::default();
    writer.value(value, None, 1)?;
    Ok(writer.out)
}

#[derive(Default)]
struct Writer<'a> {
    out: String,
    /// Ids of objects that may come again, by their place in memory.
    shared: HashMap<*const Object, usize>,
    next_object: usize,
    type_names: HashMap<&'a [String], usize>,
}

impl<'a> Writer<'a> {
    /// Opens an element but for its `>`, with the name of the property that it is.
    fn open(&mut self, element: &str, name: Option<&str>) {
        self.out.push('<');
        self.out.push_str(element);
        if let Some(name) = name {
            self.out.push_str(" N=\"");
            escape_xml(name, &mut self.out);
            self.out.push('"');
        }
    }

    fn close(&mut self, element: &str) {
        self.out.push_str("</");
        self.out.push_str(element);
        self.out.push('>');
    }

    fn value(&mut self, value: &'a Value, name: Option<&str>, depth: usize) -> Result<(), ClixmlError> {
        if depth > DEEPEST {
            return Err(ClixmlError::TooDeep { limit: DEEPEST });
        }
        if let Value::Object(object) = value {
            return self.object(object, name, depth);
        }
        let mut text = String::new();
        let element = kinds::write(value, &mut text).unwrap_or("Nil");
        self.open(element, name);
        if text.is_empty() {
            self.out.push_str("/>");
        } else {
            self.out.push('>');
            self.out.push_str(&text);
            self.close(element);
        }
        Ok(())
    }

    fn object(&mut self, object: &'a Arc<Object>, name: Option<&str>, depth: usize) -> Result<(), ClixmlError> {
        if Arc::strong_count(object) > 1 {
            if let Some(id) = self.shared.get(&Arc::as_ptr(object)) {
                let id = *id;
                self.open("Ref", name);
                let _ = write!(self.out, " RefId=\"{id}\"/>");
                return Ok(());
            }
            self.shared.insert(Arc::as_ptr(object), self.next_object);
        }
        let id = self.next_object;
        self.next_object += 1;
        self.open("Obj", name);
        let _ = write!(self.out, " RefId=\"{id}\">");
        self.type_names(&object.type_names);
        if let Some(text) = &object.to_string {
            self.out.push_str("<ToString>");
            escape_xml(text, &mut self.out);
            self.close("ToString");
        }
        match &object.content {
            Content::None | Content::PropertySet => {}
            Content::Primitive(value) => self.value(value, None, depth + 1)?,
            Content::List(items) => self.items("LST", items, depth)?,
            Content::Enumerable(items) => self.items("IE", items, depth)?,
            Content::Stack(items) => self.items("STK", items, depth)?,
            Content::Queue(items) => self.items("QUE", items, depth)?,
            Content::Dictionary(entries) => {
                self.out.push_str("<DCT>");
                for (key, value) in entries {
                    self.out.push_str("<En>");
                    self.value(key, Some("Key"), depth + 1)?;
                    self.value(value, Some("Value"), depth + 1)?;
                    self.close("En");
                }
                self.close("DCT");
            }
        }
        if !object.adapted.is_empty() {
            self.out.push_str("<Props>");
            self.properties(&object.adapted, depth)?;
            self.close("Props");
        }
        if !object.extended.is_empty() {
            self.out.push_str("<MS>");
            self.properties(&object.extended, depth)?;
            self.close("MS");
        }
        self.close("Obj");
        Ok(())
    }

    fn type_names(&mut self, names: &'a [String]) {
        if names.is_empty() {
            return;
        }
        if let Some(id) = self.type_names.get(names) {
            let _ = write!(self.out, "<TNRef RefId=\"{id}\"/>");
            return;
        }
        let id = self.type_names.len();
        self.type_names.insert(names, id);
        let _ = write!(self.out, "<TN RefId=\"{id}\">");
        for name in names {
            self.out.push_str("<T>");
            escape_xml(name, &mut self.out);
            self.close("T");
        }
        self.close("TN");
    }

    fn items(&mut self, element: &str, items: &'a [Value], depth: usize) -> Result<(), ClixmlError> {
        self.open(element, None);
        self.out.push('>');
        for item in items {
            self.value(item, None, depth + 1)?;
        }
        self.close(element);
        Ok(())
    }

    fn properties(&mut self, properties: &'a [Property], depth: usize) -> Result<(), ClixmlError> {
        for property in properties {
            match &property.value {
                Value::Object(set) if set.content == Content::PropertySet => {
                    if depth >= DEEPEST {
                        return Err(ClixmlError::TooDeep { limit: DEEPEST });
                    }
                    self.open("MS", Some(&property.name));
                    self.out.push('>');
                    self.properties(&set.extended, depth + 1)?;
                    self.close("MS");
                }
                value => self.value(value, Some(&property.name), depth + 1)?,
            }
        }
        Ok(())
    }
}
