//! The codecs of PowerShell remoting against `psrpcore`, which others wrote: values both ways, and a client against
//! its server.
//!
//! `tests/run` installs it; `RELEVO_PYTHON` names another interpreter that has it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod remoting_values;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relevo::remoting::clixml::{self, Content, Limits, Object, Value};
use relevo::remoting::psrp::{
    Body, Category, Command, CreatePipeline, Defragmenter, Destination, ErrorRecord, Event, EventKind, FragmentLimits,
    Fragmenter, HostCall, HostMethod, InformationRecord, InformationalRecord, Message, PipelineState, Pool, PoolOptions,
    PoolState, ProgressRecord, SessionCapability, StateMessage, Stream,
};
use remoting_values::Seed;
use uuid::Uuid;

/// psrpcore, waiting for requests.
struct Peer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// `None` where psrpcore is not installed and need not be.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python =
            std::env::var_os("RELEVO_PYTHON").map_or_else(|| root.join("target/tools/python/bin/python3"), PathBuf::from);
        if !python.exists() {
            let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
            assert!(!all, "RELEVO_TESTS=all needs psrpcore: {} is not there", python.display());
            eprintln!("left out: needs psrpcore (tests/run installs it)");
            return None;
        }
        let mut child = Process::new(python)
            .arg(root.join("tests/remoting/codec.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Peer { child, requests, answers })
    }

    fn ask(&mut self, request: &str) -> Vec<String> {
        writeln!(self.requests, "{request}").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "psrpcore ended");
            match line.trim_end() {
                "." => return lines,
                "" => {}
                line => {
                    assert!(!line.starts_with("error "), "{line}\n{request}");
                    lines.push(line.to_owned());
                }
            }
        }
    }

    fn about(&mut self, verb: &str, data: impl AsRef<[u8]>) -> String {
        self.ask(&format!("{verb} {}", BASE64.encode(data))).concat()
    }

    /// The value that psrpcore read from our text and wrote again, read by us.
    fn echo(&mut self, value: &Value) -> Value {
        let back = self.about("echo", clixml::write(value).unwrap());
        clixml::read_bytes(&BASE64.decode(back).unwrap(), Limits::default()).unwrap()
    }
}

/// What psrpcore does not keep: the type names of containers, and the prefix that it puts before others.
fn same(value: &Value) -> Value {
    let Value::Object(object) = value else { return value.clone() };
    let mut object = Object::clone(object);
    let all = |items: &[Value]| items.iter().map(same).collect();
    object.content = match &object.content {
        Content::List(items) => Content::List(all(items)),
        Content::Enumerable(items) => Content::Enumerable(all(items)),
        Content::Stack(items) => Content::Stack(all(items)),
        Content::Queue(items) => Content::Queue(all(items)),
        Content::Dictionary(entries) => {
            Content::Dictionary(entries.iter().map(|(key, value)| (same(key), same(value))).collect())
        }
        other => other.clone(),
    };
    if object.items().is_some() || matches!(object.content, Content::Dictionary(_)) {
        object.type_names.clear();
    }
    for property in object.adapted.iter_mut().chain(&mut object.extended) {
        property.value = same(&property.value);
    }
    for name in &mut object.type_names {
        if let Some(plain) = name.strip_prefix("Deserialized.") {
            *name = plain.to_owned();
        }
    }
    object.into()
}

#[test]
fn arbitrary_values_come_back_from_psrpcore_as_they_were_sent() {
    let Some(mut peer) = Peer::start() else { return };
    for case in 0..3000 {
        let value = Seed(case * 7919).common_value(4);
        let back = peer.echo(&value);
        assert_eq!(same(&back), same(&value), "case {case}: {}", clixml::write(&value).unwrap());
    }
}

fn units(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("{unit:04x}")).collect()
}

