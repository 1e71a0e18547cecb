//! `Get-Item`, `Get-ChildItem`, `Test-Path`, `Get-PSDrive`, and how files and folders are shown.

use std::time::SystemTime;

use super::properties;
use super::services::MODULE;
use crate::lab::windows::astray::{Astray, not_found};
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::drives::Spot;
use crate::lab::windows::errors::about;
use crate::lab::windows::machine::same;
use crate::lab::windows::place::{Found, Place};
use crate::lab::windows::wildcard::{Wildcard, is_pattern};
use crate::remoting::clixml::{Object, Property, Value};
use crate::remoting::psrp::ErrorRecord;

pub(super) const PATH: Parameter = Parameter::new("Path", Kind::Texts).at(0).needed();
pub(super) const LITERAL: Parameter = Parameter::new("LiteralPath", Kind::Texts).also(&["PSPath"]);
pub(super) const FORCE: Parameter = Parameter::new("Force", Kind::Switch);

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-Item",
        class: "Microsoft.PowerShell.Commands.GetItemCommand",
        module: MODULE,
        parameters: &[PATH, LITERAL, FORCE],
        run: get_item,
    },
    Cmdlet {
        name: "Get-ChildItem",
        class: "Microsoft.PowerShell.Commands.GetChildItemCommand",
        module: MODULE,
        parameters: &[
            Parameter::new("Path", Kind::Texts).at(0),
            LITERAL,
            Parameter::new("Filter", Kind::Text).at(1),
            Parameter::new("Include", Kind::Texts),
            Parameter::new("Exclude", Kind::Texts),
            Parameter::new("Recurse", Kind::Switch).also(&["s"]),
            Parameter::new("Depth", Kind::Number),
            Parameter::new("Name", Kind::Switch),
            Parameter::new("File", Kind::Switch).also(&["af"]),
            Parameter::new("Directory", Kind::Switch).also(&["ad", "d"]),
            FORCE,
        ],
        run: get_child_item,
    },
    Cmdlet {
        name: "Test-Path",
        class: "Microsoft.PowerShell.Commands.TestPathCommand",
        module: MODULE,
        parameters: &[
            PATH,
            LITERAL,
            Parameter::new(
                "PathType",
                Kind::Enumeration("Microsoft.PowerShell.Commands.TestPathType", &["Any", "Container", "Leaf"]),
            )
            .also(&["Type"]),
        ],
        run: test_path,
    },
    Cmdlet {
        name: "Get-PSDrive",
        class: "Microsoft.PowerShell.Commands.GetPSDriveCommand",
        module: MODULE,
        parameters: &[Parameter::new("Name", Kind::Texts).at(0), Parameter::new("PSProvider", Kind::Texts)],
        run: get_ps_drive,
    },
];

fn get_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for spot in stage.spots(bound)? {
        match spot {
            Spot::File(place) => {
                if let Some(found) = existing(stage, &place)? {
                    stage.output(shown(&found, true));
                }
            }
            Spot::Key(key) => match properties::key(stage.machine, &key) {
                Some(value) => stage.output(value),
                None => stage.report(not_found(&properties::shown(&key)))?,
            },
        }
    }
    Ok(())
}

/// What is at a place; that there is nothing is reported.
///
/// # Errors
/// As [`Stage::report`].
pub(super) fn existing(stage: &mut Stage<'_>, place: &Place) -> Result<Option<Found>, ErrorRecord> {
    match place.look() {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => stage.report(not_found(&place.shown())).map(|()| None),
        Err(astray) => stage.report_all(astray.records()).map(|()| None),
    }
}

/// What `Get-ChildItem` takes of a folder.
struct Listing {
    filter: Option<Wildcard>,
    include: Vec<Wildcard>,
    exclude: Vec<Wildcard>,
    /// Levels below the folder.
    depth: usize,
    files: bool,
    folders: bool,
    /// Whether names are given in place of items.
    names: bool,
}

/// Patterns; one that is none is an error.
fn patterns(texts: &[String]) -> Result<Vec<Wildcard>, ErrorRecord> {
    let wrong = |text: &String| Astray::Pattern(text.clone()).records().into_iter().next().unwrap_or_default();
    texts.iter().map(|text| Wildcard::powershell(text).map_err(|_| wrong(text))).collect()
}

/// A filter of the file system knows `*` and `?` only. `*.*` is every name there.
pub(super) fn filter(text: &str) -> Option<Wildcard> {
    let text = if text == "*.*" { "*" } else { text };
    let escaped: String = text.chars().flat_map(|c| if matches!(c, '[' | ']' | '`') { vec!['`', c] } else { vec![c] }).collect();
    Wildcard::powershell(&escaped).ok()
}

