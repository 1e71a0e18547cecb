//! `-Report` of the administrative cmdlets: an HTML file on the Front End with the errors and warnings of the call. What such
//! a file looks like is not documented; this is the lab's own.

use std::fmt::Write as _;

use super::common::refusal;
use crate::lab::lync::forest::Forest;
use crate::lab::windows::cmdlet::{Bound, Done, Event, Stage};
use crate::lab::windows::drives::{Eye, Spot};
use crate::lab::windows::place::Place;
use crate::remoting::psrp::ErrorRecord;

/// Writes it, if it was asked for. Under `-WhatIf` nothing is written.
///
/// # Errors
/// Nothing can be written there, and errors end the cmdlet.
pub fn write(stage: &mut Stage<'_>, forest: &Forest<'_>, bound: &Bound, cmdlet: &str) -> Done {
    let Some(path) = bound.text("Report").filter(|_| !stage.what_if) else { return Ok(()) };
    let others: Vec<_> = forest.machines.iter().filter(|machine| machine.name != stage.machine.name).cloned().collect();
    let eye = Eye { machine: stage.machine, others: &others, account: stage.account };
    let written = match eye.literal(path) {
        Ok(Spot::File(place)) => save(&place, &text(cmdlet, &stage.events)),
        _ => Err(()),
    };
    match written {
        Ok(()) => {
            stage.wrote = true;
            Ok(())
        }
        Err(()) => {
            let record: ErrorRecord =
                refusal("ReportNotWritten", "WriteError", format!("The report \"{path}\" cannot be written."), path);
            stage.report(record)
        }
    }
}

fn save(place: &Place, text: &str) -> Result<(), ()> {
    let there = place.parent().look().map_err(drop)?.is_some_and(|parent| parent.is_dir);
    let (path, _) = place.real().map_err(drop)?;
    if !there || place.is_device() || path.is_dir() {
        return Err(());
    }
    std::fs::write(path, text).map_err(drop)
}

fn text(cmdlet: &str, events: &[Event]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = format!("<html><head><title>{cmdlet}</title></head><body><h1>{cmdlet}</h1>\r\n<table>\r\n");
    for event in events {
        let (kind, said) = match event {
            Event::Error(record) => ("Error", record.message()),
            Event::Warning(said) => ("Warning", said.as_str()),
            _ => continue,
        };
        let _ = write!(text, "<tr><td>{kind}</td><td>{}</td></tr>\r\n", escaped(said));
    }
    text.push_str("</table></body></html>\r\n");
    text
}
