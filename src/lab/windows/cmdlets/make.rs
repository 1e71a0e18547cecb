//! `New-Item`, `Remove-Item`, `Rename-Item`.

use std::fs;
use std::io;

use super::items::{FORCE, LITERAL, PATH, existing, same_item, shown};
use super::services::MODULE;
use crate::lab::windows::astray::Astray;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::drives::Spot;
use crate::lab::windows::errors::{about, error};
use crate::lab::windows::place::{Place, is_device};
use crate::lab::windows::run::nobody_to_ask;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

pub(super) const IO: &str = "System.IO.IOException";
const DENIED: &str = "System.UnauthorizedAccessException";

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "New-Item",
        class: "Microsoft.PowerShell.Commands.NewItemCommand",
        module: MODULE,
        parameters: &[
            PATH,
            Parameter::new("Name", Kind::Text),
            Parameter::new("ItemType", Kind::Text).also(&["Type"]),
            Parameter::new("Value", Kind::Any).also(&["Target"]),
            FORCE,
        ],
        run: new_item,
    },
    Cmdlet {
        name: "Remove-Item",
        class: "Microsoft.PowerShell.Commands.RemoveItemCommand",
        module: MODULE,
        parameters: &[PATH, LITERAL, Parameter::new("Recurse", Kind::Switch), FORCE],
        run: remove_item,
    },
    Cmdlet {
        name: "Rename-Item",
        class: "Microsoft.PowerShell.Commands.RenameItemCommand",
        module: MODULE,
        parameters: &[
            Parameter::new("Path", Kind::Text).at(0).needed(),
            Parameter::new("LiteralPath", Kind::Text).also(&["PSPath"]),
            Parameter::new("NewName", Kind::Text).at(1).needed(),
            FORCE,
            Parameter::new("PassThru", Kind::Switch),
        ],
        run: rename_item,
    },
];

/// The error of the real file system, in the words of .NET: id, category, and what there was no more room to say.
pub(super) fn io_error(id: &str, place: &Place, error: &io::Error) -> ErrorRecord {
    let path = place.shown();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
            denied(&id.replace("IOError", "UnauthorizedAccessError"), &path)
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => no_part(id, &path),
        io::ErrorKind::StorageFull => about(id, "WriteError", IO, "There is not enough space on the disk.\r\n", &path),
        io::ErrorKind::InvalidFilename => {
            let message = "The specified path, file name, or both are too long. The fully qualified file name must be less than \
                           260 characters, and the directory name must be less than 248 characters.";
            about(id, "WriteError", "System.IO.PathTooLongException", message, &path)
        }
        _ => about(id, "WriteError", IO, format!("The operation on '{path}' failed: {error}"), &path),
    }
}

pub(super) fn denied(id: &str, path: &str) -> ErrorRecord {
    about(id, "PermissionDenied", DENIED, format!("Access to the path '{path}' is denied."), path)
}

pub(super) fn no_part(id: &str, path: &str) -> ErrorRecord {
    let message = format!("Could not find a part of the path '{path}'.");
    about(id, "WriteError", "System.IO.DirectoryNotFoundException", message, path)
}

/// The error for a place that no file can have.
pub(super) fn reserved(id: &str, place: &Place) -> ErrorRecord {
    let path = place.shown();
    let message = format!("Cannot process path '{path}' because the target represents a reserved device name.");
    about(id, "WriteError", IO, message, &path)
}

/// The registry's provider has no such operation in the lab.
pub(super) fn not_here() -> ErrorRecord {
    let message = "Provider operation stopped because the provider does not support this operation.";
    error("NotSupported", "NotImplemented", "System.Management.Automation.PSNotSupportedException", message, Value::Nil)
}

