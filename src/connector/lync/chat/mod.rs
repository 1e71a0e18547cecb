//! The chat data itself: out of Group Chat, looked into, rehearsed, and into Persistent Chat.
//!
//! ```text
//! export     lync.chat.export            files     files of the Front End, through its plain PowerShell remoting
//! inspect    lync.chat.inspect           keep      what an attempt keeps in the run's folder
//! whatif     lync.chat.import_whatif     package   a ZIP, opened without trusting it
//! import/    lync.chat.import            parts     what its parts hold, as streams
//! trial      a rehearsal that may export names     what rooms and categories will be called
//! ```
//!
//! The cmdlets give no objects: warnings, errors, a ZIP and a report. So what came of them is seen in the ZIP's name and hash,
//! and in the counts of the database; the words of neither warnings nor reports are read.

mod export;
mod files;
mod import;
mod inspect;
mod keep;
mod names;
mod package;
mod parts;
pub mod trial;
mod whatif;

pub use export::Export;
pub use import::Import;
pub use inspect::Inspect;
pub use whatif::ImportWhatIf;

use super::cs::shown;
use crate::connector::args;
use crate::connector::mssql::instance::Instance;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::answer::Answer;
use crate::run::connector::Call;

/// `-DBInstance`, in the one form that is sent.
fn instance(call: &Call) -> Result<String, String> {
    let text = args::needed(call, "db_instance")?;
    Instance::parse(&text).map(|instance| instance.as_str().to_owned()).map_err(|why| format!("`db_instance`: {why}"))
}

/// Keeps what a cmdlet said, and its report. Nothing depends on them, so that a full disk here ends nothing there; where the
/// report is kept.
fn keep_said(call: &Call, answer: &Answer, report: Result<String, NoAnswer>) -> Option<String> {
    let mut said: Vec<String> = answer.warnings.iter().map(|text| format!("warning: {text}")).collect();
    said.extend(answer.errors.iter().map(|error| format!("error: {}", error.message)));
    said.extend(answer.terminating.iter().map(|error| format!("error: {}", error.message)));
    if answer.more > 0 {
        said.push(format!("and {} more", answer.more));
    }
    if !said.is_empty()
        && let Err(why) = keep::keep(call, "said.txt", (said.join("\n") + "\n").as_bytes())
    {
        tracing::warn!(step = %call.step.0, "what the cmdlet said is not kept: {why}");
    }
    let kept = report.map_err(|error| error.reason).and_then(|text| keep::keep(call, "report.html", text.as_bytes()));
    match kept {
        Ok(path) => Some(path.display().to_string()),
        Err(why) => {
            tracing::warn!(step = %call.step.0, "the report is not kept: {}", shown(&why));
            None
        }
    }
}

/// Some names of many, for people.
fn some(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(3).map(|name| format!("`{}`", crate::foreign::one_line(name, 60))).collect();
    let more = names.len().saturating_sub(3);
    if more > 0 { format!("{} and {more} more", first.join(", ")) } else { first.join(", ") }
}
