//! The server's side of NTLM, version 2 of the response only ([MS-NLMP] sections 2.2.1, 2.2.2.1, 3.2.5, 3.3.2).

use md4::Md4;
use md5::{Digest as _, Md5};
use uuid::Uuid;

use super::seal::{Session, hmac, rc4, same};
use super::{Accounts, Refused};
use crate::lab::directory::well_known::{NETBIOS, REALM};

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// Flags of [MS-NLMP] section 2.2.2.5.
mod flag {
    pub const UNICODE: u32 = 0x1;
    pub const REQUEST_TARGET: u32 = 0x4;
    pub const SIGN: u32 = 0x10;
    pub const SEAL: u32 = 0x20;
    pub const NTLM: u32 = 0x200;
    pub const ALWAYS_SIGN: u32 = 0x8000;
    pub const TARGET_IS_DOMAIN: u32 = 0x1_0000;
    pub const EXTENDED_SECURITY: u32 = 0x8_0000;
    pub const TARGET_INFO: u32 = 0x80_0000;
    pub const VERSION: u32 = 0x200_0000;
    pub const BITS_128: u32 = 0x2000_0000;
    pub const KEY_EXCHANGE: u32 = 0x4000_0000;
    pub const BITS_56: u32 = 0x8000_0000;
}

/// What a client may ask for and gets.
const OFFERED: u32 = flag::UNICODE
    | flag::REQUEST_TARGET
    | flag::SIGN
    | flag::SEAL
    | flag::NTLM
    | flag::ALWAYS_SIGN
    | flag::EXTENDED_SECURITY
    | flag::VERSION
    | flag::BITS_128
    | flag::KEY_EXCHANGE
    | flag::BITS_56;
/// What it must ask for.
const NEEDED: u32 = flag::UNICODE | flag::NTLM | flag::EXTENDED_SECURITY | flag::BITS_128;

/// Kinds of pairs in the target's information.
mod pair {
    pub const END: u16 = 0;
    pub const NETBIOS_COMPUTER: u16 = 1;
    pub const NETBIOS_DOMAIN: u16 = 2;
    pub const DNS_COMPUTER: u16 = 3;
    pub const DNS_DOMAIN: u16 = 4;
    pub const FLAGS: u16 = 6;
    pub const TIMESTAMP: u16 = 7;
    pub const CHANNEL_BINDINGS: u16 = 10;
}
/// In the flags of the target's information: the message has an integrity code.
const HAS_CODE: u32 = 2;

/// Whether a token is a message of NTLM itself.
pub fn is(token: &[u8]) -> bool {
    token.starts_with(SIGNATURE)
}

/// Between the challenge and the answer to it.
pub struct Challenge {
    negotiate: Vec<u8>,
    /// What the client is sent.
    pub message: Vec<u8>,
    nonce: [u8; 8],
}

/// Who logged on.
pub struct LoggedOn {
    /// The account's name, as it is known.
    pub account: String,
    /// The session's keys.
    pub session: Session,
    /// Whether the messages of the logon were protected by an integrity code.
    pub protected: bool,
}

/// What is demanded of a channel binding.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// The hash that a client of this TLS connection sends; none without TLS, and then nothing is looked at.
    pub expected: Option<[u8; 16]>,
    /// Whether one must be sent.
    pub demanded: bool,
}

/// The hash of a channel binding: of its structure with empty addresses (RFC 2744 section 3.11, [MS-NLMP] 3.1.5.1.2).
pub fn binding_hash(application_data: &[u8]) -> [u8; 16] {
    let length = u32::try_from(application_data.len()).unwrap_or(u32::MAX).to_le_bytes();
    Md5::new().chain_update([0; 16]).chain_update(length).chain_update(application_data).finalize().into()
}

impl Challenge {
    /// Answers a NEGOTIATE message, as the machine of this name.
    pub fn new(negotiate: &[u8], machine: &str) -> Result<Self, Refused> {
        let flags = message(negotiate, 1).and_then(|()| number(negotiate, 12)).ok_or_else(|| unreadable("NEGOTIATE"))?;
        if flags & NEEDED != NEEDED {
            return Err(Refused::new("NTLM without Unicode, extended session security or 128-bit keys"));
        }
        let mut nonce = [0; 8];
        nonce.copy_from_slice(&Uuid::new_v4().as_bytes()[8..]);
        // Six bits of the second half of a UUID are fixed; fold the first half in.
        let first = Uuid::new_v4();
        nonce.iter_mut().zip(first.as_bytes()).for_each(|(byte, other)| *byte ^= other);
        let target = utf16(NETBIOS);
        let info = target_info(machine);
        let mut message = SIGNATURE.to_vec();
        message.extend(2_u32.to_le_bytes());
        let place = 56;
        message.extend(field(target.len(), place));
        message.extend(((flags & OFFERED) | flag::TARGET_INFO | flag::TARGET_IS_DOMAIN).to_le_bytes());
        message.extend(nonce);
        message.extend([0; 8]);
        message.extend(field(info.len(), place + target.len()));
        // Windows 10.0, build 17763, revision 15 of NTLM.
        message.extend([10, 0, 0x63, 0x45, 0, 0, 0, 15]);
        message.extend(target);
        message.extend(info);
        Ok(Challenge { negotiate: negotiate.to_vec(), message, nonce })
    }

