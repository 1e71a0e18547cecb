//! NTLM and Kerberos, both by `sspi`. What is peculiar to that crate stays in this file.

use async_trait::async_trait;
use sspi::credssp::SspiContext;
use sspi::generator::GeneratorState;
use sspi::ntlm::NtlmConfig;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, Credentials, CredentialsBuffers, DataRepresentation,
    EncryptionFlags, ErrorKind, KdcResolution, Kerberos, KerberosConfig, Negotiate, NegotiateConfig, Ntlm, SecurityBuffer,
    SecurityBufferRef, SecurityStatus, Sspi, SspiImpl,
};

use super::{AuthError, ChannelBinding, Method, SealedMessage, SecurityContext, Step, Wrapping, kdc, machine};

/// Asked for always, over HTTPS too:
/// - without integrity, `sspi` signs SPNEGO's list of mechanisms where a server expects the fixed text of an unsigned NTLM
///   session, and is refused;
/// - without mutual authentication, SPNEGO with Kerberos cannot read the server's last token.
const WANTED: ClientRequestFlags = ClientRequestFlags::CONFIDENTIALITY
    .union(ClientRequestFlags::INTEGRITY)
    .union(ClientRequestFlags::SEQUENCE_DETECT)
    .union(ClientRequestFlags::REPLAY_DETECT)
    .union(ClientRequestFlags::MUTUAL_AUTH);

/// A logon on one connection.
pub struct Login {
    context: SspiContext,
    credentials: Option<CredentialsBuffers>,
    /// The principal that we want to speak with.
    target: String,
    /// Key distribution centres; empty for NTLM.
    centres: Vec<String>,
    /// `Negotiate` or `Kerberos`, in the headers of the handshake.
    scheme: &'static str,
    binds: bool,
    done: bool,
}

impl Login {
    /// A new logon to `host`; `None` for the methods without a handshake. NTLM is bound to the TLS channel where there is
    /// one; Kerberos is not, since the library beneath writes the binding's announcement two bytes short, and servers that
    /// read it would refuse the logon.
    ///
    /// # Errors
    /// No key distribution centre is named, or the mechanism refuses the account.
    pub fn new(method: &Method, host: &str) -> Result<Option<Self>, AuthError> {
        let (context, scheme, account, password, centres, target, binds) = match method {
            Method::Ntlm { account, password, wrapping } => {
                let target = format!("HTTP/{host}");
                (ntlm(*wrapping)?, "Negotiate", account, password, Vec::new(), target, true)
            }
            Method::Kerberos { account, password, kdcs, service, host: named, wrapping } => {
                let target = format!("{service}/{}", named.as_deref().unwrap_or(host));
                let scheme = match wrapping {
                    Wrapping::Spnego => "Negotiate",
                    Wrapping::Raw => "Kerberos",
                };
                // BUG: no channel binding with Kerberos. picky-krb 0.13.1, under sspi, writes the authorisation element that
                // announces it with two bytes instead of four (`KERB_AP_OPTIONS_CBT`), and servers that read it refuse the
                // whole logon; without it, servers that do not insist on a binding accept.
                (kerberos(kdcs, *wrapping)?, scheme, account, password, kdcs.clone(), target, false)
            }
            Method::Basic { .. } | Method::Certificate => return Ok(None),
        };
        let identity = AuthIdentity { username: account.username().clone(), password: password.reveal().to_owned().into() };
        let mut login = Login { context, credentials: None, target, centres, scheme, binds, done: false };
        login.credentials = login
            .context
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&Credentials::AuthIdentity(identity))
            .execute(&mut login.context)
            .map_err(|error| login.understood(&error))?
            .credentials_handle;
        Ok(Some(login))
    }

    /// The scheme of the headers `Authorization` and `WWW-Authenticate`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn understood(&self, error: &sspi::Error) -> AuthError {
        // What follows are the bytes of a record, for nobody to read.
        let text = error.description.split(". Additional error data").next().unwrap_or_default().to_owned();
        let says = |words: &str| text.contains(words);
        match error.error_type {
            // One kind for all that a centre does not know or has locked: the text alone tells account from service
            // (RFC 4120 section 7.5.9, codes 6, 7, 18, 19, 20, 21, 22).
            ErrorKind::UnknownCredentials if !self.centres.is_empty() && says("server") => {
                AuthError::NoSuchService(self.target.clone())
            }
            // Code 24, a wrong password, and code 23, one that has expired.
            _ if says("pre-authentication information was invalid") || says("password has expired") => AuthError::Refused(text),
            ErrorKind::LogonDenied | ErrorKind::NoCredentials | ErrorKind::UnknownCredentials => AuthError::Refused(text),
            ErrorKind::TimeSkew => AuthError::Clock(text),
            ErrorKind::NoAuthenticatingAuthority => AuthError::NoKdc(text),
            kind => AuthError::Token(format!("{kind:?}: {text}")),
        }
    }
}

