//! From a registrar's name to a connection over TLS whose certificate was proved.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::args::Wanted;
use super::broke::Broke;
use crate::connector::lync::cs::shown;
use crate::connector::tls;

/// A connection, and the address of this end of it.
pub struct Dialed {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// This machine's address, as the registrar sees it.
    pub local: IpAddr,
}

/// Connects and proves the certificate, within the step's time.
///
/// # Errors
/// No connection, or none that can be trusted.
pub async fn dial(wanted: &Wanted) -> Result<Dialed, Broke> {
    let registrar = &wanted.registrar;
    let config = tls::config(wanted.ca.as_deref()).map_err(Broke::Local)?;
    let name = ServerName::try_from(registrar.host.clone());
    let name = name.map_err(|_| Broke::Local(format!("`{}` is no name that a certificate can be for", registrar.host)))?;
    let place = registrar.connect_to.clone().unwrap_or_else(|| registrar.to_string());
    let unreachable = |why: String| Broke::Unreachable(format!("the registrar `{registrar}` ({}): {why}", shown(&place)));
    let lost = |error: std::io::Error| unreachable(shown(&error.to_string()));
    let stream = wanted.time.keep(TcpStream::connect(&place)).await.map_err(unreachable)?.map_err(lost)?;
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map_err(lost)?.ip();
    let shaken = wanted.time.keep(TlsConnector::from(config).connect(name, stream)).await.map_err(unreachable)?;
    let stream = shaken.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => unreachable(tls::explain(error, &registrar.host)),
        None => unreachable(format!(
            "it broke off in the TLS handshake ({}); does its Front End service run?",
            shown(&error.to_string())
        )),
    })?;
    Ok(Dialed { stream, local })
}
