//! What is wrong with a text that should have been CLIXML, or with a value that should become it.

/// Why a text is no CLIXML, or a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClixmlError {
    /// More bytes than the reader was told to accept, counting what references repeat.
    #[error("the value takes more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Values within values, deeper than is sane.
    #[error("the value is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// More elements and values than the reader was told to accept, counting what references repeat.
    #[error("the value has more than {limit} parts")]
    TooMany {
        /// The limit, in nodes.
        limit: u32,
    },
    /// Not XML, or XML with a document type.
    #[error("not XML: {0}")]
    Xml(String),
    /// Bytes that are not UTF-8.
    #[error("not text in UTF-8, first at byte {0}")]
    Utf8(usize),
    /// An element that has no place where it stands.
    #[error("the element `{element}` has no place within `{parent}`")]
    Misplaced {
        /// Its local name.
        element: String,
        /// The local name of the element around it.
        parent: String,
    },
    /// The text of an element is no value of its type.
    #[error("`{text}` is no value of the element `{element}`")]
    NoValue {
        /// The element's local name.
        element: String,
        /// The text, cut.
        text: String,
    },
    /// An attribute that must be there is not.
    #[error("the element `{element}` has no attribute `{attribute}`")]
    NoAttribute {
        /// The element's local name.
        element: String,
        /// The attribute's name.
        attribute: &'static str,
    },
    /// An object with two contents, say a list and a number.
    #[error("an object has two contents, the second is `{0}`")]
    TwoContents(String),
    /// An entry of a dictionary without a key, without a value, or with more than these.
    #[error("an entry of a dictionary is not one key and one value")]
    NoEntry,
    /// A reference to an object, or to type names, that did not come before.
    #[error("`{0}` refers to nothing that came before")]
    UnknownReference(String),
    /// A reference to an object from within itself.
    #[error("the object `{0}` contains itself")]
    Cycle(String),
    /// Two objects with one id.
    #[error("the id `{0}` was given twice")]
    DuplicateId(String),
}

/// A foreign text, short enough for a message.
pub(super) fn cut(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
