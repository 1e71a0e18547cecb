//! Asking key distribution centres over TCP, one after the other.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::AuthError;

/// For the connection and for the answer each; a centre that is silent so long is passed over.
const PATIENCE: Duration = Duration::from_secs(5);
/// A ticket with a large authorisation record has some ten kilobytes.
const LARGEST: usize = 1 << 20;

/// Sends a request, which begins with its length in four bytes (RFC 4120 section 7.2.2), and gives the answer in the same
/// form. The first centre that answers is believed.
///
/// # Errors
/// None of them answered.
pub(super) async fn ask(centres: &[String], request: &[u8]) -> Result<Vec<u8>, AuthError> {
    let mut failures = Vec::new();
    for centre in centres {
        match tokio::time::timeout(PATIENCE * 2, ask_one(centre, request)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failures.push(format!("`{centre}`: {error}")),
            Err(_) => failures.push(format!("`{centre}`: no answer within {} s", PATIENCE.as_secs() * 2)),
        }
    }
    Err(AuthError::NoKdc(if failures.is_empty() { "none is named".to_owned() } else { failures.join("; ") }))
}

async fn ask_one(centre: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let connect = TcpStream::connect(with_port(centre));
    let mut stream =
        tokio::time::timeout(PATIENCE, connect).await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.write_all(request).await?;
    let length = stream.read_u32().await?;
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > LARGEST {
        return Err(std::io::Error::other(format!("an answer of {size} bytes is no ticket")));
    }
    let mut answer = length.to_be_bytes().to_vec();
    answer.resize(4 + size, 0);
    stream.read_exact(&mut answer[4..]).await?;
    Ok(answer)
}

/// `host`, `host:port`, `[address]:port` or a bare address of either family.
fn with_port(centre: &str) -> String {
    if centre.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{centre}]:88");
    }
    let has_port = centre.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { centre.to_owned() } else { format!("{centre}:88") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_88_unless_one_is_named() {
        assert_eq!(with_port("dc1"), "dc1:88");
        assert_eq!(with_port("dc1:1088"), "dc1:1088");
        assert_eq!(with_port("::1"), "[::1]:88");
        assert_eq!(with_port("[::1]:1088"), "[::1]:1088");
    }

    #[tokio::test]
    async fn the_second_centre_is_asked_when_the_first_is_gone() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 6];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(&[0, 0, 0, 2, b'o', b'k']).await.unwrap();
            request
        });
        assert_eq!(ask(&[gone, here], b"\0\0\0\x02hi").await, Ok(b"\0\0\0\x02ok".to_vec()));
        assert_eq!(&server.await.unwrap(), b"\0\0\0\x02hi");
    }

    #[tokio::test]
    async fn a_centre_that_announces_too_much_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&[0xff; 8]).await.unwrap();
            let _ = stream.read(&mut [0; 16]).await;
        });
        assert!(matches!(ask(&[here], b"\0\0\0\x01x").await, Err(AuthError::NoKdc(_))));
        server.await.unwrap();
    }
}
