//! Just enough of the server's side of LDAP to answer, truly or not. Written apart from what it tests.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, Stream};

use super::fake::Wire;

/// The request of StartTLS has this name.
pub const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Tags of requests.
pub const BIND: u8 = 0x60;
/// A search.
pub const SEARCH: u8 = 0x63;
/// A deletion.
pub const DELETE: u8 = 0x4a;

/// A request.
pub struct Request {
    /// Its number.
    pub id: u8,
    /// Its tag.
    pub tag: u8,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// An element with a short or long length.
pub fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(value);
    bytes
}

/// A message.
pub fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[0x02, 0x01, id], operation].concat())
}

/// A result.
pub fn result(id: u8, tag: u8, code: u8, text: &str) -> Vec<u8> {
    let value = [&[0x0a, 0x01, code, 0x04, 0x00][..], &element(0x04, text.as_bytes())].concat();
    message(id, &element(tag, &value))
}

/// An entry with one attribute.
pub fn entry_with(id: u8, dn: &str, name: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| element(0x04, value.as_bytes())).collect();
    let attribute = element(0x30, &[element(0x04, name.as_bytes()), element(0x31, &values)].concat());
    message(id, &element(0x64, &[element(0x04, dn.as_bytes()), element(0x30, &attribute)].concat()))
}

/// An entry with attributes of one value each.
pub fn entry(id: u8, name: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let attributes: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, value)| {
            let values = element(0x31, &element(0x04, value.as_bytes()));
            element(0x30, &[element(0x04, name.as_bytes()), values].concat())
        })
        .collect();
    message(id, &element(0x64, &[element(0x04, name.as_bytes()), element(0x30, &attributes)].concat()))
}

/// TLS over a connection, then LDAP, until the client goes away. `answer` gives the bytes for each request, or nothing to
/// close the connection.
pub fn serve(wire: &mut Wire, config: &Arc<ServerConfig>, mut answer: impl FnMut(&Request) -> Option<Vec<u8>>) {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    while connection.is_handshaking() {
        if connection.complete_io(wire).is_err() {
            // The client may still say something: it is heard, too.
            wire.drain();
            return;
        }
    }
    let mut buffered = Vec::new();
    loop {
        while let Some(length) = whole(&buffered) {
            let bytes: Vec<u8> = buffered.drain(..length).collect();
            let header = length - body(&bytes).len();
            let request = Request { id: bytes[header + 2], tag: bytes[header + 3], bytes };
            match answer(&request) {
                Some(bytes) => {
                    if Stream::new(&mut connection, wire).write_all(&bytes).is_err() {
                        return;
                    }
                }
                None => {
                    connection.send_close_notify();
                    let _ = connection.complete_io(wire);
                    return;
                }
            }
        }
        let mut chunk = [0; 4096];
        let Ok(length @ 1..) = Stream::new(&mut connection, wire).read(&mut chunk) else { return };
        wire.plain(&chunk[..length]);
        buffered.extend_from_slice(&chunk[..length]);
    }
}

fn body(bytes: &[u8]) -> &[u8] {
    match bytes[1] {
        short if short < 0x80 => &bytes[2..],
        long => &bytes[2 + usize::from(long & 0x7f)..],
    }
}

/// The length of the first message, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match *bytes.get(1)? {
        short if short < 0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let digits = bytes.get(2..2 + count)?;
            (2 + count, digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)))
        }
    };
    (bytes.len() >= header + length).then_some(header + length)
}

/// Lets everybody in, and is a domain controller of `contoso.lan`. Nothing for other requests than these two.
pub fn welcome(request: &Request) -> Option<Vec<u8>> {
    match (request.tag, request.id) {
        (BIND, id) => Some(result(id, 0x61, 0, "")),
        (SEARCH, id @ ..=2) => {
            let root = [
                ("dnsHostName", super::certificates::HOST),
                ("defaultNamingContext", "DC=contoso,DC=lan"),
                ("configurationNamingContext", "CN=Configuration,DC=contoso,DC=lan"),
                ("isGlobalCatalogReady", "TRUE"),
                ("currentTime", "20261122171019.0Z"),
            ];
            Some([entry(id, "", &root), result(id, 0x65, 0, "")].concat())
        }
        _ => None,
    }
}
