//! A writer whose reader may be slow, or not read at all: a pipe into a program that stands still holds no run up.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Writes on a thread of its own. What waits for the reader is kept in memory: about as much as the journal holds.
pub struct Aside {
    pieces: Sender<Piece>,
}

enum Piece {
    Text(Vec<u8>),
    /// Everything before has been written, or lost, when this is answered.
    Flush(Sender<()>),
}

impl Aside {
    /// A writer in front of `out`. What `out` does not take is lost, as with a pipe that was closed.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (pieces, inbox) = channel();
        thread::Builder::new().name("output".to_owned()).spawn(move || write_out(out, &inbox))?;
        Ok(Aside { pieces })
    }
}

fn write_out(mut out: impl Write, inbox: &Receiver<Piece>) {
    for piece in inbox {
        match piece {
            Piece::Text(text) => drop(out.write_all(&text).and_then(|()| out.flush())),
            // Whoever asked may have given up waiting.
            Piece::Flush(done) => drop(done.send(())),
        }
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pieces.send(Piece::Text(bytes.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    /// Waits until everything was taken: to be called at the end, and not while a run goes on.
    fn flush(&mut self) -> io::Result<()> {
        let (done, written) = channel();
        self.pieces.send(Piece::Flush(done)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        written.recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes nothing until it is let go.
    struct Slow(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f84_what_nobody_reads_yet_is_written_later_in_order_and_whole() {
        let (go, wait) = channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut aside = Aside::new(Slow(wait, Arc::clone(&taken))).unwrap();
        let mut expected = String::new();
        for number in 0..1000 {
            let line = format!("line {number}\n");
            aside.write_all(line.as_bytes()).unwrap();
            expected.push_str(&line);
        }
        assert!(taken.lock().unwrap().is_empty(), "nothing was waited for");
        drop(go);
        aside.flush().unwrap();
        assert_eq!(String::from_utf8(taken.lock().unwrap().clone()).unwrap(), expected);
    }
}
