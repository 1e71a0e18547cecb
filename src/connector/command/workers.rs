//! Threads for work that blocks: one per running program, kept for the next one.
//!
//! A thread per program costs less than handing every child to the runtime's reaper, and the threads are detached:
//! a program that outlives relevo does not hold relevo back when it ends.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

/// Work, and what is to be done once the thread is free again.
type Job = Box<dyn FnOnce() -> Box<dyn FnOnce()> + Send>;
type Sender = mpsc::Sender<(Job, Handle)>;

/// A thread's own mailbox. It is with the thread while that works and in the idle list otherwise, so that the
/// threads end when the pool does.
struct Handle(Sender);

/// As many threads as programs run at once; at most this many stay when none does.
const KEEP: usize = 32;
/// Regular expressions and JSON are parsed on these; neither recurses deeply.
const STACK: usize = 512 * 1024;

/// The pool. Cheap to clone.
#[derive(Clone, Default)]
pub struct Workers {
    idle: Arc<Mutex<Vec<Handle>>>,
}

impl Workers {
    /// Runs `work` on a thread of its own, whether or not anybody waits for the answer.
    ///
    /// # Errors
    /// There was no idle thread and the system refuses another one; `work` was not begun.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<oneshot::Receiver<T>> {
        let (answer, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            let result = work();
            // A caller that no longer listens has given the attempt up; nothing is owed to it.
            Box::new(move || drop(answer.send(result)))
        });
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let handle = match idle {
            Some(handle) => handle,
            None => self.thread()?,
        };
        let sender = handle.0.clone();
        sender.send((job, handle)).map_err(|_| io::Error::other("a worker thread is gone"))?;
        Ok(receiver)
    }

    fn thread(&self) -> io::Result<Handle> {
        let (sender, jobs) = mpsc::channel::<(Job, Handle)>();
        let idle = Arc::downgrade(&self.idle);
        std::thread::Builder::new().name("command".to_owned()).stack_size(STACK).spawn(move || {
            while let Ok((job, handle)) = jobs.recv() {
                let finish = job();
                // Free before the answer is given: whoever waits for it may have the next job at once.
                if let Some(idle) = idle.upgrade() {
                    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < KEEP {
                        idle.push(handle);
                    }
                }
                finish();
            }
        })?;
        Ok(Handle(sender))
    }
}
