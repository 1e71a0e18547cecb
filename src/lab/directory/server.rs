//! Listeners and connections: LDAP over TLS, LDAP with StartTLS, and the same for the global catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ldap3_proto::proto::{LdapExtendedResponse, LdapMsg, LdapOp, LdapResult, LdapResultCode as Code};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::super::fault::Effect;
use super::super::serve::Lab;
use super::codec;
use super::operation::{self, Session};
use super::reply::{Refusal, success};
use super::search::{Door, Pages};

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// The number of a new connection to the lab.
pub fn next_connection() -> u64 {
    CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1
}

/// One port of one domain controller.
#[derive(Clone)]
pub struct Port {
    /// Which domain controller.
    pub dc: usize,
    /// Whether TLS comes first.
    pub tls_first: bool,
    /// Whether it is the global catalog.
    pub global_catalog: bool,
    /// The certificate.
    pub acceptor: TlsAcceptor,
}

/// Why a connection's loop ended.
enum End {
    /// It is over.
    Closed,
    /// TLS begins now.
    StartTls,
}

/// Answers on a port as long as the domain controller is not stopped, and again when it is started.
pub async fn listen(
    lab: Arc<Lab>,
    port: Port,
    mut listener: Option<TcpListener>,
    number: u16,
    mut standing: watch::Receiver<Standing>,
) {
    loop {
        if standing.borrow_and_update().stopped[port.dc] {
            listener = None;
            if standing.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            // The port was ours a moment ago; whoever took it may give it back.
            match TcpListener::bind(("127.0.0.1", number)).await {
                Ok(open) => listener = Some(open),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => {
                    let (lab, port, standing) = (Arc::clone(&lab), port.clone(), standing.clone());
                    tokio::spawn(async move { Box::pin(connection(&lab, &port, stream, standing)).await });
                }
                // Too many connections at once; some will go.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            changed = standing.changed() => if changed.is_err() { return },
        }
    }
}

/// Which domain controllers answer, and which world it is. A change of either closes connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// By domain controller.
    pub stopped: Vec<bool>,
    /// Windows hosts that are stopped.
    pub hosts: std::collections::BTreeSet<String>,
    /// Counts reset and restore.
    pub world: u64,
}

async fn connection(lab: &Lab, port: &Port, mut stream: TcpStream, standing: watch::Receiver<Standing>) {
    let _ = stream.set_nodelay(true);
    let number = next_connection();
    let scheme = if port.tls_first { "ldaps" } else { "ldap" };
    let door = Door { global_catalog: port.global_catalog, scheme };
    let mut session = Session { caller: None, tls: port.tls_first, door, pages: Pages::default() };
    let mut wire = Wire { lab, dc: port.dc, number, standing };
    if !port.tls_first {
        match Box::pin(wire.talk(&mut stream, &mut session)).await {
            End::Closed => return,
            End::StartTls => session.tls = true,
        }
    }
    let accepted = tokio::time::timeout(HANDSHAKE, port.acceptor.accept(stream)).await;
    let Ok(Ok(mut stream)) = accepted else { return };
    Box::pin(wire.talk(&mut stream, &mut session)).await;
    let _ = stream.shutdown().await;
}

struct Wire<'a> {
    lab: &'a Lab,
    dc: usize,
    number: u64,
    standing: watch::Receiver<Standing>,
}

impl Wire<'_> {
    /// Answers one message after the other. A message is done before the next is read, so nothing is left to abandon.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S, session: &mut Session) -> End {
        let mut buffer = Vec::new();
        let mine = self.standing.borrow_and_update().clone();
        loop {
            match codec::take(&mut buffer) {
                Ok(Some(message)) => {
                    let Some((answers, start_tls)) = self.handle(session, &message).await else { return End::Closed };
                    let bytes: Vec<u8> = answers.into_iter().flat_map(codec::bytes).collect();
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return End::Closed;
                    }
                    if start_tls {
                        // Whatever was sent before the handshake is nobody's.
                        return if buffer.is_empty() { End::StartTls } else { End::Closed };
                    }
                }
                Ok(None) => {
                    let mut chunk = [0; 16 * 1024];
                    tokio::select! {
                        read = stream.read(&mut chunk) => match read {
                            Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
                            _ => return End::Closed,
                        },
                        changed = self.standing.changed() => {
                            let standing = self.standing.borrow_and_update().clone();
                            if changed.is_err() || standing.stopped[self.dc] || standing.world != mine.world {
                                return End::Closed;
                            }
                        }
                    }
                }
                Err(codec::Garbage) => {
                    let _ = stream.write_all(&codec::bytes(disconnection())).await;
                    let _ = stream.flush().await;
                    return End::Closed;
                }
            }
        }
    }

    /// The answers to a message; `None` if the connection is to be closed without any.
    async fn handle(&mut self, session: &mut Session, message: &LdapMsg) -> Option<(Vec<LdapMsg>, bool)> {
        if matches!(message.op, LdapOp::UnbindRequest) {
            return None;
        }
        let Some(about) = operation::about(&message.op) else {
            let harmless = matches!(message.op, LdapOp::AbandonRequest(_));
            return harmless.then(|| (Vec::new(), false));
        };
        let effects = self.lab.written(self.lab.world().meet(self.dc, &about))?;
        for effect in &effects {
            if let Effect::Delay(span) = effect {
                tokio::time::sleep(span.to_std()).await;
            }
        }
        let refusal = effects.iter().find_map(|effect| match effect {
            Effect::Refuse(code) => Some(Refusal::new(code_of(*code), "refused because the lab was asked to")),
            _ => None,
        });
        let lost = effects.contains(&Effect::AnswerLost);
        let outcome = {
            let mut world = self.lab.world();
            let outcome = world.perform(self.dc, session, message, refusal.as_ref(), (self.number, !lost));
            self.lab.written(outcome)?
        };
        if outcome.wrote {
            self.lab.changed();
        }
        for effect in &effects {
            if let Effect::AnswerLate(span) = effect {
                tokio::time::sleep(span.to_std()).await;
            }
        }
        (!lost).then_some((outcome.answers, outcome.start_tls))
    }
}

fn disconnection() -> LdapMsg {
    let res = LdapResult { code: Code::ProtocolError, message: "this is no LDAP message".to_owned(), ..success() };
    let op = LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: Some(NOTICE_OF_DISCONNECTION.to_owned()), value: None });
    LdapMsg { msgid: 0, op, ctrl: Vec::new() }
}

/// The result code of that number; `other` for one that is not known.
#[must_use]
pub fn code_of(number: u32) -> Code {
    match number {
        1 => Code::OperationsError,
        2 => Code::ProtocolError,
        3 => Code::TimeLimitExceeded,
        4 => Code::SizeLimitExceeded,
        8 => Code::StrongerAuthRequired,
        10 => Code::Referral,
        11 => Code::AdminLimitExceeded,
        12 => Code::UnavailableCriticalExtension,
        16 => Code::NoSuchAttribute,
        19 => Code::ConstraintViolation,
        20 => Code::AttributeOrValueExists,
        32 => Code::NoSuchObject,
        49 => Code::InvalidCredentials,
        50 => Code::InsufficentAccessRights,
        51 => Code::Busy,
        52 => Code::Unavailable,
        53 => Code::UnwillingToPerform,
        64 => Code::NamingViolation,
        65 => Code::ObjectClassViolation,
        66 => Code::NotAllowedOnNonLeaf,
        68 => Code::EntryAlreadyExists,
        _ => Code::Other,
    }
}
