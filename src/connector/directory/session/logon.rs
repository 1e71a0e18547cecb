//! Logging on, and what a refused logon means. Takes a [`Secured`]: without proved TLS there is nothing to log on with.

use std::time::Instant;

use ldap3::{Ldap, LdapError, LdapResult};

use super::super::outcome;
use super::super::target::{Bind, Target, Url};
use super::dial::{Secured, trouble};
use super::link::{Link, seconds};
use super::{About, OpenError, Trouble};
use crate::connector::redact::Redactor;
use crate::connector::refused::{self, Refused};
use crate::secret::Secret;

/// Logs on. One logon of an account at a time; none within a minute after one was refused.
///
/// # Errors
/// The logon was refused or is held back, or the connection was lost.
pub async fn log_on(
    secured: Secured,
    credential: &Credential,
    target: &Target,
    url: &Url,
    refused: &Refused,
) -> Result<(Link, About), OpenError> {
    let Secured { mut link, about } = secured;
    link.redactor = credential.redactor();
    let account = format!("{}\0{}", target.name, credential.user().to_lowercase());
    let Ok(mut last) = tokio::time::timeout(link.timeout, refused.turn(account)).await else {
        let message = format!("another logon of {} has not ended within {}", credential.shown(), seconds(link.timeout));
        return Err(trouble(Trouble::Unreachable, message));
    };
    if let Some((left, said)) = refused::held(&last, Instant::now()) {
        let next = jiff::Timestamp::now() + left;
        return Err(trouble(
            Trouble::LogonHeld,
            format!(
                "{said}; not tried again before {}, because several refused logons would lock the account",
                next.strftime("%H:%M:%S UTC")
            ),
        ));
    }
    let answered = link.ask(|ldap| credential.send(ldap, url.host.clone())).await;
    let result = answered.map_err(|lost| trouble(Trouble::Unreachable, format!("in the logon: {}", lost.message)))?;
    if result.rc == 0 {
        *last = None;
        return Ok((link, about));
    }
    let said = link.said(&result.text);
    let message = format!("`{}` refuses the logon of {}: {}", url.host, credential.shown(), why(result.rc, &said));
    if result.rc == INVALID_CREDENTIALS {
        *last = Some((Instant::now(), message.clone()));
    }
    let kind = if matches!(result.rc, BUSY | UNAVAILABLE) { Trouble::Unreachable } else { Trouble::Logon };
    Err(trouble(kind, message))
}

const INVALID_CREDENTIALS: u32 = 49;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;

/// What is sent to log on.
pub enum Credential {
    Password {
        user: String,
        password: Secret,
    },
    #[cfg(feature = "kerberos")]
    Kerberos,
}

impl Credential {
    /// Fetches it.
    ///
    /// # Errors
    /// The password cannot be had or is empty, or this build has no Kerberos.
    pub async fn of(bind: &Bind) -> Result<Self, OpenError> {
        let Bind::Simple { user, password } = bind else { return Self::ticket() };
        let reference = password.clone();
        // A command runs, or a person types: not on the thread that everything else runs on.
        let resolved = tokio::task::spawn_blocking(move || reference.resolve()).await;
        let password = match resolved {
            Ok(Ok(password)) => password,
            Ok(Err(error)) => {
                return Err(trouble(Trouble::Local, format!("the password cannot be had: {error}; {}", error.hint)));
            }
            Err(_) => return Err(trouble(Trouble::Local, "the password cannot be had".to_owned())),
        };
        // A server takes a name with an empty password for an anonymous logon and says yes (RFC 4513 section 5.1.2).
        if password.reveal().is_empty() || user.is_empty() {
            return Err(trouble(
                Trouble::Local,
                "the name or the password is empty: that would be an anonymous logon".to_owned(),
            ));
        }
        Ok(Credential::Password { user: user.clone(), password })
    }

    #[cfg(feature = "kerberos")]
    fn ticket() -> Result<Self, OpenError> {
        Ok(Credential::Kerberos)
    }

    #[cfg(not(feature = "kerberos"))]
    fn ticket() -> Result<Self, OpenError> {
        let message =
            "`bind` wants Kerberos, which this build does not have; build it with `--features kerberos`, or use a password";
        Err(trouble(Trouble::Local, message.to_owned()))
    }

    fn user(&self) -> &str {
        match self {
            Credential::Password { user, .. } => user,
            #[cfg(feature = "kerberos")]
            Credential::Kerberos => "",
        }
    }

    fn shown(&self) -> String {
        match self {
            Credential::Password { user, .. } => format!("`{user}`"),
            #[cfg(feature = "kerberos")]
            Credential::Kerberos => "the Kerberos ticket".to_owned(),
        }
    }

    fn redactor(&self) -> Redactor {
        match self {
            Credential::Password { password, .. } => Redactor::new([password]),
            #[cfg(feature = "kerberos")]
            Credential::Kerberos => Redactor::default(),
        }
    }

    #[cfg_attr(not(feature = "kerberos"), allow(unused_variables, reason = "the name is for Kerberos"))]
    async fn send(&self, mut ldap: Ldap, host: String) -> Result<LdapResult, LdapError> {
        match self {
            Credential::Password { user, password } => ldap.simple_bind(user, password.reveal()).await,
            #[cfg(feature = "kerberos")]
            Credential::Kerberos => {
                // Over TLS alone: the library then asks for no sealing of its own, which loses data in this version.
                ldap.sasl_gssapi_bind(&host).await
            }
        }
    }
}

/// Why a logon was refused.
fn why(code: u32, said: &str) -> String {
    let name = outcome::name(code);
    let said = if said.is_empty() { String::new() } else { format!("; it says: {said}") };
    let meaning = match (code, sub_code(said.as_str())) {
        (INVALID_CREDENTIALS, Some(sub)) => logon_trouble(&sub),
        (INVALID_CREDENTIALS, None) => Some("name or password are wrong"),
        (8 | 13, _) => Some("the server demands more protection than this kind of logon has"),
        (48, _) => Some("the server does not allow this kind of logon for the account"),
        (34, _) => Some("the name is not written as the server wants it"),
        (BUSY | UNAVAILABLE, _) => Some("the server cannot answer now"),
        _ => None,
    };
    match meaning {
        Some(meaning) => format!("{meaning} ({name}{said})"),
        None => format!("{name}{said}"),
    }
}

/// The number after `data` in Active Directory's text: a Windows error code in hexadecimal digits.
fn sub_code(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("data ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    (!digits.is_empty()).then(|| digits.to_ascii_lowercase())
}

/// Windows error codes of logons (\[MS-ERREF\] section 2.2).
fn logon_trouble(sub: &str) -> Option<&'static str> {
    Some(match sub {
        "525" => "there is no such user",
        "52e" => "the password is wrong",
        "52f" => "the account is restricted",
        "530" => "the account may not log on at this time",
        "531" => "the account may not log on from this machine",
        "532" => "the password has expired",
        "533" => "the account is disabled",
        "568" => "the account is in too many groups",
        "701" => "the account has expired",
        "773" => "the password must be changed first",
        "775" => "the account is locked",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_active_directory_are_told_apart() {
        let said =
            |sub: &str| format!("80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data {sub}, v2580");
        for (sub, meaning) in [("52e", "password is wrong"), ("775", "locked"), ("532", "expired"), ("533", "disabled")] {
            assert!(why(49, &said(sub)).contains(meaning), "{sub}");
        }
        assert!(why(49, "").starts_with("name or password are wrong (code 49, invalidCredentials)"));
        assert!(why(49, &said("0")).starts_with("code 49"), "a number that is not known means nothing");
    }
}
