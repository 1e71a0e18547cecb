//! `Get-Content`, `Set-Content`, `Get-FileHash`.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::items::{FORCE, LITERAL, PATH, existing};
use super::make::{denied, io_error, not_here, reserved, writable};
use super::services::MODULE;
use crate::lab::windows::astray::not_found;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Event, Kind, Parameter, Stage};
use crate::lab::windows::drives::Spot;
use crate::lab::windows::errors::{about, error};
use crate::remoting::clixml::{Object, Property, Value};
use crate::remoting::psrp::ErrorRecord;

/// Files beyond this are not read as text, in bytes.
const LARGEST: u64 = 16 << 20;
/// Nor beyond this as one array of bytes (`-Encoding Byte -Raw`).
const LARGEST_RAW: u64 = 64 << 20;
/// Nor beyond this byte by byte: each is an object of its own.
const LARGEST_BYTES: u64 = 1 << 20;

const ENCODING: Parameter = Parameter::new(
    "Encoding",
    Kind::Enumeration(
        "Microsoft.PowerShell.Commands.FileSystemCmdletProviderEncoding",
        &["Unknown", "String", "Unicode", "Byte", "BigEndianUnicode", "UTF8", "UTF7", "UTF32", "Ascii", "Default", "Oem"],
    ),
);

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-Content",
        class: "Microsoft.PowerShell.Commands.GetContentCommand",
        module: MODULE,
        parameters: &[
            PATH,
            LITERAL,
            Parameter::new("Raw", Kind::Switch),
            Parameter::new("TotalCount", Kind::Number).also(&["First", "Head"]),
            Parameter::new("Tail", Kind::Number).also(&["Last"]),
            Parameter::new("ReadCount", Kind::Number),
            ENCODING,
            FORCE,
        ],
        run: get_content,
    },
    Cmdlet {
        name: "Set-Content",
        class: "Microsoft.PowerShell.Commands.SetContentCommand",
        module: MODULE,
        parameters: &[
            PATH,
            LITERAL,
            Parameter::new("Value", Kind::Any).at(1).needed(),
            Parameter::new("NoNewline", Kind::Switch),
            Parameter::new("PassThru", Kind::Switch),
            ENCODING,
            FORCE,
        ],
        run: set_content,
    },
    // A function in Windows PowerShell: its name is its class.
    Cmdlet {
        name: "Get-FileHash",
        class: "Get-FileHash",
        module: "Microsoft.PowerShell.Utility",
        parameters: &[
            PATH,
            LITERAL,
            Parameter::new("Algorithm", Kind::Word(&["SHA1", "SHA256", "SHA384", "SHA512", "MACTripleDES", "MD5", "RIPEMD160"])),
        ],
        run: get_file_hash,
    },
];

fn unsupported(encoding: &str) -> ErrorRecord {
    let message = format!("The encoding '{encoding}' is not one that the lab knows.");
    error("NotSupported", "NotImplemented", "System.Management.Automation.PSNotSupportedException", message, Value::Nil)
}

fn get_content(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let encoding = bound.text("Encoding").unwrap_or("Default").to_owned();
    for spot in stage.spots(bound)? {
        let Spot::File(place) = spot else {
            stage.report(not_here())?;
            continue;
        };
        let Some(found) = existing(stage, &place)? else { continue };
        if found.is_dir {
            stage.report(denied("GetContentReaderUnauthorizedAccessError", &place.shown()))?;
            continue;
        }
        let largest = match (encoding.as_str(), bound.is_on("Raw")) {
            ("Byte", true) => LARGEST_RAW,
            ("Byte", false) => LARGEST_BYTES,
            _ => LARGEST,
        };
        if found.metadata.len() > largest {
            let message = format!("'{}' is larger than the lab reads in this way.", place.shown());
            stage.report(about("GetContentReaderIOError", "ReadError", super::make::IO, message, &place.shown()))?;
            continue;
        }
        let bytes = match fs::read(&found.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                stage.report(io_error("GetContentReaderIOError", &place, &error))?;
                continue;
            }
        };
        let pieces: Vec<Value> = match (encoding.as_str(), bound.is_on("Raw")) {
            // Of an empty file there is nothing to give.
            ("Byte", true) if bytes.is_empty() => Vec::new(),
            ("Byte", true) => vec![Value::Bytes(bytes)],
            ("Byte", false) => within(bound, bytes.into_iter().map(Value::U8).collect()),
            (_, raw) => {
                let Some(text) = decode(&bytes, &encoding) else { return stage.report(unsupported(&encoding)) };
                if raw {
                    stage.output(text.into());
                    continue;
                }
                within(bound, text.lines().map(Value::from).collect())
            }
        };
        give(stage, pieces, bound.number("ReadCount").unwrap_or(1));
    }
    Ok(())
}

