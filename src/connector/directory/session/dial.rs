//! From a URL to a connection over TLS with a proved certificate.

use std::net::SocketAddr;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::target::{Target, Url};
use super::link::{Link, guarded, seconds};
use super::{About, OpenError, Trouble};
use crate::connector::tls;
use crate::foreign::one_line;

/// A connection over TLS whose certificate was proved. Made by [`secure`] alone, so that nothing logs on without.
pub struct Secured {
    pub(super) link: Link,
    pub(super) about: About,
}

pub(super) fn trouble(kind: Trouble, message: String) -> OpenError {
    OpenError { kind, message }
}

/// Connects and proves the certificate, within the target's timeout.
///
/// # Errors
/// No connection, or no TLS that can be trusted. No credential has been sent.
pub async fn secure(target: &Target, url: &Url) -> Result<Secured, OpenError> {
    let config = tls::config(target.ca.as_deref()).map_err(|message| trouble(Trouble::Local, message))?;
    let time = target.timeout.to_std();
    let until = Instant::now() + time;
    let (mut stream, address) = connect(target, url, until).await?;
    let late = |_| {
        let doing = if url.start_tls { "StartTLS" } else { "TLS" };
        let said =
            format!("`{}` ({address}) took the connection and did not answer to {doing} within {}", url.host, seconds(time));
        trouble(Trouble::Unreachable, said)
    };
    if url.start_tls {
        let asked = tokio::time::timeout_at(until, super::start_tls::ask(&mut stream, &url.host)).await.map_err(late)?;
        asked.map_err(|message| trouble(Trouble::Tls, message))?;
    }
    let stream = stream.into_std().map_err(|error| trouble(Trouble::Local, format!("the connection cannot be used: {error}")))?;
    // After StartTLS too: the exchange is over, and what the library has to do is the handshake alone.
    let settings = LdapConnSettings::new().set_config(config).set_std_stream(StdStream::Tcp(stream));
    let whole = format!("ldaps://{}:{}", url.host, url.port);
    let shaken = tokio::time::timeout_at(until, guarded(LdapConnAsync::with_settings(settings, &whole))).await.map_err(late)?;
    let (connection, ldap) = match shaken {
        Ok(Ok(pair)) => pair,
        Ok(Err(error)) => return Err(handshake(&error, url)),
        Err(_) => return Err(trouble(Trouble::Tls, format!("the TLS handshake with `{}` failed", url.host))),
    };
    let mut link = Link::new(connection, ldap, time, url.host.clone());
    let certificate = link.ask(|mut ldap| async move { ldap.get_peer_certificate().await }).await.ok().flatten();
    let certificate_expires = certificate.as_deref().and_then(tls::facts).map(|facts| facts.not_after);
    Ok(Secured { link, about: About { address, certificate_expires } })
}

fn handshake(error: &LdapError, url: &Url) -> OpenError {
    let host = &url.host;
    match error {
        LdapError::Io { source } => {
            if let Some(error) = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return trouble(Trouble::Tls, format!("{}; no password was sent", tls::explain(error, host)));
            }
            let what = one_line(&source.to_string(), 200);
            let hint = "does it speak TLS on this port, and version 1.2 or later?";
            trouble(Trouble::Tls, format!("`{host}` broke off in the TLS handshake ({what}); {hint} No password was sent"))
        }
        LdapError::DNSName { .. } => trouble(Trouble::Local, format!("`{host}` is no name that a certificate can be for")),
        other => trouble(Trouble::Tls, format!("the TLS handshake with `{host}` failed: {}", one_line(&other.to_string(), 200))),
    }
}

/// Tries all addresses of a host; each gets its share of the time that is left.
async fn connect(target: &Target, url: &Url, until: Instant) -> Result<(TcpStream, SocketAddr), OpenError> {
    let unreachable = |message| trouble(Trouble::Unreachable, message);
    let (host, port) = (url.host.as_str(), url.port);
    let addresses: Vec<SocketAddr> = match target.address_of(host, port) {
        Some(address) => vec![address],
        None => {
            let looked = tokio::time::timeout_at(until, tokio::net::lookup_host((host, port))).await;
            let found = looked.map_err(|_| {
                unreachable(format!("the name `{host}` was not resolved within {}", seconds(target.timeout.to_std())))
            })?;
            found.map_err(|error| unreachable(format!("the name `{host}` cannot be resolved: {}", os_text(&error))))?.collect()
        }
    };
    let mut failures = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(1);
        match tokio::time::timeout(share.max(Duration::from_millis(1)), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok((stream, *address));
            }
            Ok(Err(error)) => failures.push(format!("{address}: {}", os_text(&error))),
            Err(_) => failures.push(format!("{address}: no answer within {}", seconds(share))),
        }
    }
    let why = if failures.is_empty() { "the name has no address".to_owned() } else { failures.join("; ") };
    Err(unreachable(format!("cannot connect to `{host}:{port}`: {why}")))
}

/// The system's text, lower case, without its number.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    let lower = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    one_line(&lower.unwrap_or_default(), 200)
}
