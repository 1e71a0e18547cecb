//! Distinguished names, parsed and written by RFC 4514, and what an operation addresses.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::Chars;

use serde::{Deserialize, Serialize};

use super::guid::Guid;
use crate::foreign::one_line;

/// The well-known GUID of the Deleted Objects container, `GUID_DELETED_OBJECTS_CONTAINER_W` (\[MS-ADTS\] section
/// 6.1.1.4), written as a well-known name wants it: 32 digits without hyphens.
pub const DELETED_OBJECTS: &str = "18e2ea80684f11d2b9aa00c04f79f805";

/// A distinguished name. Two are equal if they name the same object: letter case does not count.
///
/// Case is folded character by character by Unicode's lower case, in types and in values alike; the parts of one
/// `a+b` may come in any order. A directory folds more than that (accents, runs of blanks); names that differ so are
/// different here. Likewise `CN` and `2.5.4.3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Dn(Vec<Rdn>);

/// One part of a name: `CN=ocschat`, or several joined by `+`.
#[derive(Debug, Clone)]
pub struct Rdn(Vec<(String, String)>);

impl Dn {
    /// The name of the root: no parts at all.
    #[must_use]
    pub fn root() -> Self {
        Dn(Vec::new())
    }

    /// Whether it is the root's.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the text form. Blanks around `=`, `,` and `+` do not count, as in a directory; blanks that belong to a
    /// value are escaped. Values in hexadecimal BER (`#04…`), values in quotes, and the addresses `<GUID=…>`,
    /// `<SID=…>` and `<WKGUID=…>` are refused.
    ///
    /// # Errors
    /// It is not RFC 4514: says where and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Dn::root());
        }
        let shown = || one_line(text, 200);
        if text.trim_start().starts_with('<') {
            return Err(format!("`{}` is an address, not a distinguished name; write the name, such as `CN=…,DC=…`", shown()));
        }
        let mut reader = Reader { rest: text.chars().peekable(), at: 0 };
        reader
            .name()
            .map_err(|what| format!("`{}` is not a distinguished name: {what}, at character {}", shown(), reader.at.max(1)))
    }

    /// The name of a child: `attribute=value,self`. The value is any text.
    #[must_use]
    pub fn child(&self, attribute: &str, value: &str) -> Self {
        let mut parts = vec![Rdn(vec![(attribute.to_owned(), value.to_owned())])];
        parts.extend_from_slice(&self.0);
        Dn(parts)
    }

    /// Without its first part; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.get(1..).map(|rest| Dn(rest.to_vec()))
    }

    /// Its parts, the object's own first.
    #[must_use]
    pub fn parts(&self) -> &[Rdn] {
        &self.0
    }

    /// The value of the first part, such as `ocschat`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.first()?.0.first().map(|(_, value)| value.as_str())
    }

    /// The attribute of the first part, such as `CN`.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        self.0.first()?.0.first().map(|(attribute, _)| attribute.as_str())
    }

    /// What a deleted object was called, and its objectGUID: its name is `ocschat`, a line feed, `DEL:` and the GUID
    /// (\[MS-ADTS\] section 3.1.1.5.5). `None` for names of another form.
    #[must_use]
    pub fn deleted_name(&self) -> Option<(&str, Guid)> {
        let (name, guid) = self.name()?.rsplit_once("\nDEL:")?;
        Some((name, Guid::parse(guid)?))
    }

    /// The name that this object will have when it is deleted: among the domain's deleted objects, with at most 75
    /// characters of its own name (\[MS-ADTS\] section 3.1.1.5.5). `None` for the root.
    #[must_use]
    pub fn tombstone(&self, guid: Guid, domain: &Dn) -> Option<Self> {
        let name: String = self.name()?.chars().take(75).collect();
        Some(domain.child("CN", "Deleted Objects").child(self.attribute()?, &format!("{name}\nDEL:{guid}")))
    }

    /// Whether it is `base` or lies below it.
    #[must_use]
    pub fn is_within(&self, base: &Dn) -> bool {
        self.0.ends_with(&base.0)
    }
}

impl Rdn {
    /// Attribute and value; several for a name of several parts.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(attribute, value)| (attribute.as_str(), value.as_str()))
    }

    /// What counts when two are compared.
    fn key(&self) -> Vec<(String, String)> {
        let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
        let mut key: Vec<_> = self.0.iter().map(|(attribute, value)| (fold(attribute), fold(value))).collect();
        key.sort();
        key
    }
}