#[test]
fn psrpcore_sees_in_every_primitive_what_was_meant() {
    let Some(mut peer) = Peer::start() else { return };
    let id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    for (value, seen) in [
        (Value::Nil, "None"),
        (true.into(), "True"),
        (false.into(), "False"),
        (Value::Char(0xd83d), "PSChar 55357"),
        (255u8.into(), "PSByte 255"),
        ((-128i8).into(), "PSSByte -128"),
        (u16::MAX.into(), "PSUInt16 65535"),
        (i16::MIN.into(), "PSInt16 -32768"),
        (u32::MAX.into(), "PSUInt 4294967295"),
        (i32::MIN.into(), "PSInt -2147483648"),
        (u64::MAX.into(), "PSUInt64 18446744073709551615"),
        (i64::MIN.into(), "PSInt64 -9223372036854775808"),
        (0.25f32.into(), "PSSingle 0.25"),
        (1e16.into(), "PSDouble 1e+16"),
        (f64::NEG_INFINITY.into(), "PSDouble -inf"),
        (Value::Decimal("-12.3400".into()), "PSDecimal -12.3400"),
        (Value::Bytes(vec![0, 255]), "PSByteArray 00ff"),
        (Value::Bytes(Vec::new()), "PSByteArray "),
        (id.into(), "PSGuid 00112233-4455-6677-8899-aabbccddeeff"),
        (Value::Version("2.3".into()), "PSVersion 2.3"),
        (Value::DateTime("2026-11-22T03:04:05.1234567Z".into()), "PSDateTime 2026-11-22 03:04:05.123456700+00:00"),
        (jiff::Timestamp::UNIX_EPOCH.into(), "PSDateTime 1970-01-01 00:00:00+00:00"),
        (jiff::SignedDuration::new(90_061, 500).into(), "PSDuration 1 day, 1:01:01.000000500"),
        (jiff::SignedDuration::new(-1, -500_000_000).into(), "PSDuration -1 day, 23:59:58.500000"),
        (Value::Uri("http://x/?a=1&b=2".into()), "PSUri "),
        (Value::Xml("<a>\r\n</a>".into()), "PSXml "),
        (Value::ScriptBlock("$x | % { \"é\" }".into()), "PSScriptBlock "),
    ] {
        let text = value.as_str().filter(|_| seen.ends_with(' ')).map(units).unwrap_or_default();
        assert_eq!(peer.about("show", clixml::write(&value).unwrap()).trim_end(), format!("{seen}{text}").trim_end());
    }
    let text = clixml::write(&Value::SecureString("QUJD".into())).unwrap();
    assert!(peer.about("show", text).starts_with("PSSecureString"));
    assert_eq!(peer.echo(&Value::SecureString("QUJD".into())), Value::SecureString("QUJD".into()));
}

#[test]
fn psrpcore_reads_every_unit_of_a_text_as_it_was_meant() {
    let Some(mut peer) = Peer::start() else { return };
    let mut texts = vec!["a\r\nb\n\r".to_owned(), "😀\u{10ffff}".into(), "_x000A_ _x000d_ _X000A_ _x005F_".into(), " ".into()];
    texts.push((0..=0xffff).filter_map(char::from_u32).collect());
    texts.extend((0..500).map(|case| Seed(case).text(40)));
    for text in texts {
        let seen = peer.about("show", clixml::write(&Value::from(text.as_str())).unwrap());
        assert_eq!(seen.trim_end(), format!("PSString {}", units(&text)).trim_end());
    }
}

#[test]
fn values_that_psrpcore_makes_are_read() {
    let Some(mut peer) = Peer::start() else { return };
    let mut made = |name: &str| {
        let text = BASE64.decode(peer.about("make", name)).unwrap();
        clixml::read_bytes(&text, Limits::default()).unwrap()
    };
    assert_eq!(made("lone surrogates").as_str(), Some("a\u{fffd}b\u{fffd}c"));
    assert_eq!(made("escapes").as_str(), Some("_x000A_ _X000A_ _x \r\n \0 \u{85} 😀 _"));
    let nested = made("nested");
    let [queue, dictionary, Value::Nil, Value::Bool(true)] = nested.items().unwrap() else { panic!("{nested:?}") };
    assert!(matches!(&queue.as_object().unwrap().content, Content::Queue(items) if items.len() == 2));
    let list = dictionary.get("list").and_then(Value::items).unwrap();
    assert!(matches!(&list[1].as_object().unwrap().content, Content::Stack(items) if items[1] == Value::Char(120)));
    assert_eq!(dictionary.get("empty").and_then(Value::entries), Some(&[][..]));
    let references = made("references");
    let name = |value: &Value| value.get("Name").and_then(Value::as_str).map(str::to_owned);
    let items = references.items().unwrap();
    assert_eq!(name(&items[0]).as_deref(), Some("shared\r\n"));
    assert_eq!(name(items[1].get("other").unwrap()), name(&items[0]));
    assert_eq!(name(&items[2]), name(&items[0]));
    let large = made("large");
    assert!(large.items().unwrap().iter().all(|item| item.as_str() == Some("zeile 😀\r\n".repeat(4000).as_str())));
}

