//! How a Front End says no: a code, and a header that says where it breaks ([MS-OCER] names the header and its parts).

use crate::sip::Message;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The SIP code.
    pub code: u16,
    /// What stands beside it.
    pub phrase: &'static str,
    /// The number of the error. 1003 is documented; those from 9000 on are the lab's own.
    pub error: u32,
    /// Where it breaks, for people.
    pub why: String,
}

impl Refusal {
    /// The address is nobody's, as far as the Front End knows.
    pub fn nobody(address: &str) -> Self {
        Refusal { code: 404, phrase: "Not Found", error: 1003, why: format!("User does not exist: {address} is not known here") }
    }

    /// Several have the address.
    pub fn several(address: &str) -> Self {
        Refusal { code: 485, phrase: "Ambiguous", error: 9001, why: format!("Several objects hold {address}") }
    }

    /// Whoever asks may not.
    pub fn forbidden(why: String) -> Self {
        Refusal { code: 403, phrase: "Forbidden", error: 9002, why }
    }

    /// Nothing is signed in at the address.
    pub fn unavailable(why: String) -> Self {
        Refusal { code: 480, phrase: "Temporarily Unavailable", error: 9003, why }
    }

    /// What should answer cannot.
    pub fn out_of_service(why: String) -> Self {
        Refusal { code: 503, phrase: "Service Unavailable", error: 9004, why }
    }

    /// As an answer from this server.
    pub fn answer(&self, request: &Message, source: &str, tag: &str) -> Message {
        let why = self.why.replace('\\', "\\\\").replace('"', "\\\"");
        Message::answer(request, self.code, self.phrase)
            .tagged(tag)
            .with("ms-diagnostics", &format!("{};reason=\"{why}\";source=\"{source}\"", self.error))
    }
}