impl PartialEq for Rdn {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Rdn {}

impl Hash for Rdn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Reads a name from left to right. What it returns as error is what is wrong at the character it stands at.
struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// How many characters were read.
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.at += usize::from(next.is_some());
        next
    }

    fn skip_blanks(&mut self) {
        while self.rest.peek() == Some(&' ') {
            self.next();
        }
    }

    fn name(&mut self) -> Result<Dn, String> {
        let mut name = Vec::new();
        let mut pairs = Vec::new();
        loop {
            let attribute = self.attribute()?;
            let (value, end) = self.value()?;
            pairs.push((attribute, value));
            if end == Some('+') {
                continue;
            }
            name.push(Rdn(std::mem::take(&mut pairs)));
            if end.is_none() {
                return Ok(Dn(name));
            }
        }
    }

    /// An attribute's name or dotted number, and the `=` after it.
    fn attribute(&mut self) -> Result<String, String> {
        self.skip_blanks();
        let mut attribute = String::new();
        loop {
            match self.next() {
                Some('=') => break,
                None | Some(',' | '+' | ';') => {
                    return Err(if attribute.is_empty() {
                        "a part is missing".to_owned()
                    } else {
                        format!("`{}` is no part of a name, which reads `attribute=value`", one_line(&attribute, 60))
                    });
                }
                Some(character) => attribute.push(character),
            }
        }
        attribute.truncate(attribute.trim_end_matches(' ').len());
        if is_type(&attribute) { Ok(attribute) } else { Err(format!("`{}` is no attribute", one_line(&attribute, 60))) }
    }

    /// A value, and what ended it: `,`, `+`, or nothing more.
    fn value(&mut self) -> Result<(String, Option<char>), String> {
        self.skip_blanks();
        if self.rest.peek() == Some(&'#') {
            self.next();
            return Err("a value in hexadecimal (`#…`) is not accepted; write it as text, and a leading `#` as `\\#`".to_owned());
        }
        let mut value = Vec::new();
        // Blanks at the end do not belong to the value unless they are escaped.
        let mut kept = 0;
        let end = loop {
            match self.next() {
                end @ (None | Some(',' | '+')) => break end,
                Some('\\') => value.push(self.escaped()?),
                Some(' ') => {
                    value.push(b' ');
                    continue;
                }
                Some(wrong @ ('"' | ';' | '<' | '>')) => return Err(format!("`{wrong}` must be written `\\{wrong}`")),
                Some('\0') => return Err("a NUL must be written `\\00`".to_owned()),
                Some(character) => value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            kept = value.len();
        };
        value.truncate(kept);
        let value = String::from_utf8(value).map_err(|_| "the escaped bytes are not UTF-8".to_owned())?;
        Ok((value, end))
    }

    /// What stands after a backslash.
    fn escaped(&mut self) -> Result<u8, String> {
        let wrong = || "after `\\` comes one of ` \"#+,;<=>\\`, or two hexadecimal digits".to_owned();
        let byte = |digit: u32| u8::try_from(digit).map_err(|_| wrong());
        match self.next().ok_or_else(wrong)? {
            character @ (' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\') => byte(u32::from(character)),
            high => {
                let high = high.to_digit(16).ok_or_else(wrong)?;
                let low = self.next().and_then(|low| low.to_digit(16)).ok_or_else(wrong)?;
                byte(high * 16 + low)
            }
        }
    }
}

/// An attribute's name (a letter, then letters, digits and hyphens) or an object identifier in numbers.
fn is_type(text: &str) -> bool {
    let is_number = |number: &str| {
        number.bytes().all(|c| c.is_ascii_digit()) && !number.is_empty() && (number == "0" || !number.starts_with('0'))
    };
    let is_name =
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    is_name || (text.contains('.') && text.split('.').all(is_number))
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (attribute, value)) in self.0.iter().enumerate() {
            let plus = if index == 0 { "" } else { "+" };
            write!(f, "{plus}{attribute}=")?;
            write_value(f, value)?;
        }
        Ok(())
    }
}

