//! A host of the targets file: a machine that is reached by PowerShell remoting.

use super::{Read, at_once, settle, url, wants_map};
use crate::plan::keys::{
    AUTH, AuthKey, BASIC, BasicKey, CERTIFICATE, CertificateKey, HOST, HostKey, NEGOTIATE, NegotiateKey, PACKAGES, VERIFY,
    VerifyKey,
};
use crate::plan::node::Node;
use crate::plan::read::Reader;

/// Checks a host. Its values are read again by the connector, from the plain form.
pub fn read(reader: Reader<'_>, node: &Node<'_>, name: &str, read: &mut Read) {
    let Some(fields) = reader.fields(node, HOST, &format!("the host `{name}`")) else { return };
    let scheme = fields.get(HostKey::Url).and_then(|node| Some((url(reader, node, "url", "https://host:5986/wsman")?, node)));
    if let Some((scheme, node)) = scheme
        && !matches!(scheme, "https" | "http")
    {
        reader.error(
            node,
            "`url`: PowerShell remoting is reached by `https` or `http`",
            "write for example `https://host:5986/wsman`",
        );
    }
    for (key, what) in [(HostKey::Address, "address"), (HostKey::Ca, "ca"), (HostKey::Configuration, "configuration")] {
        if let Some(node) = fields.get(key) {
            reader.some_text(node, what);
        }
    }
    if let Some(node) = fields.get(HostKey::RedirectTo) {
        reader.texts(node, "redirect_to");
    }
    if let Some(node) = fields.get(HostKey::Timeout) {
        reader.span(node, "timeout");
    }
    if let Some(node) = fields.get(HostKey::Verify)
        && let Some(verify) = reader.fields(node, VERIFY, "`verify`")
        && let Some(node) = verify.get(VerifyKey::Skip)
        && reader.text(node, "skip").is_some_and(|reason| reason.trim().chars().count() < 10)
    {
        reader.error(node, "`skip` must say why the certificate is not checked", "a sentence, for whoever reads it next year");
    }
    if let Some(node) = fields.get(HostKey::Auth) {
        auth(reader, node, scheme.is_some_and(|(scheme, _)| scheme == "http"));
    }
    wants_map(reader, fields.get(HostKey::Vars));
    settle(reader, fields.get(HostKey::Settle));
    at_once(reader, fields.get(HostKey::MaxParallel), name, read);
}

/// One way to log on, with what belongs to it.
fn auth(reader: Reader<'_>, node: &Node<'_>, plain: bool) {
    const HINT: &str = "write `{ negotiate: { user: …, password: { env: … } } }`, or `basic` or `certificate` in its place";
    let Some(fields) = reader.fields(node, AUTH, "`auth`") else { return };
    let ways = [fields.get(AuthKey::Negotiate), fields.get(AuthKey::Basic), fields.get(AuthKey::Certificate)];
    if ways.iter().flatten().count() != 1 {
        reader.error(node, "`auth` names exactly one way to log on", HINT);
    }
    if let Some(node) = ways[0]
        && let Some(fields) = reader.fields(node, NEGOTIATE, "`negotiate`")
    {
        if let Some(node) = fields.get(NegotiateKey::User) {
            reader.some_text(node, "user");
        }
        let kerberos =
            fields.get(NegotiateKey::Package).and_then(|node| reader.word(node, "package", PACKAGES)) == Some("kerberos");
        if kerberos && fields.get(NegotiateKey::Kdc).is_none() {
            reader.error(node, "Kerberos needs `kdc`", "name the domain controllers that give tickets: `kdc: [dc1.contoso.com]`");
        }
        for (key, what) in
            [(NegotiateKey::Kdc, "kdc"), (NegotiateKey::Service, "service"), (NegotiateKey::ServiceHost, "service_host")]
        {
            let Some(node) = fields.get(key) else { continue };
            if !kerberos {
                reader.error(node, format!("`{what}` belongs to Kerberos"), "write `package: kerberos`, or leave it out");
            } else if what == "kdc" {
                reader.texts(node, what);
            } else {
                reader.some_text(node, what);
            }
        }
    }
    if let Some(node) = ways[1]
        && let Some(fields) = reader.fields(node, BASIC, "`basic`")
        && let Some(node) = fields.get(BasicKey::User)
    {
        reader.some_text(node, "user");
    }
    if let Some(node) = ways[2]
        && let Some(fields) = reader.fields(node, CERTIFICATE, "`certificate`")
    {
        for (key, what) in [(CertificateKey::File, "file"), (CertificateKey::Key, "key")] {
            if let Some(node) = fields.get(key) {
                reader.some_text(node, what);
            }
        }
    }
    if plain
        && ways[0].is_none()
        && let Some(node) = ways.into_iter().flatten().next()
    {
        reader.error(node, "this way to log on needs `https`", "over `http` only `negotiate` protects what is sent");
    }
}
