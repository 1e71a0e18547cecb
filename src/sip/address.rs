//! `sip:` URIs, and the addresses of From, To and Contact (RFC 3261 sections 19.1 and 20.10).

/// A `sip:` or `sips:` URI, without its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// What stands before the `@`, unescaped.
    pub user: Option<String>,
    /// A name or an address, in lower case.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
}

impl Uri {
    /// Reads one; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(':')?;
        if !(scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")) || rest.len() > 1024 {
            return None;
        }
        let rest = rest.split('?').next()?;
        let (user, place) = match rest.split_once('@') {
            Some((user, place)) => (Some(unescape(user.split([';', ':']).next()?)?).filter(|user| !user.is_empty()), place),
            None => (None, rest),
        };
        let place = place.split(';').next()?;
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (inner, after) = rest.split_once(']')?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
                (format!("[{inner}]"), port)
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (place.to_owned(), None),
            },
        };
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ']' | ':');
        if host.is_empty() || !host.chars().all(fits) {
            return None;
        }
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        Some(Uri { user, host: host.to_lowercase(), port })
    }

    /// Whose it is: `sip:ann@contoso.com`, in lower case.
    #[must_use]
    pub fn bare(&self) -> String {
        match &self.user {
            Some(user) => format!("sip:{}@{}", user.to_lowercase(), self.host),
            None => format!("sip:{}", self.host),
        }
    }
}

/// `%6f` is `o`. `None` if what comes out is no text, or would end a line.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(rest.next()?)? * 16 + digit(rest.next()?)?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '@'))
}

/// An address in a header: `"Ann" <sip:ann@contoso.com>;tag=4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// The URI as it is written, with its parameters.
    pub written: String,
    /// The same, read.
    pub uri: Uri,
    /// The tag that follows it.
    pub tag: Option<String>,
}

impl NameAddr {
    /// Reads one; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut rest = text;
        if let Some(quoted) = text.strip_prefix('"') {
            let mut escaped = false;
            let end = quoted.char_indices().find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            })?;
            rest = &quoted[end.0 + 1..];
        }
        let (written, parameters) = match rest.split_once('<') {
            Some((_, inner)) => inner.split_once('>')?,
            // Without brackets what follows a semicolon belongs to the header (section 20.10).
            None => rest.split_once(';').unwrap_or((rest, "")),
        };
        let tag = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("tag").then(|| value.trim().to_owned())
        });
        Some(NameAddr { written: written.trim().to_owned(), uri: Uri::parse(written)?, tag: tag.filter(|tag| !tag.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_whose_it_is_however_it_is_written() {
        for text in
            ["sip:OcsChat@Contoso.com", "sips:%6fcschat:pw@contoso.com:5061;transport=tls?x=y", "SIP:ocschat;x=1@contoso.com"]
        {
            assert_eq!(Uri::parse(text).map(|uri| uri.bare()).as_deref(), Some("sip:ocschat@contoso.com"), "{text}");
        }
        assert_eq!(Uri::parse("sip:[::1]:5061").and_then(|uri| uri.port), Some(5061));
        for wrong in [
            "",
            "ocschat@contoso.com",
            "tel:1",
            "sip:",
            "sip:a@",
            "sip:a@b c",
            "sip:a%0d@b",
            "sip:a%zz@b",
            "sip:a@b:x",
            "sip:a@b:99999",
        ] {
            assert_eq!(Uri::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_may_have_a_name_and_a_tag() {
        let read = |text: &str| NameAddr::parse(text).map(|found| (found.uri.bare(), found.tag));
        let ann = |tag: Option<&str>| Some(("sip:ann@contoso.com".to_owned(), tag.map(str::to_owned)));
        assert_eq!(read("\"A \\\" <sip:x@y>\" <sip:ann@contoso.com;x=1>;epid=2;tag=3"), ann(Some("3")));
        assert_eq!(read("Ann <sip:ann@contoso.com>"), ann(None));
        assert_eq!(read("sip:ann@contoso.com;tag=4"), ann(Some("4")));
        for wrong in ["\"open", "<sip:a@b", "<x>", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