/// What `-TotalCount` and `-Tail` leave of the lines, or of the bytes.
fn within(bound: &Bound, pieces: Vec<Value>) -> Vec<Value> {
    let all = pieces.len();
    let count = |name: &str| bound.number(name).map(|count| usize::try_from(count).unwrap_or(all));
    let skipped = count("Tail").map_or(0, |tail| all.saturating_sub(tail));
    pieces.into_iter().take(count("TotalCount").unwrap_or(all)).skip(skipped).collect()
}

/// One object each, or so many in an array; 0 is all in one.
fn give(stage: &mut Stage<'_>, pieces: Vec<Value>, at_once: i64) {
    match usize::try_from(at_once).unwrap_or(0) {
        1 => pieces.into_iter().for_each(|piece| stage.output(piece)),
        0 if pieces.is_empty() => {}
        0 => stage.output(Value::array(pieces)),
        many => pieces.chunks(many).for_each(|some| stage.output(Value::array(some.iter().cloned()))),
    }
}

/// A mark at the beginning goes before what was asked for.
fn decode(bytes: &[u8], encoding: &str) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    Some(match (bytes, encoding) {
        ([0xEF, 0xBB, 0xBF, text @ ..], _) | (text, "UTF8") => String::from_utf8_lossy(text).into_owned(),
        ([0xFF, 0xFE, text @ ..], _) | (text, "Unicode") => utf16(text, u16::from_le_bytes),
        ([0xFE, 0xFF, text @ ..], _) | (text, "BigEndianUnicode") => utf16(text, u16::from_be_bytes),
        (text, "Ascii") => text.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect(),
        (text, "Default" | "String" | "Unknown") => text.iter().map(|byte| western(*byte)).collect(),
        _ => return None,
    })
}

/// Windows-1252, the code page of a Windows in English.
const WESTERN: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”',
    '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn western(byte: u8) -> char {
    match byte {
        0x80..=0x9F => WESTERN[usize::from(byte - 0x80)],
        byte => char::from(byte),
    }
}

