//! What is recorded of an attempt before its first byte: the shell that it will run in, and where that is. Pure.
//!
//! `SHELL@PLACE`, and ` NAME@PLACE` for every further host in which the attempt works. A place is the host's URL, with
//! `;via=` where something else is connected to, `;as=` the account, and `;redirects` where the answer may lead to another
//! host. Handles of older versions are the shell's id alone.
//!
//! That a shell is gone says something only where it was. What a host says of itself once it is connected cannot be
//! recorded before, so that what is compared is where we connect to.

use std::fmt::Write as _;

use uuid::Uuid;

use super::host::Host;

/// A handle, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// The shell's id, as it was recorded.
    pub shell: String,
    /// Where it is; `None` in handles of older versions.
    pub place: Option<Place>,
    further: Vec<(String, Place)>,
}

/// Where a shell is, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host's URL, and what is connected to.
    address: String,
    account: String,
    redirects: bool,
}

/// A place that was recorded, held against a host as it is in the targets file now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// There, and as the same account: what the host lists is everything that there can be.
    There,
    /// There, but that a shell is not listed says nothing: why.
    Hidden(String),
    /// Another place: what is there now says nothing of the attempt.
    Elsewhere(String),
}

impl Place {
    /// Where a host of the targets file is.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        let via = host.connect_to.as_ref().map(|place| format!(";via={}", one_word(place))).unwrap_or_default();
        Place {
            address: format!("{}{via}", one_word(&host.address.to_string())).to_lowercase(),
            account: one_word(&host.logon.account()).to_lowercase(),
            redirects: !host.redirects.is_empty(),
        }
    }

    fn read(text: &str) -> Self {
        let (text, redirects) = text.strip_suffix(";redirects").map_or((text, false), |text| (text, true));
        let (address, account) = text.split_once(";as=").unwrap_or((text, ""));
        Place { address: address.to_owned(), account: account.to_owned(), redirects }
    }

    fn text(&self) -> String {
        format!("{};as={}{}", self.address, self.account, if self.redirects { ";redirects" } else { "" })
    }

    /// Holds what was recorded against the host as it is named now.
    #[must_use]
    pub fn held(&self, host: &Host) -> Held {
        let now = Place::of(host);
        if now.address != self.address {
            return Held::Elsewhere(format!(
                "the attempt ran at `{}`, and `{}` is `{}` now: what is gone here may still run there",
                super::shown(&self.address),
                host.name,
                super::shown(&now.address)
            ));
        }
        if self.redirects || now.redirects {
            return Held::Hidden("the host may lead us to another one (`redirect_to`), whose list says nothing".to_owned());
        }
        if now.account != self.account {
            return Held::Hidden(format!(
                "the attempt ran as `{}`, and `{}` may not see its shells",
                super::shown(&self.account),
                super::shown(&now.account)
            ));
        }
        Held::There
    }
}

impl Handle {
    /// Writes one: of the shell on its host, and the further hosts with their names.
    #[must_use]
    pub fn write(shell: Uuid, host: Option<&Host>, further: &[(String, Host)]) -> String {
        let mut text = shell.to_string();
        if let Some(host) = host {
            text.push('@');
            text.push_str(&Place::of(host).text());
        }
        for (name, host) in further {
            let _ = write!(text, " {}@{}", name_word(name), Place::of(host).text());
        }
        text
    }

    /// Reads one.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut parts = text.split(' ');
        let own = parts.next().unwrap_or_default();
        let (shell, place) = match own.split_once('@') {
            Some((shell, place)) => (shell, Some(Place::read(place))),
            None => (own, None),
        };
        let further = parts.filter_map(|part| part.split_once('@')).map(|(name, place)| (name.to_owned(), Place::read(place)));
        Handle { shell: shell.to_owned(), place, further: further.collect() }
    }

    /// The shell's id.
    ///
    /// # Errors
    /// What was recorded is no id.
    pub fn id(&self) -> Result<Uuid, String> {
        Uuid::parse_str(&self.shell).map_err(|_| format!("the recorded shell `{}` is no id", super::shown(&self.shell)))
    }

    /// Where the shell on a further host is; `None` in handles of older versions.
    #[must_use]
    pub fn place_at(&self, name: &str) -> Option<&Place> {
        let name = name_word(name);
        self.further.iter().find(|(known, _)| *known == name).map(|(_, place)| place)
    }
}

