//! The client against servers that are none, or do not do as they should.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relevo::sip::{Decoder, Limits, Message};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConnection, StreamOwned};

use crate::lab_support::Said;
use crate::world::{ADDRESS, ANA};

/// A server with a certificate of an authority of its own, that does as told with one connection.
struct Stranger {
    folder: tempfile::TempDir,
    port: u16,
}

impl Stranger {
    fn new(mut talk: impl FnMut(&mut StreamOwned<ServerConnection, TcpStream>) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["pool01.contoso.lan".to_owned()]).unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
                talk(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Stranger { folder, port }
    }

    fn runs(&self, more: &str) -> Said {
        let plan = format!(
            "relevo: 1\nname: A client\ndefaults: {{ retry: {{ attempts: 1 }} }}\nsteps:\n  - {{ id: sign-in, uses: lync.legacy_sign_in, timeout: 3s, \
             on_failure: stop, with: {{ registrar: 'pool01.contoso.lan:5061', address: '127.0.0.1:{}', ca: ca.pem, as: '{ANA}', sip_address: \
             '{ADDRESS}'{more} }} }}\n",
            self.port
        );
        std::fs::write(self.folder.path().join("plan.yaml"), plan).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
        command.args(["run", "plan.yaml"]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("RELEVO_MACHINE", self.folder.path().join("machine"));
        let began = Instant::now();
        let output = command.output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(30), "it must not wait for ever");
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The request that came, if one did.
fn request(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<Message> {
    let mut decoder = Decoder::new(Limits { head: 65536, headers: 100, body: 65536 });
    let mut bytes = [0; 4096];
    loop {
        if let Some(message) = decoder.message().unwrap() {
            return Some(message);
        }
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        decoder.push(&bytes[..count]);
    }
}

#[test]
fn what_is_not_understood_is_no_sign_in_and_no_refusal() {
    for (answer, says) in [
        ("garbage\r\n\r\n", "no SIP message"),
        ("SIP/2.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "longer than the limit"),
        ("SIP/2.0 200 OK\r\nContent-Le", "closed before the answer"),
        ("", "closed before the answer"),
        ("SIP/2.0 301 Moved\r\n", "301"),
    ] {
        let stranger = Stranger::new(move |stream| {
            let Some(invite) = request(stream) else { return };
            let text = match answer.strip_suffix("Moved\r\n") {
                Some(_) => String::from_utf8(Message::answer(&invite, 301, "Moved").to_bytes()).unwrap(),
                None => answer.to_owned(),
            };
            let _ = stream.write_all(text.as_bytes());
        });
        let said = stranger.runs("");
        // A step that only reads is repeated as often as it may be, and then it has failed; what is recorded is that nobody knows.
        said.exits(1).says("unknown     sign-in").says(says);
    }
}

#[test]
fn a_server_that_never_ends_costs_no_more_than_the_steps_time() {
    let endless = Stranger::new(|stream| {
        let Some(invite) = request(stream) else { return };
        let ringing = Message::answer(&invite, 180, "Ringing").tagged("1").to_bytes();
        while stream.write_all(&ringing).is_ok() {}
    });
    endless.runs("").exits(1).says("unknown     sign-in").says("without end");
    let silent = Stranger::new(|stream| while stream.read(&mut [0; 100]).is_ok_and(|count| count > 0) {});
    silent.runs("").exits(1).says("unknown     sign-in").says("no answer within");
}

#[test]
fn a_front_end_that_demands_a_logon_is_told_as_such() {
    let stranger = Stranger::new(|stream| {
        let Some(invite) = request(stream) else { return };
        let challenge = Message::answer(&invite, 401, "Unauthorized")
            .tagged("1")
            .with("WWW-Authenticate", "NTLM realm=\"SIP Communications Service\"");
        let _ = stream.write_all(&challenge.to_bytes());
    });
    stranger.runs("").exits(1).says("demands a logon").says("`manual` step");
}

#[test]
fn nobody_is_called_whose_certificate_is_not_proved() {
    let stranger = Stranger::new(|stream| {
        assert!(request(stream).is_none(), "nothing may be sent");
    });
    let other = rcgen::generate_simple_self_signed(vec!["pool01.contoso.lan".to_owned()]).unwrap();
    std::fs::write(stranger.folder.path().join("ca.pem"), other.cert.pem()).unwrap();
    stranger.runs("").exits(69).says("pool01.contoso.lan");
}