fn encode(text: &str, encoding: &str) -> Option<Vec<u8>> {
    Some(match encoding {
        "UTF8" => [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
        "Unicode" | "String" | "Unknown" => {
            [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
        }
        "BigEndianUnicode" => [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect(),
        "Ascii" => text.chars().map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')).collect(),
        "Default" => {
            let byte = |c: char| match WESTERN.iter().position(|own| *own == c) {
                Some(at) => u8::try_from(at + 0x80).unwrap_or(b'?'),
                None => u8::try_from(c).unwrap_or(b'?'),
            };
            text.chars().map(byte).collect()
        }
        _ => return None,
    })
}

fn set_content(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let encoding = bound.text("Encoding").unwrap_or("Default");
    let value = bound.0.get("value").unwrap_or(&Value::Nil);
    let newline = if bound.is_on("NoNewline") { "" } else { "\r\n" };
    let text: String = match value.items() {
        Some(items) => items.iter().map(|item| format!("{}{newline}", item.to_text())).collect(),
        None => format!("{}{newline}", value.to_text()),
    };
    let Some(bytes) = encode(&text, encoding) else { return stage.report(unsupported(encoding)) };
    for spot in stage.spots(bound)? {
        let Spot::File(place) = spot else {
            stage.report(not_here())?;
            continue;
        };
        let path = place.shown();
        if place.is_device() {
            stage.report(reserved("SetContentError", &place))?;
            continue;
        }
        let Ok((real, there)) = place.real() else {
            stage.report(denied("GetContentWriterUnauthorizedAccessError", &path))?;
            continue;
        };
        if !stage.should_process(&format!("Path: {path}"), "Set Content") {
            continue;
        }
        if !real.parent().is_some_and(Path::is_dir) {
            let message = format!("Could not find a part of the path '{path}'.");
            let exception = "System.IO.DirectoryNotFoundException";
            stage.report(about("GetContentWriterDirectoryNotFoundError", "ObjectNotFound", exception, message, &path))?;
            continue;
        }
        if there && bound.is_on("Force") {
            writable(&real);
        }
        stage.wrote = true;
        if let Err(error) = fs::write(&real, &bytes) {
            stage.report(io_error("GetContentWriterIOError", &place, &error))?;
        } else if bound.is_on("PassThru") {
            stage.output(value.clone());
        }
    }
    Ok(())
}

fn get_file_hash(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let algorithm = bound.text("Algorithm").unwrap_or("SHA256").to_owned();
    // The function leaves it to another cmdlet to find the paths, and that one reports what is not there.
    let resolved = |record: ErrorRecord| {
        let mut record = record;
        record.fully_qualified_id = format!("{},Microsoft.PowerShell.Commands.ResolvePathCommand", record.fully_qualified_id);
        "Resolve-Path".clone_into(&mut record.category.activity);
        record
    };
    let already = stage.events.len();
    let spots = stage.spots(bound).map_err(resolved)?;
    for event in &mut stage.events[already..] {
        if let Event::Error(record) = event {
            **record = resolved(std::mem::take(record));
        }
    }
    for spot in spots {
        let Spot::File(place) = spot else { continue };
        let found = match place.look() {
            Ok(Some(found)) => found,
            Ok(None) => {
                stage.report(resolved(not_found(&place.shown())))?;
                continue;
            }
            Err(astray) => {
                stage.report_all(astray.records().into_iter().map(resolved).collect())?;
                continue;
            }
        };
        // Folders are passed over in silence.
        if found.is_dir {
            continue;
        }
        let path = place.shown();
        let hash = match algorithm.as_str() {
            "SHA1" => digest::<Sha1>(&found.path),
            "SHA384" => digest::<Sha384>(&found.path),
            "SHA512" => digest::<Sha512>(&found.path),
            "MD5" => digest::<Md5>(&found.path),
            "SHA256" => digest::<Sha256>(&found.path),
            other => {
                let message = format!("Algorithm '{other}' is not supported in this system.");
                let record = about("AlgorithmTypeNotSupported", "NotImplemented", "System.Exception", message, other);
                return Err(record);
            }
        };
        let Ok(hash) = hash else {
            let message = format!("The file '{path}' cannot be read.");
            let exception = "Microsoft.PowerShell.Commands.WriteErrorException";
            let mut record = about("FileReadError", "ReadError", exception, message, &path);
            "FileReadError,Get-FileHash".clone_into(&mut record.fully_qualified_id);
            stage.report(record)?;
            continue;
        };
        let types = ["Microsoft.Powershell.Utility.FileHash", "System.Management.Automation.PSCustomObject", "System.Object"];
        stage.output(
            Object {
                type_names: types.map(str::to_owned).to_vec(),
                extended: vec![
                    Property::new("Algorithm", algorithm.as_str()),
                    Property::new("Hash", hash),
                    Property::new("Path", path),
                ],
                ..Object::default()
            }
            .into(),
        );
    }
    Ok(())
}

fn digest<D: Digest>(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = D::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hasher.update(&piece[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect())
}