/// A text without what separates the parts of a handle. Only ever compared, never read back.
fn one_word(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || c.is_control() || c == ';' { '_' } else { c }).collect()
}

fn name_word(name: &str) -> String {
    one_word(name).replace('@', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Targets;

    fn host(extra: &serde_json::Value) -> Host {
        let auth = json!({ "negotiate": { "user": "CONTOSO\\svc mig", "password": { "$secret": { "env": "P" } } } });
        let mut keys = json!({ "url": "https://GC01.contoso.com/wsman", "auth": auth });
        keys.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let value = json!({ "hosts": { "gc01": keys } });
        let targets = Targets { value: value.as_object().unwrap().clone(), ..Targets::default() };
        Host::read(&targets, "gc01", None).unwrap()
    }

    #[test]
    fn f74_a_handle_says_which_shell_and_where_and_is_read_back() {
        let here = host(&json!({}));
        let there = host(&json!({ "address": "10.0.0.7:5986", "redirect_to": ["other.contoso.com"] }));
        let id = Uuid::new_v4();
        let text = Handle::write(id, Some(&here), &[("file 01".to_owned(), there.clone())]);
        assert_eq!(
            text,
            format!(
                "{id}@https://gc01.contoso.com:5986/wsman;as=contoso\\svc_mig \
                 file_01@https://gc01.contoso.com:5986/wsman;via=10.0.0.7:5986;as=contoso\\svc_mig;redirects"
            )
        );
        let read = Handle::read(&text);
        assert_eq!((read.id(), read.place.clone()), (Ok(id), Some(Place::of(&here))));
        assert_eq!(read.place_at("file 01"), Some(&Place::of(&there)));
        assert_eq!(read.place_at("other"), None);
    }

    #[test]
    fn f74_a_handle_of_an_older_version_is_the_shell_alone() {
        let id = Uuid::new_v4();
        let read = Handle::read(&id.to_string());
        assert_eq!((read.id(), &read.place, read.place_at("file01")), (Ok(id), &None, None));
        assert!(Handle::read("not an id").id().is_err());
    }

    #[test]
    fn f74_a_shell_that_is_gone_counts_only_where_it_was_and_for_whom_it_can_be_seen() {
        let held = |then: serde_json::Value, now: serde_json::Value| {
            let text = Handle::write(Uuid::new_v4(), Some(&host(&then)), &[]);
            Handle::read(&text).place.unwrap().held(&host(&now))
        };
        assert_eq!(held(json!({}), json!({ "url": "https://gc01.CONTOSO.com:5986/wsman" })), Held::There);
        for other in [
            json!({ "url": "https://gc02.contoso.com/wsman" }),
            json!({ "url": "https://gc01.contoso.com:443/wsman" }),
            json!({ "address": "10.0.0.7:5986" }),
        ] {
            assert!(matches!(held(json!({}), other.clone()), Held::Elsewhere(_)), "{other}");
            assert!(matches!(held(other.clone(), json!({})), Held::Elsewhere(_)), "{other}");
        }
        let else_who = json!({ "auth": { "negotiate": { "user": "CONTOSO\\adm", "password": { "$secret": { "env": "P" } } } } });
        for hidden in [else_who, json!({ "redirect_to": ["other.contoso.com"] })] {
            assert!(matches!(held(json!({}), hidden.clone()), Held::Hidden(_)), "{hidden}");
            assert!(matches!(held(hidden.clone(), json!({})), Held::Hidden(_)), "{hidden}");
        }
    }
}