fn get_child_item(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let recursive = bound.is_on("Recurse") || bound.has("Depth");
    let deepest = match bound.number("Depth") {
        Some(depth) => usize::try_from(depth).unwrap_or(0),
        None if recursive => usize::MAX,
        None => 0,
    };
    let (files, folders) = (bound.is_on("File"), bound.is_on("Directory"));
    let listing = Listing {
        filter: bound.text("Filter").and_then(filter),
        include: patterns(&bound.texts("Include"))?,
        exclude: patterns(&bound.texts("Exclude"))?,
        depth: deepest,
        files: files || !folders,
        folders: folders || !files,
        names: bound.is_on("Name"),
    };
    let mut bound = bound.clone();
    if !bound.has("Path") && !bound.has("LiteralPath") {
        bound.0.insert("path".to_owned(), ".".into());
    }
    let by_pattern = bound.texts("Path").iter().any(|path| is_pattern(path));
    for spot in stage.spots(&bound)? {
        let place = match spot {
            Spot::File(place) => place,
            Spot::Key(key) => {
                match properties::children(stage.machine, &key) {
                    Some(children) => children.into_iter().for_each(|child| stage.output(child)),
                    None => stage.report(not_found(&properties::shown(&key)))?,
                }
                continue;
            }
        };
        let Some(found) = existing(stage, &place)? else { continue };
        if found.is_dir && !by_pattern {
            // Without a pattern in the path, names are only chosen from all that is below it.
            if recursive || listing.include.is_empty() {
                list(stage, &listing, &place, &place, 0)?;
            }
            continue;
        }
        give(stage, &listing, &found, &place.parent());
        if found.is_dir && recursive {
            list(stage, &listing, &place, &place.parent(), 0)?;
        }
    }
    Ok(())
}

fn list(stage: &mut Stage<'_>, listing: &Listing, folder: &Place, root: &Place, level: usize) -> Done {
    let Ok(children) = folder.children() else {
        let path = folder.shown();
        let message = format!("Access to the path '{path}' is denied.");
        let exception = "System.UnauthorizedAccessException";
        return stage.report(about("DirUnauthorizedAccessError", "PermissionDenied", exception, message, &path));
    };
    let (folders, files): (Vec<_>, Vec<_>) = children.iter().partition(|child| child.is_dir);
    for child in folders.iter().chain(&files) {
        give(stage, listing, child, root);
    }
    if level < listing.depth {
        for child in folders {
            list(stage, listing, &child.place, root, level + 1)?;
        }
    }
    Ok(())
}

fn give(stage: &mut Stage<'_>, listing: &Listing, found: &Found, root: &Place) {
    let name = found.place.name();
    let fits = (if found.is_dir { listing.folders } else { listing.files })
        && listing.filter.as_ref().is_none_or(|filter| filter.is_match(name))
        && (listing.include.is_empty() || listing.include.iter().any(|pattern| pattern.is_match(name)))
        && !listing.exclude.iter().any(|pattern| pattern.is_match(name));
    if fits && listing.names {
        let path = found.place.shown();
        let relative = path.get(root.shown().len()..).unwrap_or(name).trim_start_matches('\\');
        stage.output(relative.into());
    } else if fits {
        stage.output(shown(found, false));
    }
}

fn test_path(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let kind = bound.text("PathType").unwrap_or("Any").to_owned();
    let literal = bound.texts("LiteralPath").into_iter().map(|path| (path, true));
    for (path, literal) in literal.chain(bound.texts("Path").into_iter().map(|path| (path, false))) {
        let found = if literal { stage.eye().literal(&path).map(|spot| vec![spot]) } else { stage.eye().expand(&path) };
        let is_there = |spot: &Spot| match spot {
            Spot::File(place) => match place.look()? {
                Some(found) => Ok(kind == "Any" || found.is_dir == (kind == "Container")),
                None => Ok(false),
            },
            Spot::Key(key) => Ok(kind != "Leaf" && properties::key(stage.machine, key).is_some()),
        };
        let there =
            found.and_then(|spots| spots.iter().try_fold(false, |there, spot| Ok::<bool, Astray>(is_there(spot)? || there)));
        let there = match there {
            Ok(there) => there,
            Err(astray @ (Astray::Denied(_) | Astray::Provider(_) | Astray::Pattern(_))) => {
                // The first of them says why; that it is not found is this cmdlet's answer.
                stage.report_all(astray.records().into_iter().take(1).collect())?;
                false
            }
            Err(_) => false,
        };
        stage.output(there.into());
    }
    Ok(())
}

