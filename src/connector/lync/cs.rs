//! What all actions on Lync share: one cmdlet at a time, what it gave, and what that is worth.

use serde_json::Map;

use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
pub(in crate::connector) use crate::connector::powershell::shown;
use crate::connector::sip::SipAddress;
use crate::plan::Verdict;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation};
use crate::run::event::{EvidenceRef, Outcome, Outputs};

/// What evidence of what was there before is called in the journal.
pub const BEFORE_IMAGE: &str = "before-image";
/// No image is larger.
const LARGEST: u64 = 64 << 20;

/// Runs a cmdlet that only reads.
///
/// # Errors
/// It complained, or nobody knows how it ended: then what it gave is not all there is.
pub async fn read(session: &mut Session, command: Command) -> Result<Vec<Value>, NoAnswer> {
    let answer = session.run(command).await.map_err(|lost| NoAnswer::from(lost.reason))?;
    answer.read().map_err(NoAnswer::from)
}

/// A property as text; `None` if it is not there, `$null` or blank.
pub fn word(object: &Value, name: &str) -> Option<String> {
    let value = object.get(name).filter(|value| !value.is_nil())?;
    Some(value.to_text().trim().to_owned()).filter(|text| !text.is_empty())
}

/// A property that is a list, as texts; one value alone is a list of one.
pub fn words(object: &Value, name: &str) -> Vec<String> {
    match object.get(name).filter(|value| !value.is_nil()) {
        None => Vec::new(),
        Some(value) => match value.items() {
            Some(items) => items.iter().map(|item| item.to_text().trim().to_owned()).filter(|text| !text.is_empty()).collect(),
            None => word(object, name).into_iter().collect(),
        },
    }
}

/// The name of a server or pool: in lower case, and nothing but a name.
///
/// # Errors
/// It is missing, or no fully qualified domain name.
pub fn fqdn(call: &Call, name: &str) -> Result<String, String> {
    parse_fqdn(&args::needed(call, name)?, name)
}

/// As [`fqdn`], from its text.
///
/// # Errors
/// It is no fully qualified domain name.
pub fn parse_fqdn(text: &str, name: &str) -> Result<String, String> {
    let lower = text.trim().to_ascii_lowercase();
    let label = |part: &str| !part.is_empty() && part.len() <= 63 && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let fits = lower.len() <= 255 && lower.contains('.') && lower.split('.').all(label);
    if fits {
        Ok(lower)
    } else {
        Err(format!("`{name}` is `{}`, not a fully qualified name such as `pcpool.contoso.com`", shown(text)))
    }
}

/// The address of a call. It becomes a part of a filter, so that only what needs no quoting is taken.
///
/// # Errors
/// It is missing, no SIP address, or holds what stands in no address of Lync.
pub fn address(call: &Call) -> Result<SipAddress, String> {
    let address = SipAddress::parse(&args::needed(call, "sip_address")?)?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ':' | '@' | '.' | '_' | '-' | '+' | '~' | '!' | '%');
    match address.as_str().chars().find(|c| !plain(*c)) {
        None => Ok(address),
        Some(odd) => {
            Err(format!("`{}` holds `{}`, which relevo puts into no filter", shown(address.as_str()), shown(&odd.to_string())))
        }
    }
}

/// A finding.
pub fn finding(level: Level, message: impl Into<String>) -> Finding {
    Finding { level, message: message.into() }
}

/// One fatal finding for arguments that cannot be used.
pub fn wrong(message: String) -> Vec<Finding> {
    vec![finding(Level::Fatal, message)]
}

/// Which of these cmdlets the session does not offer: the endpoint shows only those of the caller's roles. The first is one
/// that the step reads with. `Get-Command` is believed only if it knows that one.
pub async fn not_offered(session: &mut Session, cmdlets: &[&str]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut believed = false;
    for (place, name) in cmdlets.iter().enumerate() {
        let asked = read(session, Command::new("Get-Command").parameter("Name", *name)).await;
        let there = asked.is_ok_and(|objects| !objects.is_empty());
        believed |= there && place == 0;
        if !there && believed {
            let account = session.host().logon.account();
            found.push(finding(
                Level::Fatal,
                format!(
                    "`{account}` is not offered `{name}` on `{}`: its roles do not allow it; add it to a role that does",
                    session.host().name
                ),
            ));
        }
    }
    found
}