fn ntlm(wrapping: Wrapping) -> Result<SspiContext, AuthError> {
    let config = NtlmConfig::new(machine::name());
    Ok(match wrapping {
        Wrapping::Raw => SspiContext::Ntlm(Ntlm::with_config(config)),
        Wrapping::Spnego => SspiContext::Negotiate(negotiate(Box::new(config), "ntlm,!kerberos,!pku2u")?),
    })
}

fn kerberos(centres: &[String], wrapping: Wrapping) -> Result<SspiContext, AuthError> {
    if centres.is_empty() {
        return Err(AuthError::NoKdc("none is named".to_owned()));
    }
    let mut config = KerberosConfig::new_with_kdc_url("tcp://kdc:88", machine::name());
    if !matches!(config.kdc_resolution, KdcResolution::KdcUrl(Some(_))) {
        unreachable!("the address is a constant");
    }
    config.client_computer_name = machine::name();
    Ok(match wrapping {
        Wrapping::Raw => SspiContext::Kerberos(Kerberos::new_client_from_config(config).map_err(|error| token(&error))?),
        Wrapping::Spnego => SspiContext::Negotiate(negotiate(Box::new(config), "kerberos,!ntlm,!pku2u")?),
    })
}

/// One mechanism and no other: with a list of two, a silent centre or an unknown service would quietly mean NTLM.
fn negotiate(config: Box<dyn sspi::negotiate::ProtocolConfig>, packages: &str) -> Result<Negotiate, AuthError> {
    let config = NegotiateConfig::new(config, Some(packages.to_owned()), machine::name());
    Negotiate::new_client(config).map_err(|error| token(&error))
}

fn token(error: &sspi::Error) -> AuthError {
    AuthError::Token(format!("{:?}: {}", error.error_type, error.description))
}

#[async_trait]
impl SecurityContext for Login {
    async fn step(&mut self, token: &[u8], binding: Option<&ChannelBinding>) -> Result<Step, AuthError> {
        if self.done {
            return Err(AuthError::Token("the server goes on with a logon that is finished".to_owned()));
        }
        let mut input = vec![SecurityBuffer::new(token.to_vec(), BufferType::Token)];
        if let Some(binding) = binding.filter(|_| self.binds) {
            input.push(SecurityBuffer::new(binding.structure(), BufferType::ChannelBindings));
        }
        let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let outcome = {
            let mut builder = self
                .context
                .initialize_security_context()
                .with_credentials_handle(&mut self.credentials)
                .with_context_requirements(WANTED)
                .with_target_data_representation(DataRepresentation::Native)
                .with_target_name(&self.target)
                .with_input(&mut input)
                .with_output(&mut output);
            match self.context.initialize_security_context_impl(&mut builder) {
                Ok(mut generator) => {
                    let mut state = generator.start();
                    loop {
                        match state {
                            GeneratorState::Completed(result) => break result,
                            // The centre's address in the request is a placeholder; ours are asked in order.
                            GeneratorState::Suspended(request) => {
                                let answer = kdc::ask(&self.centres, &request.data).await?;
                                state = generator.resume(Ok(answer));
                            }
                        }
                    }
                }
                Err(error) => Err(error),
            }
        };
        let status = outcome.map_err(|error| self.understood(&error))?.status;
        if matches!(status, SecurityStatus::CompleteNeeded | SecurityStatus::CompleteAndContinue) {
            self.context.complete_auth_token(&mut output).map_err(|error| self.understood(&error))?;
        }
        self.done = matches!(status, SecurityStatus::Ok | SecurityStatus::CompleteNeeded);
        if !self.done && !matches!(status, SecurityStatus::ContinueNeeded | SecurityStatus::CompleteAndContinue) {
            return Err(AuthError::Token(format!("the mechanism answers {status:?}")));
        }
        Ok(Step { token: output.swap_remove(0).buffer, done: self.done })
    }

    fn wrap(&mut self, plain: &[u8]) -> Result<SealedMessage, AuthError> {
        let failed = |error: sspi::Error| AuthError::Sealing { verb: "sealed", why: error.description };
        let mut signature = vec![0; self.trailer()?];
        let mut data = plain.to_vec();
        let mut message = [SecurityBufferRef::token_buf(&mut signature), SecurityBufferRef::data_buf(&mut data)];
        self.context.encrypt_message(EncryptionFlags::empty(), &mut message).map_err(failed)?;
        let [token, sealed] = message;
        Ok(SealedMessage { signature: token.data().to_vec(), data: sealed.data().to_vec() })
    }

    fn unwrap(&mut self, sealed: SealedMessage) -> Result<Vec<u8>, AuthError> {
        let failed = |error: sspi::Error| AuthError::Sealing { verb: "opened", why: error.description };
        let SealedMessage { mut signature, mut data } = sealed;
        let mut message = [SecurityBufferRef::token_buf(&mut signature), SecurityBufferRef::data_buf(&mut data)];
        self.context.decrypt_message(&mut message).map_err(failed)?;
        let [_, plain] = message;
        Ok(plain.data().to_vec())
    }