    /// Checks an AUTHENTICATE message.
    pub fn check(&self, authenticate: &[u8], accounts: &dyn Accounts, binding: &Binding) -> Result<LoggedOn, Refused> {
        let parts = Authenticate::read(authenticate).ok_or_else(|| unreadable("AUTHENTICATE"))?;
        let (user, domain) = (text(parts.user), text(parts.domain));
        let named = if domain.is_empty() { user.clone() } else { format!("{domain}\\{user}") };
        let refused = |why: &str| Refused { why: why.to_owned(), account: Some(named.clone()) };
        if parts.flags & NEEDED != NEEDED {
            return Err(refused("NTLM without Unicode, extended session security or 128-bit keys"));
        }
        let (account, password) = accounts.find(&named).ok_or_else(|| refused("no such account"))?;
        let (proof, blob) = parts.response.split_at_checked(16).ok_or_else(|| refused("no response of NTLM version 2"))?;
        if blob.len() < 28 || blob[..2] != [1, 1] {
            return Err(refused("no response of NTLM version 2"));
        }
        let hash: [u8; 16] = Md4::digest(utf16(password.reveal())).into();
        let key = hmac(&hash, &[&utf16(&user.to_uppercase()), parts.domain]);
        let wanted = hmac(&key, &[&self.nonce, blob]);
        if !same(&wanted, proof) {
            return Err(refused("the password is wrong"));
        }
        let pairs = pairs(&blob[28..]).ok_or_else(|| refused("the target's information cannot be read"))?;
        bound(pairs.bindings, binding).map_err(&refused)?;
        let base = hmac(&key, &[proof]);
        let exchanged = parts.flags & flag::KEY_EXCHANGE != 0;
        let mut exported = base;
        if exchanged {
            exported = parts.key.try_into().map_err(|_| refused("the session key has no 16 bytes"))?;
            rc4(&base, &mut exported);
        }
        let protected = pairs.flags & HAS_CODE != 0;
        if protected {
            let code =
                authenticate.get(72..88).filter(|_| parts.first >= 88).ok_or_else(|| refused("the integrity code is missing"))?;
            let blank = [&authenticate[..72], &[0; 16], &authenticate[88..]].concat();
            if !same(&hmac(&exported, &[&self.negotiate, &self.message, &blank]), code) {
                return Err(refused("the integrity code is wrong: a message was altered"));
            }
        }
        let has = |bit: u32| parts.flags & bit != 0;
        let session = Session::new(&exported, exchanged, has(flag::SIGN), has(flag::SEAL));
        Ok(LoggedOn { account, session, protected })
    }
}

/// Compares the binding that the client sent with the one of the connection. Zeroes stand for none.
fn bound(sent: Option<[u8; 16]>, binding: &Binding) -> Result<(), &'static str> {
    let Some(expected) = binding.expected else { return Ok(()) };
    match sent.filter(|sent| *sent != [0; 16]) {
        Some(sent) if sent == expected => Ok(()),
        Some(_) => Err("the channel binding is that of another connection"),
        None if binding.demanded => Err("there is no channel binding"),
        None => Ok(()),
    }
}

/// The parts of an AUTHENTICATE message.
struct Authenticate<'a> {
    response: &'a [u8],
    domain: &'a [u8],
    user: &'a [u8],
    key: &'a [u8],
    flags: u32,
    /// Where the first of them begins.
    first: usize,
}

impl<'a> Authenticate<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        message(bytes, 3)?;
        let mut first = usize::MAX;
        let mut part = |at: usize| {
            let length = usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
            let place = usize::try_from(number(bytes, at + 4)?).ok()?;
            if length > 0 {
                first = first.min(place);
            }
            bytes.get(place..place.checked_add(length)?)
        };
        let (_, response, domain, user, _, key) = (part(12)?, part(20)?, part(28)?, part(36)?, part(44)?, part(52)?);
        Some(Authenticate { response, domain, user, key, flags: number(bytes, 60)?, first })
    }
}

/// What matters of the target's information that the client sent back.
#[derive(Default)]
struct Pairs {
    flags: u32,
    bindings: Option<[u8; 16]>,
}

fn pairs(mut bytes: &[u8]) -> Option<Pairs> {
    let mut found = Pairs::default();
    loop {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let kind = u16::from_le_bytes([head[0], head[1]]);
        if kind == pair::END {
            return Some(found);
        }
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[2], head[3]])))?;
        match kind {
            pair::FLAGS => found.flags = u32::from_le_bytes(value.try_into().ok()?),
            pair::CHANNEL_BINDINGS => found.bindings = Some(value.try_into().ok()?),
            _ => {}
        }
        bytes = rest;
    }
}

fn target_info(machine: &str) -> Vec<u8> {
    let mut info = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        info.extend(kind.to_le_bytes());
        info.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
        info.extend(value);
    };
    add(pair::NETBIOS_DOMAIN, &utf16(NETBIOS));
    add(pair::NETBIOS_COMPUTER, &utf16(&machine.to_uppercase()));
    add(pair::DNS_DOMAIN, &utf16(REALM));
    add(pair::DNS_COMPUTER, &utf16(&format!("{machine}.{REALM}")));
    // With a time, clients protect their messages by an integrity code. In steps of 100 ns since 1601.
    let now = (jiff::Timestamp::now().as_microsecond() + 11_644_473_600_000_000) * 10;
    add(pair::TIMESTAMP, &now.to_le_bytes());
    add(pair::END, &[]);
    info
}

/// Checks signature and type of a message.
fn message(bytes: &[u8], kind: u32) -> Option<()> {
    (bytes.starts_with(SIGNATURE) && number(bytes, 8)? == kind).then_some(())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Length, room and place of a part.
fn field(length: usize, place: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    [length.as_slice(), &length, &u32::try_from(place).unwrap_or(u32::MAX).to_le_bytes()].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn text(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn unreadable(which: &str) -> Refused {
    Refused::new(&format!("a message {which} of NTLM cannot be read"))
}
