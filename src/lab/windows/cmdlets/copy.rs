//! `Copy-Item`.
//!
//! Bytes go into the file that is to hold them, in pieces, and its time is set at the end: whoever interrupts a copy leaves a
//! part of it under the final name, as on Windows.

use std::fs;
use std::io::{self, Read as _, Write as _};

use super::items::{FORCE, LITERAL, PATH, existing, filter, same_item, shown};
use super::make::{IO, denied, io_error, new_directory, no_part, not_here, reserved, writable};
use super::services::MODULE;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::drives::Spot;
use crate::lab::windows::errors::about;
use crate::lab::windows::place::{Found, Place};
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::psrp::ErrorRecord;

/// Bytes of one piece.
const PIECE: usize = 64 * 1024;

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[Cmdlet {
    name: "Copy-Item",
    class: "Microsoft.PowerShell.Commands.CopyItemCommand",
    module: MODULE,
    parameters: &[
        PATH,
        LITERAL,
        Parameter::new("Destination", Kind::Text).at(1),
        Parameter::new("Container", Kind::Switch),
        Parameter::new("Filter", Kind::Text),
        Parameter::new("Recurse", Kind::Switch),
        Parameter::new("PassThru", Kind::Switch),
        FORCE,
    ],
    run: copy_item,
}];

/// What is the same for all items of a call.
struct How {
    recurse: bool,
    force: bool,
    gives: bool,
    filter: Option<Wildcard>,
    /// How much was copied, for the audit.
    files: u64,
    bytes: u64,
}

fn copy_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let destination = match stage.eye().literal(bound.text("Destination").unwrap_or(".")) {
        Ok(Spot::File(place)) => place,
        Ok(Spot::Key(_)) => return stage.report(not_here()),
        // Where everything is to go there must at least be a drive.
        Err(astray) => return stage.report_all(astray.records().into_iter().take(1).collect()),
    };
    let mut how = How {
        recurse: bound.is_on("Recurse"),
        force: bound.is_on("Force"),
        gives: bound.is_on("PassThru"),
        filter: bound.text("Filter").and_then(filter),
        files: 0,
        bytes: 0,
    };
    let mut done = Ok(());
    for spot in stage.spots(bound)? {
        done = match spot {
            Spot::File(place) => copy_one(stage, &mut how, &place, &destination),
            Spot::Key(_) => stage.report(not_here()),
        };
        if done.is_err() {
            break;
        }
    }
    stage.detail.insert("copied_files".to_owned(), how.files.into());
    stage.detail.insert("copied_bytes".to_owned(), how.bytes.into());
    done
}

fn copy_one(stage: &mut Stage<'_>, how: &mut How, source: &Place, destination: &Place) -> Done {
    let Some(found) = existing(stage, source)? else { return Ok(()) };
    let Ok(target) = destination.look() else {
        return stage.report(denied("CopyFileInfoItemUnauthorizedAccessError", &destination.shown()));
    };
    let into = target.as_ref().is_some_and(|target| target.is_dir);
    if found.is_dir && !into && target.is_some() {
        let message = "Container cannot be copied onto existing leaf item.";
        let exception = "System.Management.Automation.PSArgumentException";
        return stage.report(about("CopyContainerItemToLeafError", "InvalidArgument", exception, message, &source.shown()));
    }
    // A folder within itself would be copied into its own copy without end.
    if same_item(source, destination) || (found.is_dir && source.holds(destination)) {
        return stage.report(itself(source));
    }
    if !found.is_dir {
        return copy_file(stage, how, &found, destination);
    }
    let destination = match (into, source.is_root()) {
        (true, false) => match destination.child(source.name()) {
            Ok(inside) => inside,
            Err(astray) => return stage.report_all(astray.records().into_iter().take(1).collect()),
        },
        _ => destination.clone(),
    };
    copy_folder(stage, how, &found, &destination)
}

