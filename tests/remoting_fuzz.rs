//! The entries of the fuzzers, on the seeds in `fixtures/fuzz/` and on mutations of them. The number of each run is printed
//! when it fails; `RELEVO_SEED=n` runs that one alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "fuzz/entries.rs"]
mod entries;
mod remoting_values;

use std::path::{Path, PathBuf};

use relevo::remoting::auth::SealedMessage;
use relevo::remoting::clixml::{self, Value};
use relevo::remoting::http::sealed;
use relevo::remoting::psrp::{
    Body, Command, CreatePipeline, Destination, ErrorRecord, Fragmenter, HostCall, HostMethod, InformationalRecord, Message,
    MessageType, PipelineState, PoolState, ProgressRecord, SessionCapability, StateMessage,
};
use relevo::remoting::wsman::{
    self, Chunk, Connect, ConnectResponse, Create, CreateResponse, Disconnect, EnumerateResponse, Fault, Receive,
    ReceiveResponse, ShellInfo,
};
use remoting_values::Seed;

/// Mutations per entry: seven entries make more than 200,000.
const MUTATIONS: u64 = 30_000;
/// Larger inputs show nothing that smaller ones do not.
const LARGEST: usize = 8192;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(name)
}

/// The seeds of an entry, and inputs that once made it fail.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has seeds");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Pieces that mean something to one of the readers.
const WORDS: &[&[u8]] = &[
    b"<Obj RefId=\"0\">",
    b"</Obj>",
    b"<Ref RefId=\"0\"/>",
    b"<TNRef RefId=\"0\"/>",
    b"<MS>",
    b"<DCT><En>",
    b"<S N=\"Key\">",
    b"_xD83D_",
    b"_x0000_",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&b;",
    b"<![CDATA[",
    b"<!--",
    b"xmlns:s=\"x\"",
    b"<s:Fault>",
    b"CommandId=\"CD\"",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\x01",
    b"Length=18446744073709551616",
    b"--Encrypted Boundary\r\n",
    b"--Encrypted Boundary--\r\n",
    b"Negotiate ",
    b", Basic realm=\"",
    b"\\\"",
    b"9999999999999999999999",
    b"-",
    b"P99999999999999DT",
];

fn mutated(seed: &mut Seed, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[seed.below(inputs.len())].clone();
    for _ in 0..=seed.below(5) {
        if bytes.is_empty() {
            bytes = seed.bytes(40);
            continue;
        }
        let (one, two) = (seed.below(bytes.len()), seed.below(bytes.len()));
        let (from, to) = (one.min(two), one.max(two));
        match seed.below(8) {
            0 => bytes[from] ^= 1 << seed.below(8),
            1 => bytes[from] = seed.pick(b"<>/&\"_x0\0\xff \n,=;"),
            2 => bytes.truncate(from),
            3 => drop(bytes.drain(from..to)),
            4 => {
                let part = bytes[from..to].to_vec();
                bytes.splice(from..from, part);
            }
            5 => {
                // A piece of another input.
                let other = &inputs[seed.below(inputs.len())];
                let start = seed.below(other.len().max(1));
                let part: Vec<u8> = other.iter().skip(start).take(seed.below(200)).copied().collect();
                bytes.splice(from..to.min(from + part.len()), part);
            }
            6 => {
                for byte in &mut bytes[from..to.min(from + 4)] {
                    *byte = seed.bytes(1).first().copied().unwrap_or(0xff);
                }
            }
            _ => {
                let part = seed.pick(WORDS);
                bytes.splice(from..from, part.iter().copied());
            }
        }
        bytes.truncate(LARGEST);
    }
    bytes
}

