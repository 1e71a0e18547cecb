//! The directory connector against a real Active Directory.
//!
//! The cases know a [`world::World`] only. Samba is one: two domain controllers that replicate, in namespaces of their
//! own, which is why this program starts itself again before it has a thread. `RELEVO_TESTS=all` asks for it.
//!
//! One case runs after the other, because some hold replication up or kill a domain controller. Each makes its own
//! users in an organizational unit of its own.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]
#![expect(clippy::format_push_string, reason = "short texts, put together once")]

mod calls;
mod cases;
#[path = "../cli_support/mod.rs"]
mod cli_support;
mod client;
mod desk;
mod lab;
mod proxy;
#[path = "../support/python.rs"]
mod python;
mod samba;
mod security;
mod world;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};

use samba::Samba;
use samba::namespace::{self, Stage};
use world::World;

/// A world that several trials share.
type Shared = Arc<Lazy>;

/// A world that is made when the first case wants it; one that could not be made is not made again for the next.
struct Lazy {
    make: Box<dyn Fn() -> Box<dyn World> + Send + Sync>,
    made: OnceLock<Option<Box<dyn World>>>,
}

impl Lazy {
    fn new(make: impl Fn() -> Box<dyn World> + Send + Sync + 'static) -> Self {
        Lazy { make: Box::new(make), made: OnceLock::new() }
    }

    fn get(&self) -> Option<&dyn World> {
        let make = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.make)())).ok();
        self.made.get_or_init(make).as_deref()
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases hold replication up and kill servers: no two at a time.
    arguments.test_threads = Some(1);
    let folder = match namespace::stage() {
        Stage::Ended(code) => return code,
        Stage::Inside(folder) => Some(folder),
        Stage::Outside if arguments.list => None,
        Stage::Outside => match (asked_for(), namespace::missing()) {
            (true, None) => return namespace::enter(),
            (true, Some(missing)) => {
                eprintln!("the tests against Samba were asked for, and this machine cannot run them: {missing}");
                return ExitCode::FAILURE;
            }
            (false, missing) => {
                let why = missing.unwrap_or_else(|| "RELEVO_TESTS=all asks for it".to_owned());
                eprintln!("left out: the directory's cases against Samba: {why}");
                None
            }
        },
    };
    let left_out = folder.is_none() && !arguments.list;
    let samba = Arc::new(Lazy::new(move || Box::new(Samba::start(folder.as_deref().expect("inside the namespaces")))));
    let lab = Arc::new(Lazy::new(|| Box::new(lab::Lab::start())));
    let mut all = trials("samba", &samba, left_out);
    // The lab gives out no tickets.
    let needs_tickets = |trial: &Trial| ["::kerberos::", "::tickets::"].iter().any(|file| trial.name().contains(file));
    all.extend(trials("lab", &lab, left_out).into_iter().filter(|trial| !needs_tickets(trial)));
    let conclusion = libtest_mimic::run(&arguments, all);
    // Ends the servers before the namespaces end, so that nothing is lost of what they say.
    drop(samba);
    drop(lab);
    conclusion.exit_code()
}

/// All cases against one world.
fn trials(name: &str, world: &Shared, left_out: bool) -> Vec<Trial> {
    let trial = |(case_name, case): (String, cases::Case)| {
        let world = Arc::clone(world);
        let run = move || {
            case(world.get().ok_or("the directory could not be started")?);
            Ok(())
        };
        Trial::test(format!("{name}::{case_name}"), run).with_ignored_flag(left_out)
    };
    cases::all().into_iter().map(trial).collect()
}

fn asked_for() -> bool {
    std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all")
}
