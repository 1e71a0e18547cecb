//! The journal on disk: what a run is, and the folder that it lives in.
//!
//! ```text
//! frame ── chain ──┬── file (append, sync, publish) ──┐
//!   one line       │     watermark: head              ├── run_dir: the folder, its lock, evidence, inbox
//!                  └── recover, read, verify, salvage ┘
//! machine: what all runs of this machine share ── target_locks: what unfinished runs act on
//! ```
//!
//! Owns the format (`docs/journal.md`) and the rules about what survives a crash. Does not know what events mean:
//! it keeps them in order, whole, and of one run.

pub mod chain;
pub mod circles;
pub mod disk;
pub mod evidence;
pub mod file;
pub mod frame;
pub mod head;
pub mod holder;
pub mod inbox;
pub mod lock;
pub mod machine;
mod os;
pub mod read;
pub mod recover;
pub mod run_dir;
pub mod salvage;
pub mod target_locks;
pub mod verify;

pub use circles::{Access, Circles};
pub use disk::DiskWait;
pub use evidence::EvidenceStore;
pub use file::FileJournal;
pub use holder::{Refusal, holder_alive, judge_holder};
pub use inbox::Inbox;
pub use lock::{HeldBy, Lock, LockError};
pub use machine::{Machine, MachineError};
pub use os::ignore_file_size_signal;
pub use read::{Reader, past, read_up_to_head};
pub use recover::{Damage, OpenError, Opened, Torn, open_for_writing};
pub use run_dir::{Closed, Created, DirError, Listed, NewRun, RunDir, Sharing};
pub use target_locks::{Conflict, Entry, Taking, TargetLocks};
pub use verify::{Finding, VerifyReport, verify};