fn fuzz(name: &str, entry: fn(&[u8])) {
    struct Name<'a>(&'a str, u64);
    impl Drop for Name<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("it was {} with RELEVO_SEED={}", self.0, self.1);
            }
        }
    }
    let inputs = inputs(name);
    for input in &inputs {
        entry(input);
    }
    let only = std::env::var("RELEVO_SEED").ok().and_then(|seed| seed.parse().ok());
    // Another start every day finds more over time, and the number says which.
    let start = std::env::var("RELEVO_FUZZ_START").ok().and_then(|start| start.parse().ok()).unwrap_or(0);
    println!("{name}: runs {start} to {}", start + MUTATIONS - 1);
    for number in only.map_or(start..start + MUTATIONS, |seed: u64| seed..seed + 1) {
        let _name = Name(name, number);
        entry(&mutated(&mut Seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), &inputs));
    }
}

#[test]
fn no_fragments_make_a_reader_panic_or_keep_more_than_it_may() {
    fuzz("fragments", entries::fragments);
}

#[test]
fn no_message_makes_a_reader_panic_and_what_is_read_can_be_written() {
    fuzz("messages", entries::messages);
}

#[test]
fn no_stream_makes_a_client_panic() {
    fuzz("client", entries::client);
}

#[test]
fn f71_s11_s47_no_clixml_makes_a_reader_panic_and_what_is_read_can_be_written() {
    fuzz("clixml", entries::clixml);
}

#[test]
fn no_envelope_makes_a_reader_panic() {
    fuzz("envelopes", entries::envelopes);
}

#[test]
fn no_sealed_message_makes_a_reader_panic() {
    fuzz("sealed", entries::sealed);
}

#[test]
fn no_challenge_makes_a_reader_panic() {
    fuzz("challenges", entries::challenges);
}

fn from_server(pipeline: bool, body: Body) -> Vec<u8> {
    let pipeline = pipeline.then_some(entries::ID);
    Message { destination: Destination::Client, pool: entries::ID, pipeline, body }.encode().unwrap()
}

/// Payloads with their length before each, as the entries take them.
fn packed(payloads: &[Vec<u8>]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| [&[u8::try_from(payload.len()).unwrap()][..], payload].concat()).collect()
}

fn write(name: &str, seeds: &[(&str, Vec<u8>)]) {
    std::fs::create_dir_all(folder(name)).unwrap();
    for (seed, bytes) in seeds {
        std::fs::write(folder(name).join(seed), bytes).unwrap();
    }
}