/// A client with psrpcore's server behind it.
struct Session {
    peer: Peer,
    pool: Pool,
    /// Payloads that the server sent for pipelines, and that are not received yet.
    waiting: Vec<(Option<Uuid>, Vec<u8>)>,
}

impl Session {
    fn open(payload: usize) -> Option<Self> {
        let mut peer = Peer::start()?;
        peer.ask(&format!("payload {payload}"));
        let pool = Pool::new(Uuid::new_v4(), PoolOptions { payload, ..PoolOptions::default() });
        let mut session = Session { peer, pool, waiting: Vec::new() };
        let opening = session.pool.open().unwrap();
        session.send(None, &opening);
        let events = session.receive();
        assert!(
            matches!(&events[..], [
            Event { kind: EventKind::PoolState { state: PoolState::NegotiationSucceeded, .. }, .. },
            Event { kind: EventKind::PrivateData(data), .. },
            Event { kind: EventKind::PoolState { state: PoolState::Opened, error: None }, pipeline: None },
        ] if data.get("Lab").and_then(Value::as_str) == Some("psrpcore")),
            "{events:?}"
        );
        assert_eq!(session.pool.server().unwrap().protocol, "2.3");
        Some(session)
    }

    fn send(&mut self, pipeline: Option<Uuid>, payload: &[u8]) {
        let data = BASE64.encode(payload);
        let request = pipeline.map_or_else(|| format!("pool {data}"), |id| format!("pipe {id} {data}"));
        for line in self.peer.ask(&request) {
            let (id, data) = line.split_once(' ').unwrap();
            self.waiting.push((id.parse().ok(), BASE64.decode(data).unwrap()));
        }
    }

    fn receive(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (from, payload) in std::mem::take(&mut self.waiting) {
            events.extend(self.pool.receive(from, &payload).unwrap());
        }
        events
    }

    /// All that a pipeline says.
    fn run(&mut self, pipeline: CreatePipeline) -> Vec<EventKind> {
        let id = Uuid::new_v4();
        for payload in self.pool.create(id, pipeline).unwrap() {
            self.send(Some(id), &payload);
        }
        let events = self.receive();
        assert!(events.iter().all(|event| event.pipeline == Some(id)));
        events.into_iter().map(|event| event.kind).filter(|kind| !matches!(kind, EventKind::StateChanged(_))).collect()
    }
}

fn completed() -> EventKind {
    EventKind::Finished { state: PipelineState::Completed, terminating: None }
}

#[test]
fn s06_s08_a_pipeline_of_psrpcore_gets_commands_and_arguments_exactly_as_they_were_given() {
    let Some(mut session) = Session::open(1000) else { return };
    let values: Vec<Value> = (0..60).map(|case| Seed(case * 31 + 5).common_value(3)).collect();
    let mut command = Command::new("Return-Arguments").parameter("-Identity", "a\r\n_x000D_😀\u{7}").switch("Force");
    for value in &values {
        command = command.parameter("Value", value.clone());
    }
    let command = command.argument(5_000_000_000_i64);
    let script = Command::script("param($a)\r\n$a").parameter("a", Value::dictionary([("k", Value::array([1, 2]))]));
    let events = session.run(CreatePipeline::new(vec![command, script]));
    let mut expected: Vec<Value> = vec!["Return-Arguments".into(), false.into(), "Identity".into()];
    expected.extend(["a\r\n_x000D_😀\u{7}".into(), "Force".into(), true.into()]);
    for value in values {
        expected.extend(["Value".into(), value]);
    }
    expected.extend([Value::Nil, 5_000_000_000_i64.into(), "param($a)\r\n$a".into(), true.into(), "a".into()]);
    expected.extend([Value::dictionary([("k", Value::array([1, 2]))]), Value::array([true, false, false]), 1.into()]);
    let mut expected: Vec<_> = expected.iter().map(|value| EventKind::Output(same(value))).collect();
    expected.push(completed());
    let events: Vec<_> = events
        .into_iter()
        .map(|kind| match kind {
            EventKind::Output(value) => EventKind::Output(same(&value)),
            other => other,
        })
        .collect();
    assert_eq!(events.len(), expected.len());
    for (event, expected) in events.iter().zip(&expected) {
        assert_eq!(event, expected);
    }
}