fn new_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let kind = bound.text("ItemType").unwrap_or("File").to_ascii_lowercase();
    // The beginning of the word will do.
    let directory = kind == "container" || "directory".starts_with(&kind);
    if !directory && kind != "leaf" && !"file".starts_with(&kind) {
        let message = "The type is not a known type for the file system. Only \"file\",\"directory\" or \"symboliclink\" can be \
                       specified.";
        return stage.report(about(
            "Argument",
            "InvalidArgument",
            "System.Management.Automation.PSArgumentException",
            message,
            &kind,
        ));
    }
    for path in bound.texts("Path") {
        let path =
            bound.text("Name").map_or_else(|| path.clone(), |name| format!("{}\\{name}", path.trim_end_matches(['\\', '/'])));
        let place = match stage.eye().literal(&path) {
            Ok(Spot::File(place)) => place,
            Ok(Spot::Key(_)) => {
                stage.report(not_here())?;
                continue;
            }
            Err(astray) => {
                // What is about to be made need not be found.
                stage.report_all(astray.records().into_iter().take(1).collect())?;
                continue;
            }
        };
        if place.is_device() {
            stage.report(reserved("NewItemError", &place))?;
        } else if directory {
            new_directory(stage, &place, bound.is_on("Force"), true)?;
        } else {
            new_file(stage, bound, &place)?;
        }
    }
    Ok(())
}

/// Makes a folder, and those above it. `gives` says whether it is put out.
///
/// # Errors
/// As [`Stage::report`].
pub(super) fn new_directory(stage: &mut Stage<'_>, place: &Place, force: bool, gives: bool) -> Done {
    let path = place.shown();
    let Ok((real, there)) = place.real() else {
        return stage.report(denied("CreateDirectoryUnauthorizedAccessError", &path));
    };
    if there && !force {
        let message = format!("An item with the specified name {path} already exists.");
        return stage.report(about("DirectoryExist", "ResourceExists", IO, message, &path));
    }
    if gives && !stage.should_process(&format!("Destination: {path}"), "Create Directory") {
        return Ok(());
    }
    if !there {
        if let Err(error) = fs::create_dir_all(&real) {
            return stage.report(io_error("CreateDirectoryIOError", place, &error));
        }
        stage.wrote = true;
    }
    match place.look() {
        Ok(Some(found)) if found.is_dir => {
            if gives {
                stage.output(shown(&found, true));
            }
            Ok(())
        }
        // A file of that name stays, and Windows PowerShell passes over it in silence under `-Force`.
        _ => Ok(()),
    }
}

fn new_file(stage: &mut Stage<'_>, bound: &Bound, place: &Place) -> Done {
    let path = place.shown();
    let Ok((real, there)) = place.real() else {
        return stage.report(denied("NewItemUnauthorizedAccessError", &path));
    };
    let force = bound.is_on("Force");
    if there && !force {
        return stage.report(about("NewItemIOError", "WriteError", IO, format!("The file '{path}' already exists."), &path));
    }
    if !stage.should_process(&format!("Destination: {path}"), "Create File") {
        return Ok(());
    }
    let written = || {
        if force && let Some(folder) = real.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&real, bound.0.get("value").map(Value::to_text).unwrap_or_default())
    };
    if let Err(error) = written() {
        return stage.report(io_error("NewItemIOError", place, &error));
    }
    stage.wrote = true;
    if let Ok(Some(found)) = place.look() {
        stage.output(shown(&found, true));
    }
    Ok(())
}

fn remove_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for spot in stage.spots(bound)? {
        let Spot::File(place) = spot else {
            stage.report(not_here())?;
            continue;
        };
        let Some(found) = existing(stage, &place)? else { continue };
        let path = place.shown();
        if place.is_root() {
            stage.report(denied("RemoveItemUnauthorizedAccessError", &path))?;
            continue;
        }
        if found.is_dir && !bound.is_on("Recurse") && fs::read_dir(&found.path).is_ok_and(|mut entries| entries.next().is_some())
        {
            if stage.what_if {
                continue;
            }
            return Err(nobody_to_ask(&format!(
                "The item at {path} has children and the Recurse parameter was not specified. If you continue, all children will be \
                 removed with the item. Are you sure you want to continue?"
            )));
        }
        let what = if found.is_dir { "Remove Directory" } else { "Remove File" };
        if !stage.should_process(&path, what) {
            continue;
        }
        let read_only = found.metadata.permissions().readonly() && !found.is_dir;
        if read_only && !bound.is_on("Force") {
            let message = format!(
                "Cannot remove item {path}: You do not have sufficient access rights to perform this operation or the item is \
                 hidden, system, or read only."
            );
            stage.report(about("RemoveFileSystemItemUnAuthorizedAccess", "PermissionDenied", IO, message, &path))?;
            continue;
        }
        if read_only {
            writable(&found.path);
        }
        // Links within are removed, and not what they lead to. A part may be gone even if this fails.
        let removed = if found.is_dir { fs::remove_dir_all(&found.path) } else { fs::remove_file(&found.path) };
        stage.wrote = true;
        if let Err(error) = removed {
            stage.report(io_error("RemoveItemIOError", &place, &error))?;
        }
    }
    Ok(())
}

