//! Rules of the protocols that clients break: each is answered, written down, and harms nobody else.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use relevo::remoting::client::{CallError, Service};
use relevo::remoting::clixml::Value;
use relevo::remoting::http::Client;
use relevo::remoting::psrp::{
    Body, Command as Cmdlet, CreatePipeline, Destination, Fragmenter, InitRunspacePool, Message, MessageType, SessionCapability,
};
use relevo::remoting::wsman::{
    Command, Create, CreateResponse, Receive, Send, Signal, SignalCode, names, read_response, request,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::hosts::{basic, endpoint, is_well, lines, opened, port, run, service, shells, state, usual};
use crate::lab_support::Lab;

/// A client that may break rules.
struct Rude {
    service: Service,
    pool: Uuid,
    fragmenter: Fragmenter,
}

impl Rude {
    fn new(lab: &Lab) -> Self {
        let pool = Uuid::new_v4();
        Rude { service: service(usual(lab, "gc01")), pool, fragmenter: Fragmenter::default() }
    }

    fn bytes(&mut self, pipeline: Option<Uuid>, body: Body) -> Vec<u8> {
        let message = Message { destination: Destination::Server, pool: self.pool, pipeline, body };
        self.fragmenter.fragments(&message.encode().unwrap(), 30_000).unwrap().concat()
    }

    fn capability(&mut self) -> Vec<u8> {
        self.bytes(None, Body::SessionCapability(SessionCapability::default()))
    }

    fn init(&mut self) -> Vec<u8> {
        self.bytes(None, Body::InitRunspacePool(InitRunspacePool::default()))
    }

    fn creation(&self, bytes: Vec<u8>) -> Create {
        Create {
            shell_id: Some(self.pool.to_string().to_uppercase()),
            input_streams: "stdin pr".to_owned(),
            output_streams: "stdout".to_owned(),
            creation: bytes,
            protocol_version: Some("2.3".to_owned()),
            ..Create::default()
        }
    }

    /// Opens the pool as one should.
    async fn open(lab: &Lab) -> Self {
        let mut rude = Rude::new(lab);
        let bytes = [rude.capability(), rude.init()].concat();
        let create = rude.creation(bytes);
        rude.service.shell_id = Some(rude.service.call(&create).await.unwrap().shell_id);
        rude
    }

    async fn command(&mut self, id: Uuid, bytes: Vec<u8>) -> Result<(), CallError> {
        let command = Command { command_id: Some(id.to_string()), arguments: bytes };
        self.service.call(&command).await.map(drop)
    }

    fn pipeline(&mut self, id: Uuid) -> Vec<u8> {
        self.bytes(Some(id), Body::CreatePipeline(Box::new(CreatePipeline::new(vec![Cmdlet::new("Get-Service")]))))
    }
}

#[track_caller]
fn has_code<T: std::fmt::Debug>(result: Result<T, CallError>, code: u32) {
    match result {
        Err(CallError::Fault(fault)) => assert_eq!(fault.wsman_code, Some(code), "{fault}"),
        other => panic!("no fault {code}: {other:?}"),
    }
}

const PLUGIN: u32 = 2_152_991_672;

/// What a client sends to open its pool.
type Make<'a> = &'a dyn Fn(&mut Rude) -> Vec<u8>;

#[tokio::test]
async fn a_pool_that_is_not_opened_by_the_rules_is_none() {
    let lab = Lab::new();
    let old = SessionCapability { protocol: "3.0".to_owned(), ..SessionCapability::default() };
    let other = |body: Body| Message { destination: Destination::Server, pool: Uuid::new_v4(), pipeline: None, body };
    let cases: [(&str, Make<'_>); 11] = [
        ("nothing at all", &|_| Vec::new()),
        ("init before capability", &|rude| [rude.init(), rude.capability()].concat()),
        ("capability twice", &|rude| [rude.capability(), rude.capability()].concat()),
        ("version 3.0", &|rude| rude.bytes(None, Body::SessionCapability(old.clone()))),
        ("a pool that is not the shell", &|_| {
            let message = other(Body::SessionCapability(SessionCapability::default())).encode().unwrap();
            Fragmenter::default().fragments(&message, 30_000).unwrap().concat()
        }),
        ("another pool in the second message", &|rude| {
            let first = rude.capability();
            rude.pool = Uuid::new_v4();
            [first, rude.init()].concat()
        }),
        ("object 0", &|rude| {
            let mut bytes = rude.capability();
            bytes[7] = 0;
            bytes
        }),
        ("a number twice", &|rude| {
            let first = rude.capability();
            rude.fragmenter = Fragmenter::default();
            [first, rude.init()].concat()
        }),
        ("a message of a server", &|rude| {
            [rude.capability(), rude.init(), rude.bytes(None, Body::ApplicationPrivateData(Value::Nil))].concat()
        }),
        ("half a fragment", &|rude| {
            let mut bytes = rude.capability();
            bytes.truncate(100);
            bytes
        }),
        ("a pipeline in the pool's stream", &|rude| {
            let id = Uuid::new_v4();
            [rude.capability(), rude.init(), rude.pipeline(id)].concat()
        }),
    ];
    let count = cases.len();
    for (what, make) in cases {
        let mut rude = Rude::new(&lab);
        let bytes = make(&mut rude);
        let create = rude.creation(bytes);
        match rude.service.call(&create).await {
            Err(CallError::Fault(fault)) => assert_eq!(fault.wsman_code, Some(PLUGIN), "{what}: {fault}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!(shells(&lab, "gc01"), 0);
    // Nothing at all is no violation of PSRP.
    assert_eq!(lines(&lab, "violation").len(), count - 1);
    is_well(&lab);
}

#[tokio::test]
async fn a_create_that_asks_for_something_else_is_refused_with_its_own_fault() {
    let lab = Lab::new();
    let mut rude = Rude::new(&lab);
    let bytes = [rude.capability(), rude.init()].concat();
    let good = rude.creation(bytes);
    has_code(rude.service.call(&Create { protocol_version: Some("3.0".to_owned()), ..good.clone() }).await, 2_152_992_672);
    has_code(rude.service.call(&Create { input_streams: "stdin".to_owned(), ..good.clone() }).await, 87);
    has_code(rude.service.call(&Create { shell_id: Some("mine".to_owned()), ..good.clone() }).await, 87);
    for resource in [names::configuration("Other.Configuration"), format!("{}/cmd", names::SHELL)] {
        let mut other = rude.service.another();
        other.resource = resource;
        has_code(other.call(&good).await, 2_150_858_811);
    }
    rude.service.call(&good).await.unwrap();
    has_code(rude.service.call(&good).await, 183);
    assert_eq!(shells(&lab, "gc01"), 1);
}

#[tokio::test]
async fn a_pipeline_against_the_rules_is_refused_and_the_pool_breaks() {
    let lab = Lab::new();
    // Before the pool is open.
    let mut rude = Rude::new(&lab);
    let bytes = rude.capability();
    let create = rude.creation(bytes);
    rude.service.shell_id = Some(rude.service.call(&create).await.unwrap().shell_id);
    let id = Uuid::new_v4();
    let bytes = rude.pipeline(id);
    has_code(rude.command(id, bytes).await, PLUGIN);
    // The pipeline of another command; afterwards the pool says that it is broken, and takes nothing more.
    let mut rude = Rude::open(&lab).await;
    let bytes = rude.pipeline(Uuid::new_v4());
    has_code(rude.command(Uuid::new_v4(), bytes).await, PLUGIN);
    let said = rude.service.call(&Receive::stdout(None)).await.unwrap();
    let text: Vec<u8> = said.chunks.iter().flat_map(|chunk| chunk.data.clone()).collect();
    assert!(String::from_utf8_lossy(&text).contains("<I32 N=\"RunspaceState\">5</I32>"));
    let id = Uuid::new_v4();
    let bytes = rude.pipeline(id);
    has_code(rude.command(id, bytes).await, PLUGIN);
    // An id twice, an object's number twice, an unknown type, no CLIXML.
    let mut rude = Rude::open(&lab).await;
    let id = Uuid::new_v4();
    let bytes = rude.pipeline(id);
    rude.command(id, bytes.clone()).await.unwrap();
    let again = rude.pipeline(id);
    has_code(rude.command(id, again).await, 183);
    has_code(rude.command(Uuid::new_v4(), bytes).await, PLUGIN);
    for garbage in ["<Obj", "", "<S>x</S>", "<Obj><MS/></Obj>"] {
        let mut rude = Rude::open(&lab).await;
        let id = Uuid::new_v4();
        let mut bytes = rude.pipeline(id);
        bytes.truncate(21 + 40);
        bytes.extend(garbage.as_bytes());
        let length = u32::try_from(40 + garbage.len()).unwrap();
        bytes[17..21].copy_from_slice(&length.to_be_bytes());
        has_code(rude.command(id, bytes).await, PLUGIN);
    }
    assert_eq!(lines(&lab, "Get-Service").len(), 1);
    assert_eq!(lines(&lab, "violation").len(), 9);
    is_well(&lab);
}

#[tokio::test]
async fn what_is_not_there_is_answered_so() {
    let lab = Lab::new();
    let mut rude = Rude::open(&lab).await;
    let nobody = Some(Uuid::new_v4().to_string());
    has_code(rude.service.call(&Receive::stdout(nobody.as_deref())).await, 87);
    has_code(rude.service.call(&Signal { command_id: nobody.clone(), code: SignalCode::Terminate }).await, 87);
    has_code(rude.service.call(&Send { stream: "stdin".to_owned(), command_id: nobody, data: Vec::new() }).await, 87);
    has_code(rude.service.call(&Send { stream: "stdout".to_owned(), command_id: None, data: Vec::new() }).await, 87);
    has_code(rude.service.call(&Receive { streams: "stderr".to_owned(), command_id: None }).await, 87);
    let mut other = rude.service.another();
    other.resource = names::configuration("Other");
    has_code(other.call(&Receive::stdout(None)).await, 2_150_858_811);
    other.shell_id = Some("nobody's".to_owned());
    has_code(other.call(&Receive::stdout(None)).await, 2_150_858_843);
}

#[tokio::test]
async fn runspaces_are_counted_when_a_client_asks() {
    let lab = Lab::new();
    let mut rude = Rude::open(&lab).await;
    let asked = Body::Other(MessageType::GetAvailableRunspaces, Value::object([("ci", Value::I64(7))]));
    let data = rude.bytes(None, asked);
    rude.service.call(&Send { stream: "stdin".to_owned(), command_id: None, data }).await.unwrap();
    let said = rude.service.call(&Receive::stdout(None)).await.unwrap();
    let text: Vec<u8> = said.chunks.iter().flat_map(|chunk| chunk.data.clone()).collect();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("<I64 N=\"SetMinMaxRunspacesResponse\">1</I64><I64 N=\"ci\">7</I64>"), "{text}");
}

#[tokio::test]
async fn garbage_at_the_ports_harms_nobody() {
    let lab = Lab::new();
    let http = port(&lab, "gc01", "http");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let many = format!("POST /wsman HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(50_000));
    let large = format!("POST /wsman HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{}", "z".repeat(2_000_000));
    let token = "POST /wsman HTTP/1.1\r\nHost: x\r\nAuthorization: Negotiate %%%\r\nContent-Length: 0\r\n\r\n".to_owned();
    let short =
        "POST /wsman HTTP/1.1\r\nHost: x\r\nAuthorization: Negotiate TlRMTVNTUAADAAAA\r\nContent-Length: 0\r\n\r\n".to_owned();
    let other = "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned();
    let binary = "\u{16}\u{3}\u{1}\0\u{ff}".repeat(1000);
    for (which, number) in [("http", http), ("https", port(&lab, "gc01", "https"))] {
        for (index, text) in [&long, &many, &large, &token, &short, &other, &binary].into_iter().enumerate() {
            let mut stream = TcpStream::connect(("127.0.0.1", number)).await.unwrap();
            // The server may close before it has read everything.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
            assert!(read.is_ok(), "{which} {index}: no end");
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.starts_with("HTTP/1.1 200"), "{which} {index}: {text}");
        }
    }
    let mut shell = opened(usual(&lab, "gc01")).await;
    state(&run(&mut shell, Cmdlet::new("Get-Service")).await.1);
    is_well(&lab);
}

#[test]
fn envelopes_and_fragments_that_make_no_sense_are_answered_by_faults() {
    let lab = Lab::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = endpoint(&lab, "gc01", true, basic(&lab, "svc-mig@contoso.lan", "svc-mig"));
    let client = std::cell::RefCell::new(Client::new(endpoint.clone()));
    let mut rude = Rude::new(&lab);
    let good = {
        let bytes = [rude.capability(), rude.init()].concat();
        request(&rude.service.header(), &rude.creation(bytes))
    };
    let creation = [rude.capability(), rude.init()].concat();
    let cut = |text: &str, at: usize| text.chars().take(at).collect::<String>();
    let length = good.len();
    let envelopes = prop_oneof![
        // Nothing at all is a logon without a question, and answered so.
        "\\PC{1,200}",
        (1..length).prop_map({
            let good = good.clone();
            move |at| cut(&good, at)
        }),
        (0..length, "[<>&\"a-z0-9]{1,8}").prop_map({
            let good = good.clone();
            move |(at, text)| format!("{}{text}{}", &good[..at], &good[at..])
        }),
        (0..creation.len(), any::<u8>()).prop_map({
            let (service, creation) = (rude.service.header(), creation.clone());
            let create = rude.creation(Vec::new());
            move |(at, byte)| {
                let mut bytes = creation.clone();
                bytes[at] = byte;
                let id = Some(Uuid::new_v4().to_string());
                request(&service, &Create { creation: bytes, shell_id: id, ..create.clone() })
            }
        }),
    ];
    let mut runner =
        TestRunner::new(Config { cases: 400, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    runner
        .run(&envelopes, |envelope| {
            // Fewer open shells than are allowed: those that made sense after all are removed.
            let answer = runtime.block_on(client.borrow_mut().post(&envelope, Duration::from_secs(10)));
            let answer = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(matches!(answer.status, 200 | 500), "{}", answer.status);
            if answer.status == 200 {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let id = text.split("Name=\"ShellId\">").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
                let mut service = service(endpoint.clone());
                service.shell_id = id;
                let _ = runtime.block_on(service.call(&relevo::remoting::wsman::Delete));
            }
            Ok(())
        })
        .unwrap();
    // The good one is good: the faults were not for another reason.
    let mut fresh = Rude::new(&lab);
    let bytes = [fresh.capability(), fresh.init()].concat();
    let header = fresh.service.header();
    let envelope = request(&header, &fresh.creation(bytes));
    let answer = runtime.block_on(client.borrow_mut().post(&envelope, Duration::from_secs(10))).unwrap();
    read_response::<CreateResponse>(&answer.body, header.message_id).unwrap();
    is_well(&lab);
}
