//! One connection: its dialogs, and what each request is answered.

use std::collections::BTreeMap;

use super::commands;
use super::refusal::Refusal;
use super::route::{Place, route};
use crate::lab::audit::Line;
use crate::lab::directory::ids::Guid;
use crate::lab::serve::Lab;
use crate::sip::xccos::{CONTENT_TYPE, Envelope};
use crate::sip::{Message, NameAddr, Start, Uri};

/// What is answered to.
const ALLOW: &str = "INVITE, ACK, BYE, INFO, UPDATE, OPTIONS, CANCEL";
/// Dialogs of one connection; a client has one or two.
const MOST_DIALOGS: usize = 16;

/// A connection.
pub struct Session {
    /// The Front End, fully qualified.
    pub server: String,
    /// Its short name.
    pub host: String,
    /// The connection's number.
    pub connection: u64,
    dialogs: BTreeMap<String, Dialog>,
}

/// A dialog, from the server's side (RFC 3261 section 12).
struct Dialog {
    place: Place,
    user: Uri,
    /// The tag of the client.
    theirs: String,
    /// Ours.
    tag: String,
    /// What the client wrote as From, To and Contact.
    from: String,
    to: String,
    contact: String,
    /// Of our own requests.
    sequence: u32,
}

/// A request with what every request must have.
struct Asked<'m> {
    message: &'m Message,
    method: &'m str,
    uri: &'m str,
    call: &'m str,
    from: NameAddr,
    to: NameAddr,
}

impl<'m> Asked<'m> {
    fn read(message: &'m Message) -> Option<Self> {
        let Start::Request { method, uri } = &message.start else { return None };
        let (_, of) = message.sequence()?;
        message.header("Via")?;
        let asked = Asked {
            message,
            method,
            uri,
            call: message.header("Call-ID").filter(|id| !id.is_empty() && id.len() <= 256)?,
            from: NameAddr::parse(message.header("From")?).filter(|from| from.tag.is_some())?,
            to: NameAddr::parse(message.header("To")?)?,
        };
        (of == method).then_some(asked)
    }
}

impl Session {
    /// A new connection to a Front End.
    pub fn new(host: &str, server: String, connection: u64) -> Self {
        Session { server, host: host.to_owned(), connection, dialogs: BTreeMap::new() }
    }

    /// What is to be sent for a message.
    pub fn take(&mut self, lab: &Lab, message: &Message) -> Vec<Message> {
        // Answers to our own requests need no answer, and an ACK never has one.
        if message.code().is_some() || message.method() == Some("ACK") {
            return Vec::new();
        }
        let Some(asked) = Asked::read(message) else {
            return vec![Message::answer(message, 400, "Bad Request").tagged("none")];
        };
        if asked.message.header("Max-Forwards").is_some_and(|left| left.trim() == "0") {
            return vec![Message::answer(message, 483, "Too Many Hops").tagged("none")];
        }
        match asked.method {
            "INVITE" if asked.to.tag.is_none() => vec![self.invite(lab, &asked)],
            "INVITE" | "UPDATE" | "INFO" | "BYE" => self.within(lab, &asked),
            "OPTIONS" => vec![Message::answer(message, 200, "OK").tagged("none").with("Allow", ALLOW)],
            "CANCEL" => vec![Message::answer(message, 481, "Call Leg/Transaction Does Not Exist").tagged("none")],
            _ => vec![Message::answer(message, 405, "Method Not Allowed").tagged("none").with("Allow", ALLOW)],
        }
    }

