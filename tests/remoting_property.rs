//! Properties of the codecs of PowerShell remoting: what is written is read, and what is hostile is refused.
//!
//! `RELEVO_SEED=n` reruns one case of a property.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod remoting_values;

use std::collections::VecDeque;

use relevo::remoting::clixml::{self, Limits, Value, escape, unescape};
use relevo::remoting::literal::single_quoted;
use relevo::remoting::psrp::{
    Body, Defragmenter, ErrorRecord, FRAGMENT_HEADER, FragmentLimits, Fragmenter, Message, MessageType, Pool, PoolOptions,
};
use remoting_values::Seed;
use uuid::Uuid;

/// Runs a property for every seed below `count`, or for the one that is asked for. A panic names the seed.
fn for_all(count: u64, property: impl Fn(&mut Seed)) {
    struct Name(u64);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("it was the case RELEVO_SEED={}", self.0);
            }
        }
    }
    let only = std::env::var("RELEVO_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..count, |seed: u64| seed..seed + 1) {
        let _name = Name(seed);
        property(&mut Seed(seed.wrapping_mul(0x5851_f42d_4c95_7f2d)));
    }
}

#[test]
fn every_value_comes_back_as_it_was_written() {
    for_all(25_000, |seed| {
        let value = seed.value(5);
        let text = clixml::write(&value).unwrap();
        assert_eq!(clixml::read(&text, Limits::default()).as_ref(), Ok(&value), "{text}");
    });
}

#[test]
fn what_was_read_is_written_as_it_was() {
    for_all(10_000, |seed| {
        let text = clixml::write(&seed.value(5)).unwrap();
        let again = clixml::write(&clixml::read(&text, Limits::default()).unwrap()).unwrap();
        assert_eq!(again, text);
    });
}

#[test]
fn every_text_survives_its_escapes_and_needs_no_mercy_of_an_xml_parser() {
    for_all(50_000, |seed| {
        let text = seed.text(16);
        let escaped = escape(&text);
        assert_eq!(unescape(&escaped), text, "{escaped}");
        let is_plain = |c: char| !c.is_control() && u32::from(c) < 0x10000 && !matches!(c, '\u{fffe}' | '\u{ffff}');
        assert!(escaped.chars().all(is_plain), "{escaped:?}");
    });
}

/// How PowerShell's tokenizer finds the end of a literal in single quotes, written down without regard to the builder:
/// the text, and what stands behind the literal.
fn tokenize(script: &str) -> Option<(String, &str)> {
    const QUOTES: &str = "'\u{2018}\u{2019}\u{201a}\u{201b}";
    let mut rest = script.strip_prefix(|c| QUOTES.contains(c))?;
    let mut text = String::new();
    loop {
        let character = rest.chars().next()?;
        rest = &rest[character.len_utf8()..];
        if !QUOTES.contains(character) {
            text.push(character);
            continue;
        }
        let Some(second) = rest.chars().next().filter(|next| QUOTES.contains(*next)) else { return Some((text, rest)) };
        text.push(second);
        rest = &rest[second.len_utf8()..];
    }
}

#[test]
fn s06_a_tokenizer_reads_from_every_literal_exactly_the_text_that_was_put_in() {
    const PIECES: &[&str] = &[
        "'",
        "''",
        "\u{2018}",
        "\u{2019}",
        "\u{201a}",
        "\u{201b}",
        "\u{201c}",
        "\u{201d}",
        "\u{201e}",
        "\"",
        "`",
        "`'",
        "$x",
        "$(calc)",
        ";",
        "; Remove-Item C:\\ -Recurse ;",
        "#",
        "<#",
        "@'",
        "'@",
        "a",
        " ",
        "é",
        "😀",
        "\\",
        "{",
        "}",
        "\u{2032}",
        "\u{ff07}",
        "\u{202e}",
    ];
    for_all(120_000, |seed| {
        let text: String = (0..seed.below(12)).map(|_| seed.pick(PIECES)).collect();
        let script = single_quoted(&text).unwrap() + " -After";
        assert_eq!(tokenize(&script), Some((text, " -After")), "{script}");
    });
}

/// Fragments of several messages, mixed in an order that keeps each message's own.
fn mixed(seed: &mut Seed, mut queues: Vec<VecDeque<Vec<u8>>>) -> Vec<Vec<u8>> {
    let mut mixed = Vec::new();
    while !queues.is_empty() {
        let index = seed.below(queues.len());
        mixed.extend(queues[index].pop_front());
        queues.retain(|queue| !queue.is_empty());
    }
    mixed
}

#[test]
fn messages_come_back_from_fragments_of_every_size_mixed_in_every_order_and_packed_in_every_way() {
    for_all(30_000, |seed| {
        let messages: Vec<Vec<u8>> = (0..=seed.below(4)).map(|_| seed.bytes(60)).collect();
        let mut fragmenter = Fragmenter::default();
        let queues: Vec<VecDeque<Vec<u8>>> = messages
            .iter()
            .map(|message| {
                let payload = FRAGMENT_HEADER + 1 + seed.below(70);
                let fragments = fragmenter.fragments(message, payload).unwrap();
                assert!(fragments.iter().all(|fragment| fragment.len() <= payload));
                fragments.into()
            })
            .collect();
        let mut stream = Defragmenter::new(FragmentLimits::default());
        let mut back = Vec::new();
        let mut payload = Vec::new();
        for fragment in mixed(seed, queues) {
            payload.extend(fragment);
            if seed.one_in(2) {
                let (messages, failed) = stream.push(&std::mem::take(&mut payload));
                assert_eq!(failed, None);
                back.extend(messages);
            }
        }
        let (rest, failed) = stream.push(&payload);
        assert_eq!(failed, None);
        back.extend(rest);
        let mut sent = messages;
        sent.sort();
        back.sort();
        assert_eq!(back, sent);
    });
}

