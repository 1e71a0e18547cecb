//! What a server offers in `WWW-Authenticate`, which may stand there several times and hold several offers each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::WWW_AUTHENTICATE;

/// The names of all schemes that are offered, in order, each once.
#[must_use]
pub fn offered(headers: &HeaderMap) -> Vec<String> {
    let mut schemes: Vec<String> = Vec::new();
    for (scheme, _) in offers(headers) {
        if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            schemes.push(scheme.to_owned());
        }
    }
    schemes
}

/// The token for a scheme: `None` without such an offer, empty if the offer has no token.
#[must_use]
pub fn token(headers: &HeaderMap, scheme: &str) -> Option<Result<Vec<u8>, &'static str>> {
    let mut found = None;
    for (_, text) in offers(headers).filter(|(name, _)| name.eq_ignore_ascii_case(scheme)) {
        // Of several offers the one with a token is meant.
        if found.is_none() || !text.is_empty() {
            found = Some(text);
        }
    }
    Some(STANDARD.decode(found?).map_err(|_| "the server's token is not in base64"))
}

/// Scheme and token of every offer. A comma separates offers, and parameters too (`Basic realm="a, b"`): what follows a
/// comma is an offer if its first word has no `=`.
fn offers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| {
        parts(value).into_iter().filter_map(|part| {
            let part = part.trim();
            let (scheme, rest) = part.split_once([' ', '\t']).unwrap_or((part, ""));
            let is_scheme = !scheme.is_empty() && !scheme.contains(['=', '"']);
            is_scheme.then(|| (scheme, rest.trim()))
        })
    })
}

/// The text between commas that stand outside quotes.
fn parts(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (place, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&value[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn all_headers_are_read_and_commas_in_quotes_do_not_count() {
        let headers = headers(&["Kerberos", "Basic realm=\"a, Digest \\\" b\", charset=\"UTF-8\", Negotiate TlQ="]);
        assert_eq!(offered(&headers), ["Kerberos", "Basic", "Negotiate"]);
        assert_eq!(token(&headers, "negotiate").unwrap().unwrap(), b"NT");
        assert_eq!(token(&headers, "Kerberos").unwrap().unwrap(), b"");
        assert_eq!(token(&headers, "Digest"), None);
    }

    #[test]
    fn the_offer_with_a_token_is_meant_when_there_are_two() {
        assert_eq!(token(&headers(&["Negotiate", "Negotiate TlQ="]), "Negotiate").unwrap().unwrap(), b"NT");
        assert_eq!(token(&headers(&["Negotiate TlQ=", "Negotiate"]), "Negotiate").unwrap().unwrap(), b"NT");
        assert!(token(&headers(&["Negotiate ?"]), "Negotiate").unwrap().is_err());
    }
}