/// A session for a preflight, and what the arguments or the endpoint have against it.
pub async fn offered(hosts: &Hosts, call: &Call, cmdlets: &[&str]) -> Vec<Finding> {
    match hosts.look(call).await {
        Err(error) => vec![error.finding()],
        Ok(mut session) => {
            let found = not_offered(&mut session, cmdlets).await;
            session.close().await;
            found
        }
    }
}

/// What a look for a step without effect found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Everything is as it must be.
    pub holds: bool,
    /// For people.
    pub seen: String,
    /// What the step gives.
    pub outputs: Outputs,
}

/// The look as a probe.
pub fn observe(checked: Result<Checked, NoAnswer>) -> Observation {
    match checked {
        Err(error) => Observation::unknown(error.reason),
        Ok(Checked { holds, seen, outputs }) => {
            let verdict = if holds { Verdict::Done } else { Verdict::NotDone };
            Observation { verdict, facts: outputs.clone(), outputs, ..Observation::unknown(seen) }
        }
    }
}

/// The look as an attempt.
pub fn conclude(checked: Result<Checked, NoAnswer>) -> Outcome {
    match checked {
        Err(error) => Outcome::NotSent { reason: error.reason },
        Ok(Checked { holds: true, outputs, .. }) => Outcome::Applied { outputs },
        Ok(Checked { holds: false, seen, .. }) => Outcome::Rejected { reason: seen, untouched: true },
    }
}

/// What was decided before anything was sent.
pub fn rejected(reason: impl Into<String>) -> Outcome {
    Outcome::Rejected { reason: reason.into(), untouched: true }
}

/// What a step would do, line by line.
pub fn described(lines: Vec<String>, outputs: Outputs) -> Description {
    Description { lines, rehearsable: true, outputs }
}

/// A description that could not be made.
pub fn not_described(why: &str) -> Description {
    described(vec![format!("cannot be described: {why}")], Map::new())
}

/// Keeps an image. A later attempt keeps what the first one kept ([`kept`]): what it sees may be half of its own effect.
///
/// # Errors
/// It could not be stored, or the first one not be read.
pub fn keep(evidence: &dyn Evidence, image: &serde_json::Value) -> Result<Option<EvidenceRef>, String> {
    let bytes = serde_json::to_vec_pretty(image).map_err(|error| format!("it could not be written: {error}"))?;
    evidence.store(BEFORE_IMAGE, &bytes).map(Some).map_err(|error| format!("it could not be stored: {error}"))
}

/// The image that an earlier attempt kept.
///
/// # Errors
/// There should be one, and it cannot be read.
pub fn kept(call: &Call) -> Result<Option<serde_json::Value>, String> {
    let Some(kept) = &call.before_image else { return Ok(None) };
    image(&kept.read(LARGEST)?).map(Some)
}

/// That the attempt has its image, and that it is what was kept.
///
/// # Errors
/// There is none, or it was changed.
pub fn must_be_kept(call: &Call) -> Result<(), String> {
    kept(call)?.map(drop).ok_or_else(|| "there is no before-image of it".to_owned())
}

/// An image from its bytes.
///
/// # Errors
/// They are none.
pub fn image(bytes: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the before-image cannot be understood: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_name_and_nothing_else() {
        assert_eq!(parse_fqdn(" PCPool.Contoso.com ", "pool"), Ok("pcpool.contoso.com".to_owned()));
        for wrong in ["", "pcpool", "pc pool.contoso.com", "a..b", ".a.b", "pc$(x).b", "a/b.c", "x'.y", "*.contoso.com"] {
            assert!(parse_fqdn(wrong, "pool").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_property_is_read_as_text_whatever_it_is() {
        let typed = Value::typed(&["A.Fqdn"], Some("fe01.contoso.com"), Vec::<(&str, Value)>::new());
        let object = Value::custom([("Registrar", typed), ("Empty", Value::from("  ")), ("Nothing", Value::Nil)]);
        assert_eq!(word(&object, "registrar").as_deref(), Some("fe01.contoso.com"));
        assert_eq!((word(&object, "Empty"), word(&object, "Nothing"), word(&object, "Other")), (None, None, None));
        let object = Value::custom([("Many", Value::list(["a", "", "b"])), ("One", Value::from("c"))]);
        assert_eq!((words(&object, "Many"), words(&object, "One")), (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]));
    }
}
