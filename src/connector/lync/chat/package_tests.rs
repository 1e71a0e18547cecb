use std::io::{Cursor, Write as _};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::super::parts::{self, Contents};
use super::*;

fn ok<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|why| panic!("{why}"))
}

fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        ok(writer.start_file(*name, SimpleFileOptions::default()).map_err(|error| error.to_string()));
        ok(writer.write_all(bytes).map_err(|error| error.to_string()));
    }
    ok(writer.finish().map_err(|error| error.to_string())).into_inner()
}

const PART: &[u8] = b"<Pool/>";

fn whole(rooms: &str) -> Vec<u8> {
    let rooms = format!("<Pool><ChatRooms>{rooms}</ChatRooms></Pool>");
    packed(&[("AdGroups.xml", PART), ("AdUsers.xml", PART), ("AdAffiliations.xml", PART), ("ChatRooms.xml", rooms.as_bytes())])
}

fn read(bytes: Vec<u8>) -> Result<Contents, String> {
    parts::read(&mut Package::open(Cursor::new(bytes))?, None)
}

#[track_caller]
fn refused(bytes: Vec<u8>, why: &str) {
    match read(bytes) {
        Ok(contents) => panic!("it was taken: {contents:?}"),
        Err(said) => assert!(said.contains(why), "`{why}` is not in: {said}"),
    }
}

/// Changes the first bytes that are as given, in every place.
fn changed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, found)| *found == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "there is nothing to change");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn what_is_no_zip_or_only_a_part_of_one_is_refused() {
    refused(Vec::new(), "it is no ZIP");
    refused(b"<html>no</html>".to_vec(), "it is no ZIP");
    let good = whole("<ChatRoom><Name>a</Name></ChatRoom>");
    assert_eq!(ok(read(good.clone())).rooms.len(), 1);
    // Cut anywhere, it is an error and nothing else.
    for length in 0..good.len() {
        assert!(read(good[..length].to_vec()).is_err(), "{length} of {} bytes were taken", good.len());
    }
}

#[test]
fn one_wrong_byte_never_makes_other_rooms_in_silence() {
    let good = whole("<ChatRoom><Name>a</Name></ChatRoom><ChatRoom><Name>b</Name></ChatRoom>");
    let expected = ok(read(good.clone()));
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        if let Ok(contents) = read(bytes) {
            // What still reads is the same, or says that a part is missing.
            assert!(contents.rooms == expected.rooms || !contents.missing.is_empty(), "byte {at}: {contents:?}");
        }
    }
}

#[test]
fn names_that_lead_out_of_the_file_or_come_twice_are_refused() {
    for name in ["../ChatRooms.xml", "/ChatRooms.xml", "a/../../b.xml", "C:\\x.xml", "a\\b.xml", "a\u{7}.xml", "x:stream"] {
        refused(packed(&[(name, PART)]), "the part");
    }
    refused(packed(&[("chatrooms.xml", PART), ("ChatRooms.xml", PART)]), "two parts of it");
    // Two of exactly the same name, which no writer makes.
    let twice = changed(packed(&[("ChatRoomX.xml", PART), ("ChatRooms.xml", PART)]), b"ChatRoomX", b"ChatRooms");
    assert!(read(twice).is_err());
}

#[test]
fn encrypted_parts_and_unknown_methods_are_refused() {
    // The flags stand after the version, in both headers of a part.
    let mut bytes = packed(&[("ChatRooms.xml", PART)]);
    for (mark, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let place = bytes.windows(4).position(|found| found == mark).unwrap_or_default();
        bytes[place + at] |= 1;
    }
    refused(bytes, "is encrypted");
    let mut bytes = packed(&[("ChatRooms.xml", b"<Pool></Pool>")]);
    for (mark, at) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let place = bytes.windows(4).position(|found| found == mark).unwrap_or_default();
        bytes[place + at] = 14;
    }
    refused(bytes, "packed in a way that no export is");
}

#[test]
fn what_was_made_to_burst_is_refused_by_what_it_says_and_by_what_it_does() {
    let bomb = packed(&[("ChatRooms.xml", &vec![b' '; 40 << 20])]);
    assert!(bomb.len() < 100_000);
    refused(bomb.clone(), "made to burst");
    // It says that it is small.
    let size = u32::to_le_bytes(40 << 20);
    refused(changed(bomb, &size, &u32::to_le_bytes(1000)), "");
    let many: Vec<String> = (0..1001).map(|number| format!("{number}.xml")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), PART)).collect();
    refused(packed(&many), "1001 parts");
}

