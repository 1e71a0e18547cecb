//! SPNEGO's tokens (RFC 4178 section 4.2): what a client offers, and what is answered. NTLM is the only mechanism.

use super::der::{all, element, only, take};

const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
/// 1.3.6.1.4.1.311.2.2.10.
const NTLM: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;

/// A client's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// The first one.
    Init {
        /// The list of mechanisms in DER, which both sides sign.
        list: Vec<u8>,
        /// Where NTLM stands in it.
        ntlm: Option<usize>,
        /// A token of the first mechanism.
        inner: Option<Vec<u8>>,
    },
    /// Another one.
    Response {
        /// A token of the mechanism.
        inner: Option<Vec<u8>>,
        /// The signature of the list.
        signature: Option<Vec<u8>>,
    },
}

/// Reads a token; `None` for what is none.
pub fn read(bytes: &[u8]) -> Option<Token> {
    if let Some(inside) = only(bytes, 0x60) {
        let (tag, oid, rest) = take(inside)?;
        let fields = all(only(only(rest, 0xa0)?, SEQUENCE)?).filter(|_| tag == OID && oid == SPNEGO)?;
        let field = |tag: u8| fields.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
        let list = field(0xa0)?;
        let mechanisms = all(only(list, SEQUENCE)?)?;
        let inner = match field(0xa2) {
            Some(value) => Some(only(value, OCTETS)?.to_vec()),
            None => None,
        };
        let ntlm = mechanisms.iter().position(|(tag, oid)| *tag == OID && *oid == NTLM);
        return Some(Token::Init { list: list.to_vec(), ntlm, inner });
    }
    let fields = all(only(only(bytes, 0xa1)?, SEQUENCE)?)?;
    let octets = |wanted: u8| match fields.iter().find(|(tag, _)| *tag == wanted) {
        Some((_, value)) => only(value, OCTETS).map(|value| Some(value.to_vec())),
        None => Some(None),
    };
    Some(Token::Response { inner: octets(0xa2)?, signature: octets(0xa3)? })
}

/// How far the negotiation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is over.
    Completed = 0,
    /// It goes on.
    Incomplete = 1,
    /// It goes on, and the list must be signed, because the client would have preferred another mechanism.
    RequestSignature = 3,
}

/// The server's answer. The mechanism is named in the first one.
pub fn answer(state: State, names_mechanism: bool, inner: Option<&[u8]>, signature: Option<&[u8]>) -> Vec<u8> {
    let mut fields = element(0xa0, &element(ENUMERATED, &[state as u8]));
    if names_mechanism {
        fields.extend(element(0xa1, &element(OID, NTLM)));
    }
    for (tag, value) in [(0xa2, inner), (0xa3, signature)] {
        if let Some(value) = value {
            fields.extend(element(tag, &element(OCTETS, value)));
        }
    }
    element(0xa1, &element(SEQUENCE, &fields))
}
