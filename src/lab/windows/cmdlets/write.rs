//! `Write-*`: what a caller wants to see come back on each stream.

use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Event, Kind, Parameter, Stage};
use crate::lab::windows::errors::error;
use crate::lab::windows::machine::same;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Category, ProgressRecord};

const MODULE: &str = "Microsoft.PowerShell.Utility";
const MESSAGE: Parameter = Parameter::new("Message", Kind::Any).also(&["Msg"]).at(0).needed();

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Write-Output",
        class: "Microsoft.PowerShell.Commands.WriteOutputCommand",
        module: MODULE,
        parameters: &[Parameter::new("InputObject", Kind::Any).at(0).needed(), Parameter::new("NoEnumerate", Kind::Switch)],
        run: write_output,
    },
    Cmdlet {
        name: "Write-Warning",
        class: "Microsoft.PowerShell.Commands.WriteWarningCommand",
        module: MODULE,
        parameters: &[MESSAGE],
        run: write_warning,
    },
    Cmdlet {
        name: "Write-Verbose",
        class: "Microsoft.PowerShell.Commands.WriteVerboseCommand",
        module: MODULE,
        parameters: &[MESSAGE],
        run: write_verbose,
    },
    Cmdlet {
        name: "Write-Error",
        class: "Microsoft.PowerShell.Commands.WriteErrorCommand",
        module: MODULE,
        parameters: &[
            MESSAGE,
            Parameter::new("Category", Kind::Text),
            Parameter::new("ErrorId", Kind::Text),
            Parameter::new("TargetObject", Kind::Any),
            Parameter::new("RecommendedAction", Kind::Text),
        ],
        run: write_error,
    },
    Cmdlet {
        name: "Write-Progress",
        class: "Microsoft.PowerShell.Commands.WriteProgressCommand",
        module: MODULE,
        parameters: &[
            Parameter::new("Activity", Kind::Text).at(0).needed(),
            Parameter::new("Status", Kind::Text).at(1),
            Parameter::new("Id", Kind::Number).at(2),
            Parameter::new("PercentComplete", Kind::Number),
            Parameter::new("SecondsRemaining", Kind::Number),
            Parameter::new("CurrentOperation", Kind::Text),
            Parameter::new("ParentId", Kind::Number),
            Parameter::new("Completed", Kind::Switch),
        ],
        run: write_progress,
    },
];

fn message(bound: &Bound) -> String {
    bound.0.get("message").map(Value::to_text).unwrap_or_default()
}

fn write_output(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let value = bound.0.get("inputobject").cloned().unwrap_or_default();
    match value.items() {
        Some(items) if !bound.is_on("NoEnumerate") => items.iter().for_each(|item| stage.output(item.clone())),
        _ => stage.output(value),
    }
    Ok(())
}

fn write_warning(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    stage.warning(message(bound));
    Ok(())
}

fn write_verbose(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    if stage.verbose {
        stage.events.push(Event::Verbose(message(bound)));
    }
    Ok(())
}

fn write_error(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let exception = "Microsoft.PowerShell.Commands.WriteErrorException";
    let target = bound.0.get("targetobject").cloned().unwrap_or_default();
    let named = |number: i32| Category { number, ..Category::default() }.name();
    let wanted = bound.text("Category").unwrap_or("NotSpecified");
    let category = (0..32).map(named).find(|name| same(name, wanted)).unwrap_or("NotSpecified");
    let mut record = error(bound.text("ErrorId").unwrap_or(exception), category, exception, message(bound), target);
    if let Some(action) = bound.text("RecommendedAction") {
        record.details = Some(record.exception_message.clone());
        record.recommended_action = Some(action.to_owned());
    }
    stage.report(record)
}

fn write_progress(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let number = |name: &str| bound.number(name);
    let text = |name: &str| bound.text(name).map(str::to_owned);
    let record = ProgressRecord {
        activity: text("Activity").unwrap_or_default(),
        activity_id: number("Id").and_then(|id| id.try_into().ok()).unwrap_or_default(),
        status: text("Status").unwrap_or_else(|| "Processing".to_owned()),
        current_operation: text("CurrentOperation"),
        parent: number("ParentId").and_then(|id| id.try_into().ok()).filter(|id| *id >= 0),
        percent: number("PercentComplete").and_then(|percent| percent.try_into().ok()).filter(|percent| *percent <= 100),
        seconds_remaining: number("SecondsRemaining").and_then(|seconds| seconds.try_into().ok()),
        completed: bound.is_on("Completed"),
    };
    stage.events.push(Event::Progress(Box::new(record)));
    Ok(())
}