/// Writes a value with its escapes (RFC 4514 section 2.4). Control characters too, so that a name stays one line.
fn write_value(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => write!(f, "\\{character}")?,
            ' ' if index == 0 || index == last => f.write_str("\\ ")?,
            '#' if index == 0 => f.write_str("\\#")?,
            character if character.is_control() => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(f, "\\{byte:02X}")?;
                }
            }
            character => f.write_char(character)?,
        }
    }
    Ok(())
}

impl From<Dn> for String {
    fn from(dn: Dn) -> Self {
        dn.to_string()
    }
}

impl TryFrom<String> for Dn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Dn::parse(&text)
    }
}

/// What an operation addresses. Nothing else can stand in its place: a plan's text never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The root DSE.
    Root,
    /// By name: for bases of searches, and for what is created.
    Dn(Dn),
    /// By identity: `<GUID=…>`.
    Guid(Guid),
    /// By a well-known GUID within a domain, wherever the container is and whatever it is called; such as
    /// [`DELETED_OBJECTS`].
    WellKnown(&'static str, Dn),
}

impl Address {
    /// The container of a domain's deleted objects.
    #[must_use]
    pub fn deleted_objects(domain: Dn) -> Self {
        Address::WellKnown(DELETED_OBJECTS, domain)
    }

