//! `relevo lab set …`: mistakes and circumstances to try a plan with.

use crate::lab::setting::{ChatMistake, Setting};
use crate::time::Span;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    /// Allowed
    On,
    /// Not allowed
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mistake {
    /// The new database has rooms of the same names
    Conflicts,
    /// Rooms in nested categories have names that get too long by the move
    LongNames,
    /// Members of rooms whom no directory knows
    Strangers,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Whether the global policy allows the use of Persistent Chat
    Policy {
        /// On or off
        to: Switch,
    },
    /// How often the Front Ends read the directory
    UserReplicator {
        /// How often
        every: Span,
    },
    /// Give a service another short name
    ServiceName {
        /// Its host, such as gc02
        host: String,
        /// The name that it has
        service: String,
        /// The name that it gets
        name: String,
    },
    /// Let a service take its time to start and to stop
    ServiceDelay {
        /// Its host, such as pc01
        host: String,
        /// Its short name
        service: String,
        /// How long
        delay: Span,
    },
    /// Let the disk for backups be full after so many bytes
    SqlSpace {
        /// Such as `sql01\RTC`
        instance: String,
        /// All backups together
        bytes: u64,
    },
    /// Let the next backups or restores go wrong: backup-breaks-off, backup-leaves-half, restore-breaks-off
    SqlFault {
        /// Such as `sql01\RTC`
        instance: String,
        /// What happens
        fault: String,
        /// How often
        #[arg(long, default_value_t = 1)]
        times: u32,
    },
    /// Spoil the chat rooms that are to be moved
    ChatData {
        /// How
        mistake: Mistake,
        /// How many rooms or people
        count: u32,
    },
    /// Let every import of chat rooms lose its connection in the middle
    ImportStopsAfter {
        /// After how many rooms; 0: no longer
        rooms: u64,
    },
}

impl Args {
    /// What is to be set.
    pub fn setting(&self) -> Setting {
        match &self.what {
            What::Policy { to } => Setting::Policy { on: *to == Switch::On },
            What::UserReplicator { every } => Setting::UserReplicator { every: *every },
            What::ServiceName { host, service, name } => {
                Setting::ServiceName { host: host.clone(), service: service.clone(), name: name.clone() }
            }
            What::ServiceDelay { host, service, delay } => {
                Setting::ServiceDelay { host: host.clone(), service: service.clone(), delay: *delay }
            }
            What::SqlSpace { instance, bytes } => Setting::SqlSpace { instance: instance.clone(), bytes: *bytes },
            What::SqlFault { instance, fault, times } => {
                Setting::SqlFault { instance: instance.clone(), fault: fault.clone(), times: *times }
            }
            What::ChatData { mistake, count } => {
                let mistake = match mistake {
                    Mistake::Conflicts => ChatMistake::Conflicts,
                    Mistake::LongNames => ChatMistake::LongNames,
                    Mistake::Strangers => ChatMistake::Strangers,
                };
                Setting::ChatData { mistake, count: *count }
            }
            What::ImportStopsAfter { rooms } => Setting::ImportStopsAfter { rooms: *rooms },
        }
    }
}