/// Takes the mark of a file that may not be written. Whether that worked shows when it is written.
pub(super) fn writable(path: &std::path::Path) {
    if let Ok(metadata) = fs::metadata(path) {
        let mut permissions = metadata.permissions();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            permissions.set_mode(permissions.mode() | 0o200);
        }
        #[cfg(not(unix))]
        permissions.set_readonly(false);
        let _ = fs::set_permissions(path, permissions);
    }
}

fn rename_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let spots = stage.spots(bound)?;
    let invalid = |message: String| {
        error(
            "InvalidOperation",
            "InvalidOperation",
            "System.Management.Automation.PSInvalidOperationException",
            message,
            Value::Nil,
        )
    };
    let place = match spots.as_slice() {
        [Spot::File(place)] => place,
        [] => return Ok(()),
        [_] => return stage.report(not_here()),
        _ => {
            let message =
                "Cannot rename item because the path resolved to multiple items. Only one item can be renamed at a time.";
            let exception = "System.Management.Automation.PSArgumentException";
            return stage.report(error("Argument", "InvalidArgument", exception, message, Value::Nil));
        }
    };
    let path = place.shown();
    let found = match place.look() {
        Ok(Some(found)) if !place.is_root() => found,
        Ok(_) => return stage.report(invalid(format!("Cannot rename because item at '{path}' does not exist."))),
        Err(astray) => return stage.report_all(astray.records()),
    };
    let given = bound.text("NewName").unwrap_or_default().replace('/', "\\");
    let name = given.strip_prefix(".\\").unwrap_or(&given);
    // A full path is taken if it stays in the same folder.
    let name = match name.rsplit_once('\\') {
        Some((folder, name)) if crate::lab::windows::machine::same(folder, place.parent().shown().trim_end_matches('\\')) => name,
        _ => name,
    };
    if name.contains(['\\', ':']) || is_device(name) || name.trim_matches(['.', ' ']).is_empty() {
        let message = "Cannot rename the specified target, because it represents a path or device name.";
        let exception = "System.Management.Automation.PSArgumentException";
        return stage.report(error("Argument", "InvalidArgument", exception, message, Value::Nil));
    }
    let target = match place.parent().child(name) {
        Ok(target) => target,
        Err(astray @ Astray::TooLong(_)) => return stage.report_all(astray.records().into_iter().take(1).collect()),
        Err(_) => {
            let exception = "System.ArgumentException";
            let record = about("RenameItemArgumentError", "InvalidArgument", exception, "Illegal characters in path.", &path);
            return stage.report(record);
        }
    };
    let exists = matches!(target.look(), Ok(Some(_)) | Err(_)) && !same_item(place, &target);
    let what = if found.is_dir { "Rename Directory" } else { "Rename File" };
    if !stage.should_process(&format!("Item: {path} Destination: {}", target.shown()), what) {
        return Ok(());
    }
    if exists {
        let message = "Cannot create a file when that file already exists.\r\n";
        return stage.report(about("RenameItemIOError", "WriteError", IO, message, &path));
    }
    let Some(folder) = found.path.parent() else { return stage.report(denied("RenameItemUnauthorizedAccessError", &path)) };
    if let Err(error) = fs::rename(&found.path, folder.join(target.name())) {
        return stage.report(io_error("RenameItemIOError", place, &error));
    }
    stage.wrote = true;
    if bound.is_on("PassThru")
        && let Ok(Some(found)) = target.look()
    {
        stage.output(shown(&found, true));
    }
    Ok(())
}
