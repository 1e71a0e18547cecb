//! A server on a loopback port that keeps everything it is told: what came over the wire, and what came out of TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a client has sent over all connections.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// Bytes on the wire.
    pub wire: Vec<u8>,
    /// Bytes that TLS gave.
    pub plain: Vec<u8>,
    /// Connections.
    pub connections: usize,
}

/// A connection whose bytes are kept.
pub struct Wire {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
}

impl Wire {
    /// Keeps bytes that TLS gave.
    pub fn plain(&self, bytes: &[u8]) {
        self.heard.lock().unwrap().plain.extend_from_slice(bytes);
    }

    /// Reads until the client goes away.
    pub fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while matches!(self.read(&mut buffer), Ok(1..)) {}
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.heard.lock().unwrap().wire.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The server. Ends with the value, or by [`Fake::heard`].
pub struct Fake {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Does the same with every connection, each on a thread of its own.
    pub fn start(each: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, heard, open) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Heard>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let shared = (Arc::clone(&stop), Arc::clone(&heard), Arc::clone(&open), Arc::new(each));
        let thread = std::thread::spawn(move || {
            let (stop, heard, open, each) = shared;
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                // No test waits longer for bytes that do not come.
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.set_nodelay(true).unwrap();
                heard.lock().unwrap().connections += 1;
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (each, heard) = (Arc::clone(&each), Arc::clone(&heard));
                connections.push(std::thread::spawn(move || {
                    let mut wire = Wire { stream, heard };
                    each(&mut wire);
                    let _ = wire.stream.shutdown(Shutdown::Both);
                }));
            }
            for connection in connections {
                let _ = connection.join();
            }
        });
        Fake { address, stop, heard, open, thread: Some(thread) }
    }

    /// Ends it, and tells everything that it heard: the client's connections must be gone by then.
    pub fn heard(mut self) -> Heard {
        self.end(false);
        self.heard.lock().unwrap().clone()
    }

    fn end(&mut self, cut: bool) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
        if cut {
            for stream in self.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end(true);
    }
}