/// With `RELEVO_BLESS=1`: writes `fixtures/fuzz` anew, for a change of the format.
#[test]
fn the_seeds_are_written() {
    if std::env::var_os("RELEVO_BLESS").is_none() {
        return;
    }
    let error = ErrorRecord { exception_message: "no\r\nservice".into(), target: "x".into(), ..ErrorRecord::default() };
    let call = HostCall { id: 1, method: HostMethod::READ_LINE, parameters: vec!["line".into()] };
    let bodies = [
        ("capability", false, Body::SessionCapability(SessionCapability::default())),
        ("opened", false, Body::RunspacePoolState(StateMessage { state: PoolState::Opened, error: None })),
        ("init-data", false, Body::Other(MessageType::RunspacePoolInitData, Value::object([("MinRunspaces", 1)]))),
        ("output", true, Body::PipelineOutput(Value::dictionary([("a", Value::list([Value::Nil, 5.into()]))]))),
        ("error", true, Body::ErrorRecord(error.clone())),
        ("warning", true, Body::Warning(InformationalRecord { message: "careful".into() })),
        ("progress", true, Body::Progress(ProgressRecord { activity: "a".into(), percent: Some(4), ..Default::default() })),
        ("call", true, Body::PipelineHostCall(call)),
        ("create", true, {
            let command = Command::new("Get-Service").parameter("Name", "x").switch("Force");
            Body::CreatePipeline(Box::new(CreatePipeline::new(vec![command])))
        }),
        ("failed", true, Body::PipelineState(StateMessage { state: PipelineState::Failed, error: Some(error) })),
    ];
    let messages: Vec<_> = bodies.iter().map(|(name, pipeline, body)| (*name, from_server(*pipeline, body.clone()))).collect();
    write("messages", &messages);
    let mut fragmenter = Fragmenter::default();
    let mut cut = |names: &[&str]| -> Vec<Vec<u8>> {
        let wanted = names.iter().map(|name| &messages.iter().find(|(known, _)| known == name).unwrap().1);
        wanted.flat_map(|message| fragmenter.fragments(message, 250).unwrap()).collect()
    };
    write("fragments", &[("whole", cut(&["opened", "warning"]).concat()), ("payloads", packed(&cut(&["output", "progress"])))]);
    let alternating = cut(&["capability", "output", "opened", "warning", "failed"]);
    write("client", &[("open", packed(&alternating)), ("take-over", packed(&cut(&["capability", "init-data", "call"])))]);
    let values = [
        ("list", Value::list([1.into(), "two\r\n😀".into(), Value::Nil, 2.5_f64.into(), Value::Bytes(vec![0, 255])])),
        (
            "dictionary",
            Value::dictionary([("k", Value::array([true, false])), ("t", Value::DateTime("2026-11-28T03:04:05Z".into()))]),
        ),
        ("enum", Value::enumeration("System.DayOfWeek", "Saturday", 6)),
        ("duration", Value::Duration("-P1DT2H3M4.5S".into())),
    ];
    let mut texts: Vec<_> = values.iter().map(|(name, value)| (*name, clixml::write(value).unwrap().into_bytes())).collect();
    texts.push((
        "references",
        b"<Obj RefId=\"0\"><TN RefId=\"0\"><T>A</T></TN><LST><Obj RefId=\"1\"><TNRef RefId=\"0\"/><MS><S N=\"a\">_x000A_</S></MS>\
          </Obj><Ref RefId=\"1\"/></LST></Obj>"
            .to_vec(),
    ));
    write("clixml", &texts);
    let header = wsman::Header::new("https://fe01/wsman".into(), wsman::names::configuration("Microsoft.PowerShell"));
    let id = Some(entries::ID);
    let chunk = Chunk { stream: "stdout".into(), command_id: Some("CD".into()), data: vec![1; 30] };
    let shell = ShellInfo { shell_id: "AB".into(), state: Some("Connected".into()), ..ShellInfo::default() };
    let create =
        Create { shell_id: Some("AB".into()), creation: vec![1; 20], protocol_version: Some("2.3".into()), ..Create::default() };
    write(
        "envelopes",
        &[
            ("create", wsman::request(&header, &create).into_bytes()),
            ("receive", wsman::request(&header, &Receive::stdout(Some("CD"))).into_bytes()),
            ("disconnect", wsman::request(&header, &Disconnect::default()).into_bytes()),
            ("connect", wsman::request(&header, &Connect { content: vec![1; 9], ..Connect::default() }).into_bytes()),
            ("created", wsman::response(id, &CreateResponse { shell_id: "AB".into(), ..CreateResponse::default() }).into_bytes()),
            ("connected", wsman::response(id, &ConnectResponse { content: vec![1; 9] }).into_bytes()),
            ("received", {
                let received = ReceiveResponse { chunks: vec![chunk.clone(), chunk], done: true, exit_code: Some(0) };
                wsman::response(id, &received).into_bytes()
            }),
            ("listed", wsman::response(id, &EnumerateResponse { shells: vec![shell], context: None }).into_bytes()),
            ("fault", Fault::new(Fault::TIMED_OUT, "TimedOut", "not yet").envelope(id).into_bytes()),
        ],
    );
    let sealed = |size: u8, data: &[u8]| {
        let message = SealedMessage { signature: vec![size; size.into()], data: data.to_vec() };
        sealed::encode(sealed::SPNEGO, data.len(), &message)
    };
    write("sealed", &[("ntlm", sealed(16, b"<a>--Encrypted Boundary--\r\n</a>")), ("kerberos", sealed(60, &[7; 40]))]);
    write(
        "challenges",
        &[
            ("iis", b"Negotiate\nNTLM\nBasic realm=\"a, Digest \\\" b\", charset=\"UTF-8\"".to_vec()),
            ("token", b"Kerberos, Negotiate TlRMTVNTUAACAAAA".to_vec()),
        ],
    );
}