#[test]
fn everything_that_a_pipeline_of_psrpcore_says_arrives_on_its_own_stream() {
    let Some(mut session) = Session::open(113_664) else { return };
    let events = session.run(CreatePipeline::new(vec![Command::new("Say-Everything")]));
    let [
        EventKind::Output(out),
        EventKind::Error(error),
        EventKind::Warning(warning),
        EventKind::Verbose(verbose),
        EventKind::Debug(debug),
        EventKind::Progress(first),
        EventKind::Progress(second),
        EventKind::Information(information),
        EventKind::HostCall { call, refused: false },
        finished,
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(out.as_str(), Some("out\r\n"));
    assert_eq!((warning.as_str(), verbose.as_str(), debug.as_str()), ("careful 😀", "words", "bugs"));
    assert_eq!(error.exception_message, "no such user\r\nü");
    assert_eq!(error.exception_type, "System.Exception");
    assert_eq!(error.message(), "the details");
    assert_eq!(error.recommended_action.as_deref(), Some("look"));
    assert_eq!(error.fully_qualified_id, "NoUser,Move-CsUser");
    assert_eq!((error.category.name(), error.category.activity.as_str()), ("ObjectNotFound", "Move-CsUser"));
    assert_eq!(error.category.message, "ObjectNotFound (u1:String) [Move-CsUser], ManagementException");
    assert_eq!(error.target, Value::from("u1"));
    assert_eq!(error.position.as_deref(), Some("At line:3 char:7\r\n+ Move-CsUser"));
    assert_eq!(error.script_stack_trace.as_deref(), Some("at <ScriptBlock>, <No file>: line 3"));
    assert_eq!((first.activity.as_str(), first.activity_id, first.percent), ("Moving", 7, Some(30)));
    assert_eq!((first.status.as_str(), first.current_operation.as_deref()), ("3 of 10", Some("u3")));
    assert_eq!((first.parent, first.seconds_remaining, first.completed), (None, None, false));
    assert_eq!((second.parent, second.percent, second.completed), (Some(2), None, true));
    assert_eq!((information.text(), &information.tags[..]), ("told".into(), &["PSHOST".to_owned()][..]));
    assert_eq!(call.method.shown(&call.parameters).as_deref(), Some("on the screen"));
    assert_eq!(*finished, completed());
}

#[test]
fn the_ends_of_pipelines_are_told_apart() {
    let Some(mut session) = Session::open(113_664) else { return };
    let events = session.run(CreatePipeline::new(vec![Command::new("Throw")]));
    let [EventKind::Finished { state: PipelineState::Failed, terminating: Some(error) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((error.message(), error.fully_qualified_id.as_str()), ("boom: user not found", "boom"));
    let events = session.run(CreatePipeline::new(vec![Command::new("Stop")]));
    let [EventKind::Finished { state: PipelineState::Stopped, terminating: Some(error) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.exception_type, "System.Management.Automation.PipelineStoppedException");
    let id = Uuid::new_v4();
    for payload in session.pool.create(id, CreatePipeline::new(vec![Command::new("Break")])).unwrap() {
        session.send(Some(id), &payload);
    }
    let events = session.receive();
    let broken = events.iter().find_map(|event| match &event.kind {
        EventKind::PoolState { state: PoolState::Broken, error } => error.as_ref(),
        _ => None,
    });
    assert_eq!(broken.unwrap().message(), "the pool broke");
    assert!(session.pool.create(Uuid::new_v4(), CreatePipeline::new(vec![Command::new("Throw")])).is_err());
}

#[test]
fn a_question_is_refused_with_an_error_that_the_command_sees() {
    let Some(mut session) = Session::open(113_664) else { return };
    let events = session.run(CreatePipeline::new(vec![Command::new("Ask")]));
    let [EventKind::HostCall { call, refused: true }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(call.method.name(), Some("ReadLine"));
    for outgoing in session.pool.take_outgoing() {
        assert_eq!(outgoing.stream, Stream::PromptResponse);
        session.send(outgoing.pipeline, &outgoing.payload);
    }
    assert!(session.pool.take_outgoing().is_empty());
    let events: Vec<_> = session.receive().into_iter().map(|event| event.kind).collect();
    let [EventKind::Output(message), EventKind::Output(id), end] = &events[..] else { panic!("{events:?}") };
    assert!(message.to_text().contains("nobody is there to answer"), "{message:?}");
    assert_eq!(id.as_str(), Some("HostFunctionNotImplemented"));
    assert_eq!(*end, completed());
}

#[test]
fn objects_larger_than_a_megabyte_arrive_at_every_size_of_envelope() {
    for payload in [4096, 32_768, 113_664, 384_000, 8 << 20] {
        let Some(mut session) = Session::open(payload) else { return };
        let events = session.run(CreatePipeline::new(vec![Command::new("Large")]));
        assert_eq!(events.len(), 22);
        let EventKind::Output(whole) = &events[20] else { panic!("{:?}", events[20]) };
        assert!(clixml::write(whole).unwrap().len() > 1 << 20);
        assert_eq!(whole.items().unwrap().len(), 20);
        let text = "zeile 😀\r\n".repeat(40_000);
        let echoed = session.run(CreatePipeline::new(vec![Command::new("Return-Arguments").argument(text.as_str())]));
        assert_eq!(echoed[3], EventKind::Output(text.into()));
    }
}

#[test]
fn what_is_piped_in_arrives_in_order() {
    let Some(mut session) = Session::open(113_664) else { return };
    let id = Uuid::new_v4();
    let pipeline = CreatePipeline { no_input: false, ..CreatePipeline::new(vec![Command::new("Input")]) };
    let mut payloads = session.pool.create(id, pipeline).unwrap();
    for number in 0..10 {
        payloads.extend(session.pool.input(id, number.into()).unwrap());
    }
    payloads.extend(session.pool.end_input(id).unwrap());
    assert!(session.pool.input(id, 10.into()).is_err());
    for payload in payloads {
        session.send(Some(id), &payload);
    }
    let events: Vec<_> = session.receive().into_iter().map(|event| event.kind).collect();
    let outputs: Vec<_> =
        events.iter().filter_map(|kind| if let EventKind::Output(value) = kind { value.as_i64() } else { None }).collect();
    assert_eq!(outputs, (0..10).collect::<Vec<_>>());
    assert_eq!(events.last(), Some(&completed()));
}

/// The messages that psrpcore's client sent, read as strictly as a server should.
fn sent(peer: &mut Peer, stream: &mut Defragmenter, request: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    for line in peer.ask(request) {
        let (_, data) = line.split_once(' ').unwrap();
        let (whole, failed) = stream.push(&BASE64.decode(data).unwrap());
        assert_eq!(failed, None);
        messages.extend(whole.iter().map(|bytes| Message::decode(bytes, Limits::default()).unwrap()));
    }
    messages
}

#[test]
fn a_client_of_psrpcore_is_understood_and_understands_what_a_server_says() {
    let Some(mut peer) = Peer::start() else { return };
    let mut stream = Defragmenter::new(FragmentLimits::default()).growing();
    let opening = sent(&mut peer, &mut stream, "client");
    let [
        Message { body: Body::SessionCapability(capability), destination: Destination::Server, pipeline: None, .. },
        Message { body: Body::InitRunspacePool(init), pool, .. },
    ] = &opening[..]
    else {
        panic!("{opening:?}")
    };
    assert_eq!(capability.agreed(), Ok((2, 3)));
    assert_eq!((init.min_runspaces, init.max_runspaces, init.host.no_host), (1, 1, true));
    let pool = *pool;
    let mut fragmenter = Fragmenter::default();
    let mut say = |peer: &mut Peer, pipeline: Option<Uuid>, body: Body| {
        let bytes = Message { destination: Destination::Client, pool, pipeline, body }.encode().unwrap();
        let fragments = fragmenter.fragments(&bytes, 500).unwrap();
        fragments.iter().flat_map(|fragment| peer.ask(&format!("feed {}", BASE64.encode(fragment)))).collect::<Vec<_>>().join("|")
    };
    let capability = Body::SessionCapability(SessionCapability::default());
    assert_eq!(say(&mut peer, None, capability), "SessionCapabilityEvent 2.3 2.0 1.1.0.1");
    let data = Body::ApplicationPrivateData(Value::dictionary([("a", 1)]));
    assert_eq!(say(&mut peer, None, data), "ApplicationPrivateDataEvent {'a': 1}");
    let opened = Body::RunspacePoolState(StateMessage { state: PoolState::Opened, error: None });
    assert_eq!(say(&mut peer, None, opened), "RunspacePoolStateEvent Opened -");
    let created = sent(&mut peer, &mut stream, "invoke");
    let [Message { body: Body::CreatePipeline(pipeline), pipeline: id @ Some(_), .. }] = &created[..] else {
        panic!("{created:?}")
    };
    let [first, second] = &pipeline.statements[..] else { panic!("{pipeline:?}") };
    assert_eq!((first[0].text.as_str(), first[0].is_script), ("Get-Service", false));
    assert_eq!(first[0].get("name").and_then(Value::as_str), Some("RTC\r\nSRV"));
    assert_eq!(first[0].arguments[1].name, None);
    assert_eq!(first[0].arguments[1].value.items(), Some(&[Value::I32(1), Value::Nil][..]));
    assert_eq!((second[0].text.as_str(), second[0].is_script, second[0].use_local_scope), ("$input", true, Some(true)));
    let error = ErrorRecord {
        exception_message: "no\r\nservice".into(),
        details: Some("details".into()),
        fully_qualified_id: "NoService".into(),
        category: Category { number: 13, activity: "Get-Service".into(), reason: "Gone".into(), ..Category::default() },
        target: "RTCSRV".into(),
        position: Some("At line:1".into()),
        script_stack_trace: Some("at <ScriptBlock>".into()),
        ..ErrorRecord::default()
    };
    let shown = "['no\\r\\nservice', 'NoService', 'RTCSRV', 'details', 'ObjectNotFound', 'Get-Service', 'Gone', \
                 'ObjectNotFound: (:) [Get-Service], Gone', 'at <ScriptBlock>', 'At line:1']";
    let record = InformationalRecord { message: "text\r\n".into() };
    let progress = ProgressRecord {
        activity: "Copy".into(),
        activity_id: 3,
        status: "half".into(),
        percent: Some(50),
        seconds_remaining: Some(9),
        ..ProgressRecord::default()
    };
    let information = InformationRecord {
        data: "told".into(),
        source: Some("a.ps1".into()),
        time: Some(jiff::Timestamp::UNIX_EPOCH.into()),
        tags: vec!["T".into()],
        ..InformationRecord::default()
    };
    let call = HostCall { id: 1, method: HostMethod::WRITE_LINE, parameters: vec!["line".into()] };
    let running = StateMessage { state: PipelineState::Running, error: None };
    let failed = StateMessage { state: PipelineState::Failed, error: Some(error.clone()) };
    for (body, understood) in [
        (Body::PipelineState(running), "PipelineStateEvent Running -".to_owned()),
        (Body::PipelineOutput("out\r\n".into()), "PipelineOutputEvent 'out\\r\\n'".into()),
        (Body::PipelineOutput(Value::Nil), "PipelineOutputEvent None".into()),
        (Body::ErrorRecord(error), format!("ErrorRecordEvent {shown}")),
        (Body::Warning(record.clone()), "WarningRecordEvent 'text\\r\\n'".into()),
        (Body::Verbose(record.clone()), "VerboseRecordEvent 'text\\r\\n'".into()),
        (Body::Debug(record), "DebugRecordEvent 'text\\r\\n'".into()),
        (Body::Progress(progress), "ProgressRecordEvent ['Copy', 3, 'half', None, -1, 50, 9]".into()),
        (Body::Information(information), "InformationRecordEvent told a.ps1 ['T']".into()),
        (Body::PipelineHostCall(call), "PipelineHostCallEvent 1 WriteLine2 ['line']".into()),
        (Body::PipelineState(failed), format!("PipelineStateEvent Failed {shown}")),
    ] {
        assert_eq!(say(&mut peer, *id, body), understood);
    }
}
