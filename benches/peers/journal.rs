//! A journal of many records, written and opened through the crate's own interface.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use relevo::journal::{NewRun, RunDir, Sharing, open_for_writing};
use relevo::plan::StepId;
use relevo::run::event::{Choices, Event, Holder, How, Identity, Mode, Outcome, Outputs, Person, SEMANTICS};
use relevo::run::journal::Journal as _;
use relevo::time::Timestamp;

/// The first argument of the process that makes the journal. Another one than opens it: a run is not taken from a
/// process that lives.
pub const MAKE: &str = "--make-journal";
/// The first argument of the process that opens it.
pub const OPEN: &str = "--open-journal";
/// The run.
const ID: &str = "many";
/// Records between syncs while it is made; how it was made does not show in it.
const BATCH: u64 = 10_000;

/// Makes a run with so many records, three per step as a run writes them.
pub fn make(runs: &Path, records: u64) -> ExitCode {
    told(written(runs, records))
}

/// Opens it and reads every record.
pub fn open(runs: &Path, records: u64) -> ExitCode {
    told(count(runs).and_then(|found| {
        if found == records { Ok(()) } else { Err(format!("{found} records were found, not {records}").into()) }
    }))
}

fn told(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn written(runs: &Path, records: u64) -> Result<(), Box<dyn Error>> {
    let at = Timestamp::from_millis(1_795_816_800_000);
    let started = Event::RunStarted {
        run: ID.into(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0".into(),
        plan: "00".into(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices: Choices::default(),
        by: Person { name: "bench".into(), claimed: false },
    };
    let sources = [(PathBuf::from("/plan.yaml"), "relevo: 1\n".to_owned())];
    let holder = Holder::current();
    let new = NewRun {
        id: ID,
        sources: &sources,
        resolved: "{\"steps\":[]}",
        holder: &holder,
        what: "a benchmark",
        at,
        first: &[started],
    };
    let mut journal = RunDir::create(runs, &new, &Sharing::default())?.journal;
    while journal.seq() < records {
        let written = journal.seq();
        let step = StepId::new(&format!("s{:06}", written / 3));
        let event = match written % 3 {
            0 => Event::AttemptStarted {
                step,
                attempt: 1,
                identity: Identity::new(),
                before_image: None,
                handle: None,
                call: None,
            },
            1 => Event::AttemptFinished { step, attempt: 1, outcome: Outcome::Applied { outputs: Outputs::new() } },
            _ => Event::StepVerified { step, how: How::Unverified, outputs: Outputs::new() },
        };
        journal.append(at, None, &event)?;
        if journal.seq() % BATCH == 0 {
            journal.sync()?;
        }
    }
    Ok(journal.publish()?)
}

fn count(runs: &Path) -> Result<u64, Box<dyn Error>> {
    let dir = RunDir::open(runs, ID, false)?;
    let lock = dir.lock(&Holder::current(), "a benchmark", Timestamp::from_millis(0))?;
    let mut found = 0;
    open_for_writing(dir.path(), lock, None, &mut |_| found += 1)?;
    Ok(found)
}
