//! One call (a dialog of RFC 3261 section 12): INVITE, commands of chat rooms with their replies, BYE.

use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use super::broke::Broke;
use super::link::Link;
use crate::connector::lync::cs::shown;
use crate::sip::xccos::{CONTENT_TYPE, Element, Envelope};
use crate::sip::{Message, NameAddr, Uri};

/// A call that was answered.
pub struct Call {
    hop: String,
    local: IpAddr,
    from: String,
    /// To with the tag of whoever answered.
    to: String,
    /// Where requests within the call go.
    target: String,
    id: String,
    sequence: u32,
    /// The server, as its Contact names it.
    pub server: String,
    /// What it says that it is: `RTCC/5.0.0.0 …`.
    pub product: Option<String>,
}

fn tag() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A request of this call.
fn request(call: &Call, method: &str, sequence: u32) -> Message {
    Message::request(method, &call.target)
        .with("Via", &format!("SIP/2.0/TLS {};branch=z9hG4bK{}", host(call.local), tag()))
        .with("Max-Forwards", "70")
        .with("From", &call.from)
        .with("To", &call.to)
        .with("Call-ID", &call.id)
        .with("CSeq", &format!("{sequence} {method}"))
}

fn host(local: IpAddr) -> String {
    match local {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

impl Call {
    /// Calls an address as a user.
    ///
    /// # Errors
    /// It is refused, or the answer is not understood.
    pub async fn invite<S>(link: &mut Link<S>, to: &str, user: &str, local: IpAddr) -> Result<Self, Broke>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut call = Call {
            hop: format!("INVITE {}", shown(to)),
            local,
            from: format!("<{user}>;tag={};epid={}", tag(), &tag()[..10]),
            to: format!("<{to}>"),
            target: to.to_owned(),
            id: tag(),
            sequence: 1,
            server: String::new(),
            product: None,
        };
        let contact = format!("<{user};transport=tls>");
        let invite = request(&call, "INVITE", 1).with("Contact", &contact).with("User-Agent", "relevo");
        link.send(&invite, &call.hop).await?;
        let answer = call.answer(link, 1, "INVITE").await?;
        if answer.code().is_none_or(|code| !(200..300).contains(&code)) {
            // Of the same transaction as the INVITE (section 17.1.1.3).
            let ack = Message::request("ACK", &call.target)
                .with("Via", invite.header("Via").unwrap_or_default())
                .with("Max-Forwards", "70")
                .with("From", &call.from)
                .with("To", answer.header("To").unwrap_or(&call.to))
                .with("Call-ID", &call.id)
                .with("CSeq", "1 ACK");
            let _ = link.send(&ack, &call.hop).await;
            return Err(Broke::of(&answer, &call.hop));
        }
        let not_understood = |what: &str| Broke::Unknown(format!("{}: the answer has no usable {what}", call.hop));
        let to = answer.header("To").filter(|to| NameAddr::parse(to).is_some_and(|to| to.tag.is_some()));
        let contact = answer.header("Contact").and_then(NameAddr::parse).ok_or_else(|| not_understood("Contact"))?;
        let to = to.ok_or_else(|| not_understood("To"))?.to_owned();
        call.product = ["Server", "User-Agent"].iter().find_map(|name| answer.header(name)).map(str::to_owned);
        call.server = server(&contact.uri);
        call.to = to;
        call.target = contact.written;
        link.send(&request(&call, "ACK", 1), &call.hop).await?;
        Ok(call)
    }

    /// Sends a command and waits for its reply: the code and the data.
    ///
    /// # Errors
    /// It is refused, or what comes is not understood.
    pub async fn ask<S>(&mut self, link: &mut Link<S>, name: &str, data: Element) -> Result<Element, Broke>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.hop = format!("{name} at {}", shown(&self.server));
        self.sequence += 1;
        let id = self.sequence.to_string();
        let body = Envelope::command(&id, name, data).to_text();
        let info = request(self, "INFO", self.sequence).carrying(CONTENT_TYPE, &body);
        link.send(&info, &self.hop).await?;
        // The reply may come before the acknowledgement: they are messages of two directions.
        let (mut acknowledged, mut reply) = (false, None);
        while !acknowledged || reply.is_none() {
            let message = link.next(&self.hop).await?;
            if message.code().is_some_and(|code| code >= 200) && self.is_for(&message, self.sequence, "INFO") {
                if message.code().is_none_or(|code| code >= 300) {
                    return Err(Broke::of(&message, &self.hop));
                }
                acknowledged = true;
            } else if let Some(envelope) = self.obey(link, &message).await?
                && envelope.answers(&id)
            {
                reply = Some(envelope);
            }
        }
        let reply = reply.unwrap_or_else(|| unreachable!("the loop ends with a reply"));
        let not_understood = || Broke::Unknown(format!("{}: the reply is not understood", self.hop));
        if reply.name() != Some(name) {
            return Err(not_understood());
        }
        match reply.response() {
            Some((200, _, Some(data))) => Ok(data.clone()),
            Some((200, _, None)) | None => Err(not_understood()),
            Some((code, said, _)) => Err(Broke::Unknown(format!("{}: the reply is {code} ({})", self.hop, shown(said)))),
        }
    }

    /// Ends the call. Whoever does not answer has lost it all the same.
    ///
    /// # Errors
    /// The connection is gone, or what comes is no SIP.
    pub async fn bye<S>(mut self, link: &mut Link<S>) -> Result<(), Broke>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.hop = format!("BYE to {}", shown(&self.server));
        self.sequence += 1;
        link.send(&request(&self, "BYE", self.sequence), &self.hop).await?;
        self.answer(link, self.sequence, "BYE").await.map(|_| ())
    }

    /// The final answer to a request of this call.
    async fn answer<S>(&self, link: &mut Link<S>, sequence: u32, method: &str) -> Result<Message, Broke>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            let message = link.next(&self.hop).await?;
            if message.code().is_some_and(|code| code >= 200) && self.is_for(&message, sequence, method) {
                return Ok(message);
            }
            self.obey(link, &message).await?;
        }
    }

    fn is_for(&self, message: &Message, sequence: u32, method: &str) -> bool {
        message.header("Call-ID") == Some(&self.id) && message.sequence() == Some((sequence, method))
    }

    /// Answers a request of the other side. Gives what it carried, if that belongs to this call.
    async fn obey<S>(&self, link: &mut Link<S>, message: &Message) -> Result<Option<Envelope>, Broke>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some(method) = message.method().filter(|method| *method != "ACK") else { return Ok(None) };
        let ours = message.header("Call-ID") == Some(&self.id);
        let (code, reason) = match method {
            "INFO" | "OPTIONS" | "UPDATE" | "MESSAGE" if ours => (200, "OK"),
            "BYE" if ours => (200, "OK"),
            "INFO" | "BYE" => (481, "Call Leg/Transaction Does Not Exist"),
            "OPTIONS" => (200, "OK"),
            _ => (405, "Method Not Allowed"),
        };
        link.send(&Message::answer(message, code, reason).tagged(&tag()), &self.hop).await?;
        if method == "BYE" && ours {
            return Err(Broke::Unknown(format!("{}: the other side ended the call", self.hop)));
        }
        Ok(Envelope::read(&message.body).filter(|_| method == "INFO" && ours))
    }
}

/// The server that a Contact names: trusted servers have addresses such as `sip:pc01.contoso.com@contoso.com;gruu`.
fn server(contact: &Uri) -> String {
    match &contact.user {
        Some(user) if user.contains('.') => user.to_lowercase(),
        _ => contact.host.clone(),
    }
}