#[test]
fn a_count_of_parts_in_the_millions_is_refused_before_it_is_believed() {
    let mut bytes = packed(&[("ChatRooms.xml", PART)]);
    let end = bytes.windows(4).rposition(|found| found == END_MARK).unwrap_or_default();
    bytes[end + 10..end + 12].copy_from_slice(&60_000_u16.to_le_bytes());
    refused(bytes, "60000 parts");
}

#[test]
fn xml_that_grows_reaches_elsewhere_or_ends_early_is_refused() {
    let part = |text: &str| packed(&[("ChatRooms.xml", text.as_bytes())]);
    let declared =
        "<!DOCTYPE Pool [<!ENTITY a \"aaaa\">]><Pool><ChatRooms><ChatRoom><Name>&a;</Name></ChatRoom></ChatRooms></Pool>";
    refused(part(declared), "document type");
    refused(part("<Pool><ChatRooms><ChatRoom><Name>&a;</Name></ChatRoom></ChatRooms></Pool>"), "not declared");
    refused(part(&format!("<Pool>{}", "<a>".repeat(40))), "too deeply");
    refused(part("<Pool><ChatRooms>"), "ends in its middle");
    refused(part("<Other/>"), "outermost element");
    refused(part("<Pool/><Pool/>"), "outermost element");
    refused(part("<Pool><ChatRooms><ChatRoom/></ChatRooms></Pool>"), "has no name");
    refused(part(""), "ends in its middle");
    let wide: Vec<u8> = "<Pool/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(read(packed(&[("ChatRooms.xml", &wide)])).is_err());
}

#[test]
fn a_single_piece_has_a_bound_and_a_large_part_in_small_pieces_has_not() {
    // Noise, so that it packs badly and is no bomb.
    let mut seed = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + u8::try_from((seed >> 33) % 26).unwrap_or_default()
    })
    .take(18 << 20)
    .collect();
    let noise = String::from_utf8_lossy(&noise);
    let name = format!("<Pool><ChatRooms><ChatRoom><Name>{noise}</Name></ChatRoom></ChatRooms></Pool>");
    refused(packed(&[("ChatRooms.xml", name.as_bytes())]), "larger than 16 MiB");
    let messages: String =
        (0..18).map(|at| format!("<Message><Content>{}</Content></Message>", &noise[at << 20..(at + 1) << 20])).collect();
    let part = format!("<Pool><Messages>{messages}</Messages></Pool>");
    assert_eq!(ok(read(packed(&[("Messages.xml", part.as_bytes())]))).messages, Some(18));
}

#[test]
fn the_time_of_the_step_ends_the_reading() {
    let mut package = ok(Package::open(Cursor::new(whole("<ChatRoom><Name>a</Name></ChatRoom>"))));
    let said = parts::read(&mut package, Some(Instant::now()));
    assert!(said.is_err_and(|why| why.contains("time was over")));
}

#[test]
fn the_documented_shape_is_read_whatever_else_stands_in_it() {
    let users = "<Pool><AdUsers><User><principalId>1</principalId><UserPrincipalName>a@b.c</UserPrincipalName><Other><User/></Other></User>\
                 <User><principalId>2</principalId><UserPrincipalName/></User><User><principalId>3</principalId></User></AdUsers></Pool>";
    let rooms = "\u{feff}<?xml version=\"1.0\"?><!-- x --><Pool xmlns:x=\"urn:x\"><ChatRooms><ChatRoom isDisabled=\"1\" categoryId=\"&lt;1&gt;\">\
                 <Name><![CDATA[R&D]]> &amp; &#65;</Name><Roles><Principal id=\"1\"><Name>no room</Name></Principal></Roles></ChatRoom>\
                 <ChatRoom isDisabled=\"0\"><Name>b</Name></ChatRoom></ChatRooms></Pool>";
    let bytes =
        packed(&[("adusers.XML", users.as_bytes()), ("ChatRooms.xml", rooms.as_bytes()), ("extra/notes.bin", &[0, 1, 2])]);
    let contents = ok(read(bytes));
    assert_eq!((contents.people, contents.federated), (3, 2));
    let room = |name: &str, category: Option<&str>, disabled| parts::Room {
        name: name.to_owned(),
        category: category.map(str::to_owned),
        disabled,
    };
    assert_eq!(contents.rooms, [room("R&D & A", Some("<1>"), true), room("b", None, false)]);
    assert_eq!(contents.missing, ["AdGroups.xml", "AdAffiliations.xml"]);
    assert_eq!((contents.messages, contents.categories, contents.parts.len()), (None, None, 3));
}
