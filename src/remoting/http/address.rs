//! What a URL says: scheme, host, port, path.

use std::fmt;

use hyper::Uri;

/// The parts of an `http` or `https` URL that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether the connection is by TLS.
    pub tls: bool,
    /// Name or address of the host; an IPv6 address without its brackets.
    pub host: String,
    /// The port, 5985 (`http`) or 5986 (`https`) unless the URL names one.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
}

/// Why a text is no URL for this purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no URL of a service: {why}")]
pub struct AddressError {
    url: String,
    why: &'static str,
}

impl Address {
    /// Reads a URL. The default ports are those of Windows Remote Management, save where `web` says that the service lives
    /// on a web server, where they are 80 and 443.
    ///
    /// # Errors
    /// Another scheme than `http` and `https`, no host, or a name and password in the URL.
    pub fn parse(url: &str, web: bool) -> Result<Self, AddressError> {
        let refused = |why| AddressError { url: without_password(url), why };
        let uri: Uri = url.parse().map_err(|_| refused("it cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("it begins with neither `https://` nor `http://`")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("name and password do not belong in it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        let usual = match (web, tls) {
            (false, true) => 5986,
            (false, false) => 5985,
            (true, true) => 443,
            (true, false) => 80,
        };
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() > authority.host().len() => return Err(refused("its port is no number")),
            None => usual,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Address { tls, host, port, path: if path.is_empty() { "/" } else { path }.to_owned() })
    }

    /// Where a redirect from here leads: a whole URL, or a path on the same host.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn join(&self, location: &str) -> Result<Self, AddressError> {
        if location.starts_with('/') && !location.starts_with("//") {
            let path: Uri = location.parse().map_err(|_| AddressError { url: location.to_owned(), why: "it cannot be read" })?;
            let path = path.path_and_query().map_or("/", |path| path.as_str()).to_owned();
            return Ok(Address { path, ..self.clone() });
        }
        Address::parse(location, true)
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether both are the same service on the same host and port, by the same scheme.
    pub(super) fn same_place(&self, other: &Address) -> bool {
        self.tls == other.tls && self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_service_unless_named() {
        for (url, web, whole) in [
            ("https://fe01/wsman", false, "https://fe01:5986/wsman"),
            ("http://fe01/wsman", false, "http://fe01:5985/wsman"),
            ("https://fe01/OcsPowerShell", true, "https://fe01:443/OcsPowerShell"),
            ("https://[::1]:8443/a?b=c", false, "https://[::1]:8443/a?b=c"),
            ("http://fe01", true, "http://fe01:80/"),
        ] {
            assert_eq!(Address::parse(url, web).unwrap().to_string(), whole);
        }
    }

    #[test]
    fn what_is_no_url_of_a_service_is_refused_and_no_password_shown() {
        for url in ["", "fe01", "ftp://fe01/", "https:///x", "https://fe01:x/", "/wsman"] {
            assert!(Address::parse(url, false).is_err(), "{url}");
        }
        let error = Address::parse("https://admin:hunter2@fe01/", false).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_redirect_may_be_a_path_or_a_whole_url() {
        let here = Address::parse("https://a:1/x", false).unwrap();
        assert_eq!(here.join("/y?z").unwrap().to_string(), "https://a:1/y?z");
        assert_eq!(here.join("https://b/y").unwrap().to_string(), "https://b:443/y");
        assert!(here.join("//b/y").is_err());
        assert!(here.join("y").is_err());
    }
}