    fn invite(&mut self, lab: &Lab, asked: &Asked<'_>) -> Message {
        let tag = Guid::random().to_string().replace('-', "");
        let mut world = lab.world();
        let found = match Uri::parse(asked.uri) {
            Some(_) if self.dialogs.len() >= MOST_DIALOGS => {
                Err(Refusal::out_of_service("This connection has too many calls".to_owned()))
            }
            Some(to) => match lab.written(route(&mut world, &asked.from.uri, &to)) {
                Some(found) => found,
                None => Err(Refusal::out_of_service("The Front End ends".to_owned())),
            },
            None => Err(Refusal {
                code: 416,
                phrase: "Unsupported URI Scheme",
                error: 9005,
                why: "This is no SIP address".to_owned(),
            }),
        };
        let (code, detail) = match &found {
            Ok(place) => (200, serde_json::json!({ "server": place.server })),
            Err(refusal) => (refusal.code, serde_json::json!({ "reason": refusal.why })),
        };
        let line = Line {
            time: jiff::Timestamp::now().to_string(),
            dc: self.host.clone(),
            connection: self.connection,
            account: asked.from.uri.bare(),
            operation: "INVITE".to_owned(),
            name: asked.uri.to_owned(),
            dn: None,
            guid: None,
            code: i64::from(code),
            wrote: false,
            answered: true,
            detail,
        };
        lab.written(world.note(&line));
        let place = match found {
            Ok(place) => place,
            Err(refusal) => return refusal.answer(asked.message, &self.server, &tag),
        };
        let answer = Message::answer(asked.message, 200, "OK")
            .tagged(&tag)
            .with("Contact", &format!("<sip:{}@{};gruu>", place.server, place.domain))
            .with("Server", place.product())
            .with("Allow", ALLOW);
        let contact =
            asked.message.header("Contact").and_then(NameAddr::parse).map_or(asked.from.written.clone(), |it| it.written);
        let dialog = Dialog {
            place,
            user: asked.from.uri.clone(),
            theirs: asked.from.tag.clone().unwrap_or_default(),
            from: asked.message.header("From").unwrap_or_default().to_owned(),
            to: answer.header("To").unwrap_or_default().to_owned(),
            contact,
            tag,
            sequence: 0,
        };
        self.dialogs.insert(asked.call.to_owned(), dialog);
        answer
    }

    /// A request within a dialog.
    fn within(&mut self, lab: &Lab, asked: &Asked<'_>) -> Vec<Message> {
        let gone = || vec![Message::answer(asked.message, 481, "Call Leg/Transaction Does Not Exist").tagged("none")];
        let Some(dialog) = self.dialogs.get_mut(asked.call) else { return gone() };
        let same = asked.to.tag.as_deref() == Some(&dialog.tag) && asked.from.tag.as_deref() == Some(&dialog.theirs);
        if !same {
            return gone();
        }
        let ok = Message::answer(asked.message, 200, "OK");
        if asked.method == "BYE" {
            self.dialogs.remove(asked.call);
            return vec![ok];
        }
        // The server may have ended meanwhile; then the call is over.
        let mut world = lab.world();
        let again = Uri::parse(&dialog.place.uri()).map(|own| route(&mut world, &dialog.user, &own));
        if !matches!(again, Some(Ok(Ok(_)))) {
            drop(world);
            self.dialogs.remove(asked.call);
            return gone();
        }
        if asked.method != "INFO" {
            return vec![ok.with("Server", dialog.place.product())];
        }
        let Some(command) = Envelope::read(&asked.message.body) else {
            return vec![Message::answer(asked.message, 400, "Bad Request")];
        };
        let id = (u64::from(dialog.sequence) + 1).to_string();
        let reply = commands::reply(&world, &dialog.place, &dialog.user.bare(), &id, &command);
        let mut sent = vec![ok];
        sent.extend(reply.map(|reply| {
            dialog.sequence += 1;
            let branch = Guid::random().to_string();
            Message::request("INFO", &dialog.contact)
                .with("Via", &format!("SIP/2.0/TLS {};branch=z9hG4bK{branch}", self.server))
                .with("Max-Forwards", "70")
                .with("From", &dialog.to)
                .with("To", &dialog.from)
                .with("Call-ID", asked.call)
                .with("CSeq", &format!("{} INFO", dialog.sequence))
                .carrying(CONTENT_TYPE, &reply.to_text())
        }));
        sent
    }
}