fn get_ps_drive(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let names = bound.texts("Name");
    let providers = patterns(&bound.texts("PSProvider"))?;
    let mut drives: Vec<(String, &str, String)> =
        stage.machine.drives().into_iter().map(|letter| (letter.to_string(), "FileSystem", format!("{letter}:\\"))).collect();
    drives.push(("HKLM".to_owned(), "Registry", "HKEY_LOCAL_MACHINE".to_owned()));
    drives.retain(|(_, provider, _)| providers.is_empty() || providers.iter().any(|pattern| pattern.is_match(provider)));
    let wanted = if names.is_empty() { vec!["*".to_owned()] } else { names };
    for name in &wanted {
        let wildcard = patterns(std::slice::from_ref(name))?;
        let mut any = false;
        for (own, provider, root) in &drives {
            if !wildcard[0].is_match(own) {
                continue;
            }
            any = true;
            let types = ["System.Management.Automation.PSDriveInfo", "System.Object"];
            let provider = format!("Microsoft.PowerShell.Core\\{provider}");
            let properties =
                [("CurrentLocation", ""), ("Name", own), ("Provider", provider.as_str()), ("Root", root), ("Description", "")];
            stage.output(Value::typed(&types, Some(own), properties));
        }
        if !any && !is_pattern(name) {
            let message = format!("Cannot find drive. A drive with the name '{name}' does not exist.");
            let exception = "System.Management.Automation.DriveNotFoundException";
            stage.report(about("GetLocationNoMatchingDrive", "ObjectNotFound", exception, message, name))?;
        }
    }
    Ok(())
}

/// A file or folder as .NET shows it, with what PowerShell's provider adds. `by_name` says that it was asked for by its
/// path: then its text is the path, else the name.
pub(super) fn shown(found: &Found, by_name: bool) -> Value {
    let place = &found.place;
    let (path, name) = (place.shown(), place.name().to_owned());
    let parent = place.parent().shown();
    let read_only = found.metadata.permissions().readonly() && !found.is_dir;
    let modified = found.metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let created = found.metadata.created().unwrap_or(modified);
    let accessed = found.metadata.accessed().unwrap_or(modified);
    let extension = match name.rfind('.') {
        Some(at) if !found.is_dir || at > 0 => &name[at..],
        _ => "",
    };
    let attributes = match (found.is_dir, read_only) {
        (true, _) => ("Directory", 16),
        (false, true) => ("ReadOnly, Archive", 33),
        (false, false) => ("Archive", 32),
    };
    let mut adapted = vec![Property::new("Name", name.as_str())];
    if found.is_dir {
        adapted.push(Property::new("Parent", (!place.is_root()).then(|| place.parent().name().to_owned())));
        adapted.push(Property::new("Root", place.root()));
    } else {
        adapted.push(Property::new("Length", i64::try_from(found.metadata.len()).unwrap_or(i64::MAX)));
        adapted.push(Property::new("DirectoryName", parent.as_str()));
        adapted.push(Property::new("Directory", parent.as_str()));
        adapted.push(Property::new("IsReadOnly", read_only));
    }
    adapted.extend([
        Property::new("Exists", true),
        Property::new("FullName", path.as_str()),
        Property::new("Extension", extension),
        Property::new("CreationTime", local(created)),
        Property::new("CreationTimeUtc", utc(created)),
        Property::new("LastAccessTime", local(accessed)),
        Property::new("LastAccessTimeUtc", utc(accessed)),
        Property::new("LastWriteTime", local(modified)),
        Property::new("LastWriteTimeUtc", utc(modified)),
        Property::new("Attributes", Value::enumeration("System.IO.FileAttributes", attributes.0, attributes.1)),
    ]);
    let provided = |path: &str| format!("Microsoft.PowerShell.Core\\FileSystem::{path}");
    let mode = match (found.is_dir, read_only) {
        (true, _) => "d-----",
        (false, true) => "-ar---",
        (false, false) => "-a----",
    };
    let base = if found.is_dir { name.as_str() } else { name.strip_suffix(extension).unwrap_or(&name) };
    let mut extended = vec![
        Property::new("PSPath", provided(&path)),
        Property::new("PSParentPath", (!place.is_root()).then(|| provided(&parent))),
        Property::new("PSChildName", name.as_str()),
        Property::new("PSProvider", "Microsoft.PowerShell.Core\\FileSystem"),
        Property::new("PSIsContainer", found.is_dir),
        Property::new("Mode", mode),
        Property::new("BaseName", base),
        Property::new("LinkType", Value::Nil),
    ];
    if let Some(drive) = place.root().strip_suffix(":\\") {
        extended.insert(3, Property::new("PSDrive", drive));
    }
    let own = if found.is_dir { "System.IO.DirectoryInfo" } else { "System.IO.FileInfo" };
    let types = [own, "System.IO.FileSystemInfo", "System.MarshalByRefObject", "System.Object"];
    Object {
        type_names: types.map(str::to_owned).to_vec(),
        to_string: Some(if by_name { path } else { name }),
        adapted,
        extended,
        ..Object::default()
    }
    .into()
}

fn utc(time: SystemTime) -> Value {
    jiff::Timestamp::try_from(time).unwrap_or_default().into()
}

/// The lab's hosts keep the time of Greenwich; a local time says so by its offset.
fn local(time: SystemTime) -> Value {
    match utc(time) {
        Value::DateTime(text) => Value::DateTime(text.replace('Z', "+00:00")),
        other => other,
    }
}

/// Whether two places are the same.
pub(super) fn same_item(one: &Place, other: &Place) -> bool {
    match (one.real(), other.real()) {
        (Ok((one, true)), Ok((other, true))) => one == other,
        _ => same(&one.shown(), &other.shown()),
    }
}