#[test]
fn a_large_message_comes_back_at_every_size_of_envelope() {
    let mut seed = Seed(1);
    let value = Value::list((0..2000).map(|_| Value::String(seed.text(300))));
    let message = Message {
        destination: relevo::remoting::psrp::Destination::Client,
        pool: Uuid::from_u128(1),
        pipeline: None,
        body: Body::PipelineOutput(value),
    };
    let bytes = message.encode().unwrap();
    assert!(bytes.len() > 1 << 20);
    for payload in [FRAGMENT_HEADER + 1, 1000, 32_768, 113_664, 384_000, bytes.len() + FRAGMENT_HEADER, 10 << 20] {
        // One byte per fragment takes a while; a part shows it as well.
        let bytes = if payload < 100 { &bytes[..5000] } else { &bytes[..] };
        let mut stream = Defragmenter::new(FragmentLimits::default());
        let fragments = Fragmenter::default().fragments(bytes, payload).unwrap();
        let back: Vec<_> = fragments.iter().flat_map(|fragment| stream.push(fragment).0).collect();
        assert_eq!(back, [bytes]);
    }
    assert_eq!(Message::decode(&bytes, Limits::default()), Ok(message));
}

/// Changes some bytes: flips, cuts, repeats, moves.
fn damaged(seed: &mut Seed, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=seed.below(3) {
        if bytes.is_empty() {
            return seed.bytes(30);
        }
        let (one, two) = (seed.below(bytes.len()), seed.below(bytes.len()));
        let (from, to) = (one.min(two), one.max(two));
        match seed.below(6) {
            0 => bytes[from] ^= 1 << seed.below(8),
            1 => bytes[from] = seed.pick(b"<>/&\"_x0\0\xff "),
            2 => bytes.truncate(from),
            3 => drop(bytes.drain(from..to)),
            4 => {
                let part = bytes[from..to].to_vec();
                let place = seed.below(bytes.len());
                bytes.splice(place..place, part);
            }
            _ => {
                let other: &[&[u8]] = &[
                    b"<Ref RefId=\"0\"/>",
                    b"<TNRef RefId=\"0\"/>",
                    b"<Obj RefId=\"0\">",
                    b"</Obj>",
                    b"<MS>",
                    b"N=\"a\"",
                    b"<S>",
                    b"<!DOCTYPE a>",
                    b"&a;",
                    b"<![CDATA[",
                    b"99999999999999999999",
                    b"_xD83D_",
                    b"<!--",
                ];
                let part = seed.pick(other);
                bytes.splice(from..from, part.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn no_damaged_value_makes_the_reader_panic_and_what_it_reads_can_be_used() {
    for_all(40_000, |seed| {
        let text = clixml::write(&seed.value(4)).unwrap();
        let bytes = damaged(seed, text.into_bytes());
        if let Ok(value) = clixml::read_bytes(&bytes, Limits::default()) {
            let again = clixml::write(&value).unwrap();
            assert_eq!(clixml::write(&clixml::read(&again, Limits::default()).unwrap()).unwrap(), again);
            let _ = (value.to_text(), value.as_duration(), value.as_timestamp(), ErrorRecord::from_value(&value));
        }
    });
}

#[test]
fn f71_s47_no_bytes_make_the_reader_of_messages_panic() {
    for_all(15_000, |seed| {
        let kind =
            seed.pick(&[0x1_0002, 0x1_0004, 0x2_1005, 0x2_1006, 0x2_1009, 0x4_1004, 0x4_1005, 0x4_1006, 0x4_1010, 0x4_1100]);
        assert!(MessageType::of(kind).is_some());
        let text = clixml::write(&seed.value(4)).unwrap();
        let _ = Body::decode(kind, &damaged(seed, text.into_bytes()), Limits::default());
        let _ = Message::decode(&seed.bytes(80), Limits::default());
    });
}

#[test]
fn no_damaged_stream_makes_a_client_panic() {
    let server = |body| {
        let message =
            Message { destination: relevo::remoting::psrp::Destination::Client, pool: Uuid::from_u128(7), pipeline: None, body };
        message.encode().unwrap()
    };
    for_all(15_000, |seed| {
        let mut pool = Pool::new(Uuid::from_u128(7), PoolOptions::default());
        pool.open().unwrap();
        let mut fragmenter = Fragmenter::default();
        let mut stream = Vec::new();
        for body in [
            Body::SessionCapability(relevo::remoting::psrp::SessionCapability::default()),
            Body::ApplicationPrivateData(seed.value(3)),
            Body::PipelineOutput(seed.value(3)),
        ] {
            stream.extend(fragmenter.fragments(&server(body), 200).unwrap().concat());
        }
        let stream = damaged(seed, stream);
        let _ = pool.receive(None, &stream);
        let _ = pool.receive(None, &seed.bytes(60));
        let _ = pool.take_outgoing();
    });
}
