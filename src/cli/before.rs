//! Whether a step before another one may make, change or take away the file that the other one finds wanting: then what
//! is found before the start is not how it will be.

use serde_json::{Map, Value};

use crate::plan::action::Effect;
use crate::plan::{StepId, StepIx, Work, graph};
use crate::run::calls::Desk;
use crate::run::connector::Call;
use crate::run::state::RunState;

/// A step before `ix` that is still to be done and has to do with a file of the call.
#[must_use]
pub fn concerned(state: &RunState, ix: StepIx, call: &Call, desk: &Desk) -> Option<StepId> {
    let wanted = paths(&call.with);
    let before = graph::all_needs(&state.plan, ix).into_iter().rev();
    let mut open = before.filter(|before| !state.is_satisfied(*before));
    open.find(|before| concerns(state, *before, &wanted, desk)).map(|before| state.plan.step(before).id.clone())
}

fn concerns(state: &RunState, ix: StepIx, wanted: &[String], desk: &Desk) -> bool {
    match &state.plan.step(ix).work {
        Work::Action(action) if action.effect != Effect::Read => {
            // Where not all is known yet, what is written in the plan is looked through.
            let known = desk.probe(state, ix, 0, &action.call, "").map(|call| Value::Object(call.with));
            names(known.as_ref().unwrap_or(&action.call.with), wanted)
        }
        Work::Manual(manual) => names(&Value::String(manual.instructions.clone()), wanted),
        Work::Action(_) | Work::Gate(_) | Work::Checkpoint => false,
    }
}

/// Whether a text names one of the files, or a folder that one lies in.
fn names(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::String(text) => {
            let text = text.to_lowercase();
            let folder = text.trim_end_matches('\\');
            wanted.iter().any(|file| {
                let below = file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('\\'));
                // The same file may be named by a drive in one step and by a share in another one.
                let name = file.rsplit('\\').find(|name| !name.is_empty()).unwrap_or(file);
                text.contains(name) || (is_path(&text) && below)
            })
        }
        Value::Array(items) => items.iter().any(|item| names(item, wanted)),
        Value::Object(map) => map.values().any(|item| names(item, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The absolute paths among some arguments, in lower case.
fn paths(with: &Map<String, Value>) -> Vec<String> {
    with.values().filter_map(Value::as_str).map(str::to_lowercase).filter(|text| is_path(text)).collect()
}

fn is_path(text: &str) -> bool {
    let drive = text.len() > 3 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.get(1..3) == Some(":\\");
    drive || text.starts_with("\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_to_do_with_a_file_if_it_names_it_or_its_folder() {
        let wanted = ["d:\\backup\\chat.bak".to_owned()];
        let text = |text: &str| names(&Value::String(text.to_owned()), &wanted);
        assert!(text("D:\\Backup\\Chat.bak"));
        assert!(text("D:\\Backup") && text("D:\\Backup\\"));
        assert!(text("Remove-Item D:\\Backup\\chat.bak") && text("\\\\sql01\\backup$\\chat.bak"));
        assert!(!text("D:\\Backup\\chat2.bak") && !text("D:\\Back") && !text("sql01\\RTC") && !text(""));
        assert_eq!(
            paths(&Map::from_iter([("file".to_owned(), "D:\\A.bak".into()), ("instance".to_owned(), "s\\R".into())])),
            ["d:\\a.bak"]
        );
    }
}