    fn trailer(&mut self) -> Result<usize, AuthError> {
        let failed = |error: sspi::Error| AuthError::Sealing { verb: "sealed", why: error.description };
        let sizes = self.context.query_context_sizes().map_err(failed)?;
        usize::try_from(sizes.security_trailer)
            .map_err(|_| AuthError::Sealing { verb: "sealed", why: "the signature has no length".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::remoting::auth::Account;
    use crate::secret::Secret;

    fn kerberos(kdcs: Vec<String>, wrapping: Wrapping) -> Method {
        Method::Kerberos {
            account: Account::parse("admin@LAB.LOCAL").unwrap(),
            password: Secret::new("x".to_owned()),
            kdcs,
            service: "HTTP".to_owned(),
            host: None,
            wrapping,
        }
    }

    #[tokio::test]
    async fn kerberos_without_a_centre_that_answers_is_an_error_and_never_ntlm() {
        assert!(matches!(Login::new(&kerberos(Vec::new(), Wrapping::Spnego), "web1").err(), Some(AuthError::NoKdc(_))));
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        for wrapping in [Wrapping::Spnego, Wrapping::Raw] {
            let mut login = Login::new(&kerberos(vec![gone.clone()], wrapping), "web1").unwrap().unwrap();
            assert!(matches!(login.step(b"", None).await, Err(AuthError::NoKdc(_))));
        }
    }

    #[tokio::test]
    async fn a_centre_that_answers_garbage_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"\0\0\0\x04\x30\x02\xff\xff").await.unwrap();
            stream
        });
        let mut login = Login::new(&kerberos(vec![here], Wrapping::Spnego), "web1").unwrap().unwrap();
        assert!(matches!(login.step(b"", None).await, Err(AuthError::Token(_))));
        drop(server.await.unwrap());
    }

    /// What a centre answers instead of a ticket, `KRB-ERROR` (RFC 4120 section 5.9.1), behind its length.
    fn krb_error(code: u8) -> Vec<u8> {
        let tagged = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
        let integer = |tag: u8, value: u8| tagged(tag, &tagged(0x02, &[value]));
        let text = |value: &[u8]| tagged(0x1b, value);
        let name = [integer(0xa0, 2), tagged(0xa1, &tagged(0x30, &[text(b"krbtgt"), text(b"LAB")].concat()))].concat();
        let fields = [
            integer(0xa0, 5),
            integer(0xa1, 30),
            tagged(0xa4, &tagged(0x18, b"20261128030405Z")),
            integer(0xa5, 0),
            integer(0xa6, code),
            tagged(0xa9, &text(b"LAB.LOCAL")),
            tagged(0xaa, &tagged(0x30, &name)),
        ];
        let message = tagged(0x7e, &tagged(0x30, &fields.concat()));
        [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
    }

    #[tokio::test]
    async fn what_a_centre_complains_of_is_told_apart() {
        for (code, right) in [
            (6, (|error| matches!(error, AuthError::Refused(_))) as fn(&AuthError) -> bool),
            (7, |error| matches!(error, AuthError::NoSuchService(name) if name == "HTTP/web1")),
            (18, |error| matches!(error, AuthError::Refused(_))),
            (23, |error| matches!(error, AuthError::Refused(_))),
            (24, |error| matches!(error, AuthError::Refused(_))),
            (37, |error| matches!(error, AuthError::Clock(_))),
            (60, |error| matches!(error, AuthError::Token(_))),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let here = listener.local_addr().unwrap().to_string();
            let server = tokio::spawn(async move {
                // A mechanism may ask again before it gives up.
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    stream.write_all(&krb_error(code)).await.unwrap();
                }
            });
            for wrapping in [Wrapping::Raw, Wrapping::Spnego] {
                let mut login = Login::new(&kerberos(vec![here.clone()], wrapping), "web1").unwrap().unwrap();
                let error = login.step(b"", None).await.unwrap_err();
                assert!(right(&error), "{code}, {wrapping}: {error:?}");
            }
            server.abort();
        }
    }

    #[tokio::test]
    async fn nothing_is_sealed_before_the_logon_is_finished() {
        let account = Account::parse("LAB\\admin").unwrap();
        for wrapping in [Wrapping::Spnego, Wrapping::Raw] {
            let method = Method::Ntlm { account: account.clone(), password: Secret::new("x".to_owned()), wrapping };
            let mut login = Login::new(&method, "web1").unwrap().unwrap();
            assert!(matches!(login.wrap(b"x"), Err(AuthError::Sealing { .. })));
            let sealed = SealedMessage { signature: vec![0; 16], data: vec![0; 4] };
            assert!(matches!(login.unwrap(sealed), Err(AuthError::Sealing { .. })));
        }
    }
}
