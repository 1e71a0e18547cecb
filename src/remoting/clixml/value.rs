//! The values themselves.

use std::sync::Arc;

use uuid::Uuid;

/// One value of PowerShell.
///
/// The primitive types are those of [MS-PSRP] section 2.2.5.1. Where the wire has a text that Rust's types would
/// shorten (dates with tenths of microseconds, decimals of 96 bits), the text of the wire is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `$null`.
    #[default]
    Nil,
    /// `S`: a string.
    String(String),
    /// `C`: one unit of UTF-16, maybe half of a pair.
    Char(u16),
    /// `B`.
    Bool(bool),
    /// `DT`: date and time as on the wire, say `2012-05-27T18:04:00.1234567Z`, with or without an offset.
    DateTime(String),
    /// `TS`: a duration as on the wire, say `PT9.0269026S`.
    Duration(String),
    /// `By`: unsigned byte.
    U8(u8),
    /// `SB`: signed byte.
    I8(i8),
    /// `U16`.
    U16(u16),
    /// `I16`.
    I16(i16),
    /// `U32`.
    U32(u32),
    /// `I32`: what PowerShell means by an integer.
    I32(i32),
    /// `U64`.
    U64(u64),
    /// `I64`.
    I64(i64),
    /// `Sg`: single precision.
    Single(f32),
    /// `Db`: double precision.
    Double(f64),
    /// `D`: a decimal as on the wire.
    Decimal(String),
    /// `BA`: an array of bytes.
    Bytes(Vec<u8>),
    /// `G`.
    Guid(Uuid),
    /// `URI`.
    Uri(String),
    /// `Version`: two to four numbers with dots between them.
    Version(String),
    /// `XD`: an XML document, as text.
    Xml(String),
    /// `SBK`: a block of script, as text.
    ScriptBlock(String),
    /// `SS`: a secure string, encrypted with the session's key, in Base64. Opaque here.
    SecureString(String),
    /// `Obj`: everything else. Objects that a message mentions twice are shared.
    Object(Arc<Object>),
}

/// A complex object ([MS-PSRP] section 2.2.5.2). The order of properties is that of the wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// `TN`: from the most special to the most general. Empty where the wire has none.
    pub type_names: Vec<String>,
    /// `ToString`: how the other side would show the object.
    pub to_string: Option<String>,
    /// What stands in the object beside its properties.
    pub content: Content,
    /// `Props`: what the object's type brings.
    pub adapted: Vec<Property>,
    /// `MS`: what was added to the object.
    pub extended: Vec<Property>,
}

/// What stands in an object beside its properties.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Content {
    /// Nothing.
    #[default]
    None,
    /// A value of a primitive type: the number of an enumeration, or a primitive with properties of its own.
    Primitive(Value),
    /// `LST`: lists and arrays; the type names tell which.
    List(Vec<Value>),
    /// `IE`: anything that can be enumerated.
    Enumerable(Vec<Value>),
    /// `STK`: as on the wire.
    Stack(Vec<Value>),
    /// `QUE`: first in, first out.
    Queue(Vec<Value>),
    /// `DCT`: pairs in the order of the wire; keys of any type.
    Dictionary(Vec<(Value, Value)>),
    /// A named group of extended properties (`MS` within `MS`); the properties are the object's `extended`.
    PropertySet,
}

/// A property: its name (`N`) and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The name, without escapes.
    pub name: String,
    /// The value.
    pub value: Value,
}

fn find<'a>(properties: &'a [Property], name: &str) -> Option<&'a Value> {
    properties.iter().find(|property| property.name.eq_ignore_ascii_case(name)).map(|property| &property.value)
}

impl Object {
    /// The property of this name, extended before adapted; names do not care for case, as in PowerShell.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Value> {
        find(&self.extended, name).or_else(|| find(&self.adapted, name))
    }

    /// Whether `name` is among the type names, also behind the prefix `Deserialized.` that a round through another
    /// runspace leaves.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.type_names.iter().any(|own| own.strip_prefix("Deserialized.").unwrap_or(own) == name)
    }

    /// The elements of a list, array, enumerable, stack or queue.
    #[must_use]
    pub fn items(&self) -> Option<&[Value]> {
        match &self.content {
            Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => Some(items),
            Content::None | Content::Primitive(_) | Content::Dictionary(_) | Content::PropertySet => None,
        }
    }
}
