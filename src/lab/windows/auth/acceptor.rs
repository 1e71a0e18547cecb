//! One logon, token by token.

use super::ntlm::{self, Binding, Challenge, LoggedOn};
use super::seal::Session;
use super::spnego::{self, State, Token};
use super::{Accounts, Refused};

/// A logon on its way.
pub struct Acceptor {
    machine: String,
    at: At,
    /// SPNEGO's list of mechanisms, and whether both sides must sign it; none where tokens are NTLM's own.
    list: Option<(Vec<u8>, bool)>,
}

enum At {
    Beginning,
    /// SPNEGO chose NTLM, and the client has still to begin with it.
    Chosen,
    Challenged(Challenge),
    Over,
}

/// What a token led to.
pub enum Progress {
    /// The client has to go on from this token.
    Continue(Vec<u8>),
    /// Somebody is logged on.
    Done {
        /// The account's name.
        account: String,
        /// For sealing.
        session: Box<Session>,
        /// The last token for the client; empty if there is none.
        token: Vec<u8>,
    },
}

impl Acceptor {
    /// Nobody said anything yet.
    pub fn new(machine: &str) -> Self {
        Acceptor { machine: machine.to_owned(), at: At::Beginning, list: None }
    }

    /// Takes a token of the client. After a refusal the logon is over.
    pub fn step(&mut self, token: &[u8], accounts: &dyn Accounts, binding: &Binding) -> Result<Progress, Refused> {
        let at = std::mem::replace(&mut self.at, At::Over);
        match at {
            At::Beginning if ntlm::is(token) => {
                let challenge = Challenge::new(token, &self.machine)?;
                let message = challenge.message.clone();
                self.at = At::Challenged(challenge);
                Ok(Progress::Continue(message))
            }
            At::Beginning => self.choose(token),
            At::Chosen => {
                let Some(Token::Response { inner: Some(inner), .. }) = spnego::read(token) else { return Err(no_token()) };
                self.challenge(&inner, State::Incomplete, false)
            }
            At::Challenged(challenge) if self.list.is_none() => {
                let LoggedOn { account, session, .. } = challenge.check(token, accounts, binding)?;
                Ok(Progress::Done { account, session: Box::new(session), token: Vec::new() })
            }
            At::Challenged(challenge) => self.finish(&challenge, token, accounts, binding),
            At::Over => Err(Refused::new("the logon is over already")),
        }
    }

    fn choose(&mut self, token: &[u8]) -> Result<Progress, Refused> {
        let Some(Token::Init { list, ntlm, inner }) = spnego::read(token) else { return Err(no_token()) };
        let place = ntlm.ok_or_else(|| Refused::new("SPNEGO without NTLM: the lab has no Kerberos"))?;
        self.list = Some((list, place > 0));
        match inner {
            Some(inner) if place == 0 => self.challenge(&inner, State::Incomplete, true),
            // A token for another mechanism, or none.
            _ => {
                self.at = At::Chosen;
                let state = if place > 0 { State::RequestSignature } else { State::Incomplete };
                Ok(Progress::Continue(spnego::answer(state, true, None, None)))
            }
        }
    }

    fn challenge(&mut self, negotiate: &[u8], state: State, names: bool) -> Result<Progress, Refused> {
        let challenge = Challenge::new(negotiate, &self.machine)?;
        let message = spnego::answer(state, names, Some(&challenge.message), None);
        self.at = At::Challenged(challenge);
        Ok(Progress::Continue(message))
    }

    fn finish(
        &mut self,
        challenge: &Challenge,
        token: &[u8],
        accounts: &dyn Accounts,
        binding: &Binding,
    ) -> Result<Progress, Refused> {
        let Some(Token::Response { inner: Some(inner), signature }) = spnego::read(token) else { return Err(no_token()) };
        let LoggedOn { account, mut session, protected } = challenge.check(&inner, accounts, binding)?;
        let Some((list, must_sign)) = &self.list else { unreachable!("only SPNEGO comes here") };
        let refused = |why: &str| Refused { why: why.to_owned(), account: Some(account.clone()) };
        let ours = match &signature {
            Some(signature) if session.verify_list(list, signature) => Some(session.sign_list(list)),
            Some(_) => return Err(refused("the list of mechanisms is signed wrongly")),
            // Whoever protects the logon's messages by a code signs the list too ([MS-SPNG] section 3.3.5.1).
            None if *must_sign || protected => return Err(refused("the list of mechanisms is not signed")),
            None => None,
        };
        let token = spnego::answer(State::Completed, false, None, ours.as_ref().map(<[u8; 16]>::as_slice));
        Ok(Progress::Done { account, session: Box::new(session), token })
    }
}

fn no_token() -> Refused {
    Refused::new("a token is neither SPNEGO's nor NTLM's")
}