    /// What is sent in the place of a distinguished name (the forms in brackets: \[MS-ADTS\] section 3.1.1.3.1.2.4).
    #[must_use]
    pub fn to_protocol(&self) -> String {
        match self {
            Address::Root => String::new(),
            Address::Dn(dn) => dn.to_string(),
            Address::Guid(guid) => format!("<GUID={guid}>"),
            Address::WellKnown(guid, domain) => format!("<WKGUID={guid},{domain}>"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Root => f.write_str("the root DSE"),
            other => f.write_str(&other.to_protocol()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn the_examples_of_the_specification_are_read_and_written() {
        // RFC 4514 section 4.
        for (text, name, written) in [
            ("UID=jsmith,DC=example,DC=net", "jsmith", None),
            ("OU=Sales+CN=J.  Smith,DC=example,DC=net", "Sales", None),
            (r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#, r#"James "Jim" Smith, III"#, None),
            (r"CN=Before\0dAfter,DC=example,DC=net", "Before\rAfter", Some(r"CN=Before\0DAfter,DC=example,DC=net")),
            (r"CN=Lu\C4\8Di\C4\87", "Lučić", Some("CN=Lučić")),
            (r"1.3.6.1.4.1.1466.0=x", "x", None),
            (r"CN=a\2Cb", "a,b", Some(r"CN=a\,b")),
            ("CN=a=b", "a=b", Some(r"CN=a\=b")),
            ("CN=\\ a\\ ,DC=x", " a ", None),
            ("CN=\\#a#", "#a#", None),
            (r"CN=a\00b", "a\0b", None),
            ("CN = a ,  DC = x", "a", Some("CN=a,DC=x")),
            ("CN=", "", None),
        ] {
            let dn = parsed(text);
            assert_eq!(dn.name(), Some(name), "{text}");
            assert_eq!(dn.to_string(), written.unwrap_or(text));
            assert_eq!(parsed(&dn.to_string()).name(), Some(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_place_and_the_reason() {
        for (text, reason) in [
            ("<GUID=7d1f0a3e-0000-0000-0000-000000000000>", "is an address, not a distinguished name"),
            ("<SID=S-1-5-21-1-2-3-500>", "is an address"),
            ("<WKGUID=18e2ea80684f11d2b9aa00c04f79f805,DC=contoso,DC=com>", "is an address"),
            ("<GUID=x>;CN=a", "is an address"),
            ("CN=a,<GUID=x>", "`<GUID` is no attribute, at character 11"),
            ("CN=#04024869", "a value in hexadecimal (`#…`) is not accepted"),
            ("ocschat", "`ocschat` is no part of a name"),
            ("CN=a,", "a part is missing, at character 5"),
            (",CN=a", "a part is missing, at character 1"),
            ("CN=a,,DC=b", "a part is missing"),
            (" ", "a part is missing"),
            ("CN=a;DC=b", "`;` must be written `\\;`, at character 5"),
            ("CN=\"a\"", "must be written"),
            ("CN=a\0", "a NUL must be written `\\00`"),
            ("CN=a\\", "after `\\` comes"),
            ("CN=a\\x", "after `\\` comes"),
            ("CN=a\\4", "after `\\` comes"),
            ("CN=\\C3", "not UTF-8"),
            ("C N=a", "`C N` is no attribute"),
            ("=a", "`` is no attribute"),
            ("OID.2.5.4.3=a", "is no attribute"),
            ("2.05=a", "is no attribute"),
            ("2=a", "is no attribute"),
            ("2.=a", "is no attribute"),
        ] {
            let error = Dn::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
            assert!(!error.contains(['\0', '\n']), "{error:?}");
        }
    }

    #[test]
    fn a_deleted_objects_name_is_read_and_tells_what_it_was() {
        let text = r"CN=ocschat\0ADEL:5a3c1c0e-6f3e-4d62-9f5a-0a4a3f6f2b11,CN=Deleted Objects,DC=contoso,DC=com";
        let dn = parsed(text);
        assert_eq!(dn.to_string(), text);
        assert_eq!(dn.name(), Some("ocschat\nDEL:5a3c1c0e-6f3e-4d62-9f5a-0a4a3f6f2b11"));
        assert_eq!(dn.deleted_name(), Some(("ocschat", Guid::parse("5a3c1c0e-6f3e-4d62-9f5a-0a4a3f6f2b11").unwrap())));
        let (alive, guid) = (parsed("CN=ocschat,DC=contoso,DC=com"), dn.deleted_name().unwrap().1);
        assert_eq!(alive.deleted_name(), None);
        assert_eq!(alive.tombstone(guid, &parsed("DC=contoso,DC=com")), Some(dn));
    }

    #[test]
    fn case_and_the_order_within_a_part_do_not_count_and_everything_else_does() {
        let hash =
            |dn: &Dn| std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::new(), dn);
        let dn = parsed("CN=Müller ΣΑΣ+SN=x,OU=Users,DC=contoso,DC=com");
        let same = parsed("sn=X+cn=MÜLLER σασ,ou=USERS,dc=Contoso,dc=COM");
        assert_eq!(dn, same);
        assert_eq!(hash(&dn), hash(&same));
        for other in ["CN=Müller ΣΑΣ,OU=Users,DC=contoso,DC=com", "CN=Müller ΣΑΣ+SN=x,DC=Users,DC=contoso,DC=com", ""] {
            assert_ne!(dn, parsed(other));
        }
        assert_ne!(parsed("CN=a,CN=b"), parsed("CN=a+CN=b"));
        assert_ne!(parsed("CN=a\\,CN\\=b"), parsed("CN=a,CN=b"));
    }

    #[test]
    fn what_lies_below_is_told_by_whole_parts() {
        let base = parsed("OU=Users,DC=contoso,DC=com");
        assert!(parsed("CN=a,ou=users,dc=contoso,dc=com").is_within(&base));
        assert!(base.is_within(&base));
        assert!(base.is_within(&Dn::root()));
        for outside in ["CN=a,OU=Not Users,DC=contoso,DC=com", r"CN=a\,OU\=Users,DC=contoso,DC=com", "DC=contoso,DC=com"] {
            assert!(!parsed(outside).is_within(&base), "{outside}");
        }
        assert_eq!(base.child("CN", "a,b").parent(), Some(base.clone()));
        assert_eq!(base.child("CN", "a,b").to_string(), r"CN=a\,b,OU=Users,DC=contoso,DC=com");
        assert_eq!((Dn::root().parent(), Dn::root().name(), Dn::root().to_string()), (None, None, String::new()));
    }

    #[test]
    fn an_address_is_sent_as_name_as_identity_or_as_well_known_container() {
        let domain = parsed("DC=contoso,DC=com");
        let guid = Guid::parse("5A3C1C0E-6F3E-4D62-9F5A-0A4A3F6F2B11").unwrap();
        assert_eq!(Address::Root.to_protocol(), "");
        assert_eq!(Address::Dn(domain.clone()).to_protocol(), "DC=contoso,DC=com");
        assert_eq!(Address::Guid(guid).to_protocol(), "<GUID=5a3c1c0e-6f3e-4d62-9f5a-0a4a3f6f2b11>");
        assert_eq!(Address::deleted_objects(domain).to_protocol(), "<WKGUID=18e2ea80684f11d2b9aa00c04f79f805,DC=contoso,DC=com>");
    }
}
