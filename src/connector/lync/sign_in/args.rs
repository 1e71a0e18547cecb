//! What a step asks for, with what the target says of itself.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::connector::args;
use crate::connector::lync::cs::{self, shown};
use crate::connector::sip::SipAddress;
use crate::connector::time_left::TimeLeft;
use crate::run::connector::Call;
use crate::time::Span;

/// SIP over TLS.
const PORT: u16 = 5061;
/// For all of it, unless the step has a timeout of its own.
const TIMEOUT: Span = Span::from_secs(60);

/// Which product must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Lync Server 2010 or older.
    GroupChat,
    /// Lync Server 2013.
    PersistentChat,
}

/// Where the registrar is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrar {
    /// Whose certificate it must have.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where to connect to instead.
    pub connect_to: Option<String>,
}

impl std::fmt::Display for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a step asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The Front End.
    pub registrar: Registrar,
    /// The authority that it is proved by, if not the system's.
    pub ca: Option<PathBuf>,
    /// The address that clients know.
    pub address: SipAddress,
    /// Who signs in.
    pub user: SipAddress,
    /// Who must answer.
    pub expect: Option<Product>,
    /// Rooms that must be there.
    pub rooms: Vec<String>,
    /// How many rooms at least.
    pub min_rooms: u64,
    /// How many messages at least.
    pub min_messages: u64,
    /// What is left of the step's time.
    pub time: TimeLeft,
}

impl Wanted {
    /// Reads them.
    ///
    /// # Errors
    /// One of them is missing or cannot be used.
    pub fn read(call: &Call) -> Result<Self, String> {
        let target = target(call)?;
        let own = |name: &str| -> Result<Option<String>, String> {
            let given = args::text(call, name)?;
            let said = target.and_then(|target| target.get("vars")?.get("sip")?.get(name)?.as_str());
            Ok(given.or_else(|| said.map(str::to_owned)))
        };
        let missing = |name: &str| match args::text(call, "host") {
            Ok(Some(host)) => format!("`{name}` is not given, and the host `{}` has no `vars.sip.{name}`", shown(&host)),
            _ => format!("`{name}` is missing"),
        };
        let registrar = own("registrar")?.ok_or_else(|| missing("registrar"))?;
        let (host, port) = host_and_port(&registrar)
            .ok_or_else(|| format!("`registrar` is `{}`, not a name such as `pool01.contoso.com:5061`", shown(&registrar)))?;
        let user = own("as")?.ok_or_else(|| missing("as"))?;
        let ca = match args::text(call, "ca")? {
            Some(ca) => Some(call.folder.join(ca)),
            None => target.and_then(|target| target.get("ca")?.as_str()).map(|ca| beside(call, ca)),
        };
        let expect = match args::text(call, "expect")?.as_deref() {
            None => None,
            Some("persistent_chat") => Some(Product::PersistentChat),
            Some("group_chat") => Some(Product::GroupChat),
            Some(other) => return Err(format!("`expect` is `{}`, not `persistent_chat` or `group_chat`", shown(other))),
        };
        Ok(Wanted {
            registrar: Registrar { host, port, connect_to: own("address")? },
            ca,
            address: cs::address(call)?,
            user: SipAddress::parse(&user)?,
            expect,
            rooms: args::list(call, "room")?,
            min_rooms: count(call, "min_rooms", 1)?,
            min_messages: count(call, "min_messages", 0)?,
            time: if call.timeout.is_some() { TimeLeft::of(call) } else { TimeLeft::within(TIMEOUT) },
        })
    }
}

/// The host of the targets file, if the step names one.
fn target(call: &Call) -> Result<Option<&Map<String, Value>>, String> {
    let Some(name) = args::text(call, "host")? else { return Ok(None) };
    let found = call.targets.value.get("hosts").and_then(|hosts| hosts.get(&name)?.as_object());
    found.map(Some).ok_or_else(|| format!("the targets file has no host `{}`", shown(&name)))
}

/// A path of the targets file starts beside it.
fn beside(call: &Call, path: &str) -> PathBuf {
    call.targets.path.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.trim().rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        None => (text.trim(), PORT),
    };
    let fits = !host.is_empty() && host.len() <= 255 && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    fits.then(|| (host.to_ascii_lowercase(), port))
}

fn count(call: &Call, name: &str, usual: u64) -> Result<u64, String> {
    match call.with.get(name) {
        None | Some(Value::Null) => Ok(usual),
        Some(value) => value.as_u64().ok_or_else(|| format!("`{name}` must be a whole number, 0 or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrar_is_a_name_and_a_port() {
        assert_eq!(host_and_port("Pool01.contoso.com"), Some(("pool01.contoso.com".to_owned(), 5061)));
        assert_eq!(host_and_port("127.0.0.1:40001"), Some(("127.0.0.1".to_owned(), 40001)));
        for wrong in ["", ":5061", "a:0", "a:x", "a:99999", "a b", "https://a"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