fn itself(place: &Place) -> ErrorRecord {
    let path = place.shown();
    about("CopyError", "WriteError", IO, format!("Cannot overwrite the item {path} with itself."), &path)
}

fn copy_folder(stage: &mut Stage<'_>, how: &mut How, source: &Found, destination: &Place) -> Done {
    let what = format!("Item: {} Destination: {}", source.place.shown(), destination.shown());
    if destination.is_device() {
        return stage.report(reserved("CopyError", destination));
    }
    if !stage.should_process(&what, "Copy Directory") {
        return Ok(());
    }
    // Without `-Force` a folder that exists is an error, and what is in the source is copied into it all the same.
    new_directory(stage, destination, how.force, false)?;
    if how.gives
        && let Ok(Some(made)) = destination.look()
    {
        stage.output(shown(&made, true));
    }
    if !how.recurse {
        return Ok(());
    }
    let Ok(children) = source.place.children() else {
        return stage.report(denied("CopyDirectoryInfoItemUnauthorizedAccessError", &source.place.shown()));
    };
    let (folders, files): (Vec<_>, Vec<_>) = children.into_iter().partition(|child| child.is_dir);
    for file in files {
        if how.filter.as_ref().is_none_or(|filter| filter.is_match(file.place.name())) {
            copy_file(stage, how, &file, destination)?;
        }
    }
    for folder in folders {
        match destination.child(folder.place.name()) {
            Ok(inside) => copy_folder(stage, how, &folder, &inside)?,
            Err(astray) => stage.report_all(astray.records().into_iter().take(1).collect())?,
        }
    }
    Ok(())
}

fn copy_file(stage: &mut Stage<'_>, how: &mut How, source: &Found, destination: &Place) -> Done {
    let inside = match destination.look() {
        Ok(Some(target)) if target.is_dir => destination.child(source.place.name()),
        Ok(_) => Ok(destination.clone()),
        Err(_) => return stage.report(denied("CopyFileInfoItemUnauthorizedAccessError", &destination.shown())),
    };
    let target = match inside {
        Ok(target) => target,
        Err(astray) => return stage.report_all(astray.records().into_iter().take(1).collect()),
    };
    if same_item(&source.place, &target) {
        return stage.report(itself(&target));
    }
    if target.is_device() {
        return stage.report(reserved("CopyError", &target));
    }
    let path = target.shown();
    if !stage.should_process(&format!("Item: {} Destination: {path}", source.place.shown()), "Copy File") {
        return Ok(());
    }
    let Ok((real, there)) = target.real() else {
        return stage.report(denied("CopyFileInfoItemUnauthorizedAccessError", &path));
    };
    let read_only = there && fs::metadata(&real).is_ok_and(|metadata| metadata.permissions().readonly() || metadata.is_dir());
    if read_only && !how.force {
        return stage.report(denied("CopyFileInfoItemUnauthorizedAccessError", &path));
    }
    if read_only {
        writable(&real);
    }
    if !real.parent().is_some_and(std::path::Path::is_dir) {
        return stage.report(no_part("CopyFileInfoItemIOError", &path));
    }
    stage.wrote = true;
    match bytes(&source.path, &real) {
        Ok(bytes) => {
            how.files += 1;
            how.bytes += bytes;
        }
        Err(error) => return stage.report(io_error("CopyFileInfoItemIOError", &target, &error)),
    }
    if how.gives
        && let Ok(Some(made)) = target.look()
    {
        stage.output(shown(&made, true));
    }
    Ok(())
}

/// Copies the bytes and the time of the last change.
fn bytes(source: &std::path::Path, target: &std::path::Path) -> io::Result<u64> {
    let mut from = fs::File::open(source)?;
    let modified = from.metadata()?.modified()?;
    let mut to = fs::OpenOptions::new().write(true).create(true).truncate(true).open(target)?;
    let mut piece = vec![0; PIECE];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&piece[..read])?;
        copied += read as u64;
    }
    to.set_modified(modified)?;
    Ok(copied)
}
