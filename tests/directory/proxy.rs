//! A proxy that forwards bytes as they are, counts what both sides say, and cuts the connection after so many bytes of the
//! server's, or swallows what the client says after so many of its own.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A proxy in front of one server. Ends with the value.
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    server: String,
    stop: AtomicBool,
    /// What the server said since the last reset, over all connections.
    said: AtomicU64,
    /// How much it may still say; `u64::MAX` is no limit.
    left: Mutex<u64>,
    /// Whether the limit was met.
    cut: AtomicBool,
    /// The lengths of what the server said, a row after each thing that the client said.
    turns: Mutex<Vec<u64>>,
    open: Mutex<Vec<TcpStream>>,
    /// What clients said since the last reset, over all connections.
    heard: AtomicU64,
    /// How much of that still goes through; `u64::MAX` is no limit.
    through: Mutex<u64>,
    /// Whether anything was swallowed.
    swallowed: AtomicBool,
}

impl Proxy {
    /// Starts one.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            server: server.to_owned(),
            stop: AtomicBool::new(false),
            said: AtomicU64::new(0),
            left: Mutex::new(u64::MAX),
            cut: AtomicBool::new(false),
            turns: Mutex::default(),
            open: Mutex::default(),
            heard: AtomicU64::new(0),
            through: Mutex::new(u64::MAX),
            swallowed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.stop.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&shared.server)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                shared.open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for answers in [false, true] {
                    let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    let (from, to) = if answers { (server, client) } else { (client, server) };
                    std::thread::spawn(move || shared.pump(from, to, answers));
                }
            }
        });
        Proxy { address, state, thread: Some(thread) }
    }

    /// From now on: counts anew, and lets the server say so much and no more. After the cut, new connections pass.
    pub fn cut_after(&self, bytes: u64) {
        *self.state.left.lock().unwrap() = bytes;
        self.state.said.store(0, Ordering::Release);
        self.state.cut.store(false, Ordering::Release);
        self.state.turns.lock().unwrap().clear();
    }

    /// From now on: counts anew, and swallows everything that clients say after so many bytes. Connections stay open.
    pub fn swallow_after(&self, bytes: u64) {
        *self.state.through.lock().unwrap() = bytes;
        self.state.heard.store(0, Ordering::Release);
        self.state.swallowed.store(false, Ordering::Release);
    }

    /// Whether anything was swallowed.
    pub fn has_swallowed(&self) -> bool {
        self.state.swallowed.load(Ordering::Acquire)
    }

    /// What clients said since then.
    pub fn heard(&self) -> u64 {
        self.state.heard.load(Ordering::Acquire)
    }

    /// Whether the cut was made.
    pub fn was_cut(&self) -> bool {
        self.state.cut.load(Ordering::Acquire)
    }

    /// What the server said since then.
    pub fn said(&self) -> u64 {
        self.state.said.load(Ordering::Acquire)
    }

    /// How much the server said in answer to each thing that the client said.
    pub fn turns(&self) -> Vec<u64> {
        self.state.turns.lock().unwrap().clone()
    }
}

impl State {
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            let mut pass = length;
            if answers {
                let mut left = self.left.lock().unwrap();
                if *left != u64::MAX {
                    pass = usize::try_from(*left).unwrap_or(usize::MAX).min(length);
                    *left -= pass as u64;
                }
                self.said.fetch_add(pass as u64, Ordering::AcqRel);
                if let Some(last) = self.turns.lock().unwrap().last_mut() {
                    *last += pass as u64;
                }
                // Only one connection is cut; whoever comes back afterwards is let through.
                if *left == 0 {
                    *left = u64::MAX;
                    self.cut.store(true, Ordering::Release);
                    let _ = to.write_all(&buffer[..pass]);
                    break;
                }
            } else {
                self.turns.lock().unwrap().push(0);
                let mut through = self.through.lock().unwrap();
                if *through != u64::MAX {
                    pass = usize::try_from(*through).unwrap_or(usize::MAX).min(length);
                    *through -= pass as u64;
                }
                self.heard.fetch_add(length as u64, Ordering::AcqRel);
                if pass < length {
                    self.swallowed.store(true, Ordering::Release);
                }
            }
            if to.write_all(&buffer[..pass]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        // Wakes the listener up.
        let _ = TcpStream::connect(&self.address);
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
