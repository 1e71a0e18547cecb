//! Signing and sealing of a session ([MS-NLMP] sections 3.4.2 to 3.4.5), with extended session security and 128-bit keys,
//! which is all that is offered here.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use rc4::{Rc4, StreamCipher as _};

use super::Refused;
use crate::remoting::auth::SealedMessage;

const CLIENT_SIGNS: &[u8] = b"session key to client-to-server signing key magic constant\0";
const SERVER_SIGNS: &[u8] = b"session key to server-to-client signing key magic constant\0";
const CLIENT_SEALS: &[u8] = b"session key to client-to-server sealing key magic constant\0";
const SERVER_SEALS: &[u8] = b"session key to server-to-client sealing key magic constant\0";
/// Length of a signature.
pub const SIGNATURE: usize = 16;

/// What one side writes and the other reads.
struct Direction {
    sign: [u8; 16],
    seal: [u8; 16],
    cipher: Rc4,
    count: u32,
}

/// The keys of a session, as the server holds them.
pub struct Session {
    incoming: Direction,
    outgoing: Direction,
    /// Whether signatures are encrypted, which goes with an exchanged key.
    exchanged: bool,
    /// Whether the client asked for signatures at all.
    pub signs: bool,
    /// Whether it asked for sealing.
    pub seals: bool,
}

/// HMAC-MD5 of all parts, one after the other.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else { unreachable!("a key of any length will do") };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// RC4 over all of it with a new key.
pub fn rc4(key: &[u8; 16], data: &mut [u8]) {
    cipher(key).apply_keystream(data);
}

fn cipher(key: &[u8; 16]) -> Rc4 {
    let Ok(cipher) = Rc4::new_from_slice(key) else { unreachable!("sixteen bytes are a key") };
    cipher
}

/// Whether two secrets are the same, in a time that does not say where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

impl Direction {
    fn new(key: &[u8; 16], signs: &[u8], seals: &[u8]) -> Self {
        let derived = |magic: &[u8]| <[u8; 16]>::from(Md5::new().chain_update(key).chain_update(magic).finalize());
        let seal = derived(seals);
        Direction { sign: derived(signs), seal, cipher: cipher(&seal), count: 0 }
    }

    /// The signature of a message that may be sealed already; the cipher runs on behind the data.
    fn signature(&mut self, plain: &[u8], exchanged: bool) -> [u8; SIGNATURE] {
        let count = self.count.to_le_bytes();
        self.count = self.count.wrapping_add(1);
        let whole = hmac(&self.sign, &[&count, plain]);
        let mut check = [0; 8];
        check.copy_from_slice(&whole[..8]);
        if exchanged {
            self.cipher.apply_keystream(&mut check);
        }
        let mut signature = [0; SIGNATURE];
        signature[0] = 1;
        signature[4..12].copy_from_slice(&check);
        signature[12..].copy_from_slice(&count);
        signature
    }
}

impl Session {
    /// From the exported session key.
    pub fn new(key: &[u8; 16], exchanged: bool, signs: bool, seals: bool) -> Self {
        Session {
            incoming: Direction::new(key, CLIENT_SIGNS, CLIENT_SEALS),
            outgoing: Direction::new(key, SERVER_SIGNS, SERVER_SEALS),
            exchanged,
            signs,
            seals,
        }
    }

    /// Opens the client's next message.
    pub fn unwrap(&mut self, sealed: SealedMessage) -> Result<Vec<u8>, Refused> {
        let SealedMessage { signature, mut data } = sealed;
        self.incoming.cipher.apply_keystream(&mut data);
        let wanted = self.incoming.signature(&data, self.exchanged);
        if same(&wanted, &signature) {
            Ok(data)
        } else {
            Err(Refused::new("a sealed message was altered, or is not the next one"))
        }
    }

    /// Seals the next message for the client.
    pub fn wrap(&mut self, plain: &[u8]) -> SealedMessage {
        let mut data = plain.to_vec();
        self.outgoing.cipher.apply_keystream(&mut data);
        let signature = self.outgoing.signature(plain, self.exchanged).to_vec();
        SealedMessage { signature, data }
    }

    /// Checks what the client signed without sealing it: SPNEGO's list of mechanisms. The ciphers begin anew afterwards
    /// ([MS-SPNG] section 3.3.5.1).
    pub fn verify_list(&mut self, list: &[u8], signature: &[u8]) -> bool {
        let wanted = if self.signs { self.incoming.signature(list, self.exchanged) } else { unsigned() };
        self.incoming.cipher = cipher(&self.incoming.seal);
        same(&wanted, signature)
    }

    /// Signs SPNEGO's list of mechanisms for the client.
    pub fn sign_list(&mut self, list: &[u8]) -> [u8; SIGNATURE] {
        let signature = if self.signs { self.outgoing.signature(list, self.exchanged) } else { unsigned() };
        self.outgoing.cipher = cipher(&self.outgoing.seal);
        signature
    }
}

/// What stands for a signature where none was agreed on.
fn unsigned() -> [u8; SIGNATURE] {
    let mut signature = [0; SIGNATURE];
    signature[0] = 1;
    signature
}
