//! Every message there and back, and envelopes as Windows writes them.
use std::time::Duration;

use uuid::Uuid;

use super::*;

fn header() -> Header {
    let mut header = Header::new("https://fe01:443/OcsPowerShell".to_owned(), names::configuration("Microsoft.PowerShell"));
    header.shell_id = Some("2A1D-\"<&'\u{1f600}".to_owned());
    header.session_id = Some(Uuid::new_v4());
    header
}

/// The request as a server reads it.
fn sent<R: Request>(header: &Header, body: &R) -> Operation {
    let (read, operation) = read_request(request(header, body).as_bytes()).unwrap();
    let mut expected = header.clone();
    expected.options = body.options();
    assert_eq!(read.unwrap(), expected);
    operation
}

/// The response as a client reads it.
fn answered<B: Body + PartialEq + std::fmt::Debug>(body: B) {
    let id = Uuid::new_v4();
    assert_eq!(read_response::<B>(response(Some(id), &body).as_bytes(), id).unwrap(), body);
}

#[test]
fn every_request_is_read_as_it_was_written() {
    let header = header();
    let create = Create {
        shell_id: Some("AB".to_owned()),
        name: Some("relevo: step `x`".to_owned()),
        input_streams: "stdin pr".to_owned(),
        output_streams: "stdout".to_owned(),
        idle_timeout: Some(Duration::from_mins(4)),
        creation: vec![0, 255, 7],
        protocol_version: Some("2.3".to_owned()),
    };
    assert_eq!(sent(&header, &create), Operation::Create(create));
    let command = Command { command_id: Some("CD".to_owned()), arguments: vec![1; 100] };
    assert_eq!(sent(&header, &command), Operation::Command(command));
    let send = Send { stream: "pr".to_owned(), command_id: None, data: vec![2; 5] };
    assert_eq!(sent(&header, &send), Operation::Send(send));
    for receive in [Receive::stdout(None), Receive::stdout(Some("CD"))] {
        assert_eq!(sent(&header, &receive), Operation::Receive(receive));
    }
    for code in [SignalCode::Terminate, SignalCode::Stop, SignalCode::Other("x:y".to_owned())] {
        let signal = Signal { command_id: Some("CD".to_owned()), code };
        assert_eq!(sent(&header, &signal), Operation::Signal(signal));
    }
    assert_eq!(sent(&header, &Delete), Operation::Delete);
    let disconnect = Disconnect { idle_timeout: Some(Duration::from_mins(1)), drop_output: true };
    assert_eq!(sent(&header, &disconnect), Operation::Disconnect(disconnect));
    assert_eq!(sent(&header, &Reconnect), Operation::Reconnect);
    let enumerate = Enumerate { max_elements: 32_000 };
    assert_eq!(sent(&header, &enumerate), Operation::Enumerate(enumerate));
    let pull = Pull { context: "uuid:1".to_owned(), max_elements: 9 };
    assert_eq!(sent(&header, &pull), Operation::Pull(pull));
    assert_eq!(read_request(Identify::envelope().as_bytes()), Ok((None, Operation::Identify)));
}

#[test]
fn every_response_is_read_as_it_was_written() {
    answered(CreateResponse {
        shell_id: "AB".to_owned(),
        resource: names::configuration("x"),
        owner: Some("LAB\\admin".to_owned()),
        idle_timeout: Some(Duration::from_hours(2)),
    });
    answered(CommandResponse { command_id: "CD".to_owned() });
    answered(SendResponse);
    answered(SignalResponse);
    answered(DeleteResponse);
    answered(DisconnectResponse);
    answered(ReconnectResponse);
    let chunk =
        |command: Option<&str>| Chunk { stream: "stdout".to_owned(), command_id: command.map(str::to_owned), data: vec![9; 30] };
    answered(ReceiveResponse { chunks: vec![chunk(None)], done: false, exit_code: None });
    answered(ReceiveResponse { chunks: vec![chunk(Some("CD")), chunk(Some("CD"))], done: true, exit_code: Some(-1) });
    answered(ReceiveResponse::default());
    let shell = ShellInfo { shell_id: "AB".to_owned(), state: Some("Connected".to_owned()), ..ShellInfo::default() };
    answered(EnumerateResponse { shells: vec![shell.clone()], context: None });
    answered(EnumerateResponse { shells: vec![], context: Some("uuid:1".to_owned()) });
    answered(PullResponse { shells: vec![shell], context: None });
    let identity = IdentifyResponse {
        protocol: names::WSMAN.to_owned(),
        vendor: "Microsoft Corporation".to_owned(),
        version: "OS: 10.0.17763 SP: 0.0 Stack: 3.0".to_owned(),
    };
    assert_eq!(read_identify_response(response(None, &identity).as_bytes()), Ok(identity));
}

#[test]
fn a_response_to_another_request_is_not_taken() {
    let text = response(Some(Uuid::new_v4()), &DeleteResponse);
    assert!(matches!(read_response::<DeleteResponse>(text.as_bytes(), Uuid::new_v4()), Err(NoResponse::Malformed(_))));
    let fault = Fault::new(5, "AccessDenied", "no").envelope(Some(Uuid::new_v4()));
    assert!(matches!(read_response::<DeleteResponse>(fault.as_bytes(), Uuid::new_v4()), Err(NoResponse::Malformed(_))));
}

#[test]
fn ids_are_compared_without_case() {
    let id = Uuid::new_v4();
    let text = response(Some(id), &SendResponse);
    let lower = text.replace(&format!("uuid:{}", id.to_string().to_uppercase()), &format!("uuid:{id}"));
    assert_ne!(text, lower);
    assert_eq!(read_response::<SendResponse>(lower.as_bytes(), id), Ok(SendResponse));
}

#[test]
fn a_fault_of_windows_is_read_with_its_number_and_the_plug_ins_words() {
    let text = r#"<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"
        xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd">
        <s:Header><a:Action>http://schemas.dmtf.org/wbem/wsman/1/wsman/fault</a:Action></s:Header>
        <s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:InternalError</s:Value></s:Subcode></s:Code>
        <s:Reason><s:Text xml:lang="en-US">The operation failed.</s:Text></s:Reason>
        <s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="995" Machine="fe01">
        <f:Message><f:ProviderFault provider="microsoft.powershell" path="C:\Windows\system32\pwrshplugin.dll">The I/O
        operation was aborted.</f:ProviderFault></f:Message></f:WSManFault></s:Detail></s:Fault></s:Body></s:Envelope>"#;
    let Err(NoResponse::Fault(fault)) = read_response::<SendResponse>(text.as_bytes(), Uuid::new_v4()) else {
        panic!("it is a fault");
    };
    assert_eq!((fault.code.as_str(), fault.subcode.as_deref(), fault.wsman_code), ("Receiver", Some("InternalError"), Some(995)));
    assert_eq!(fault.message, "The operation failed.");
    assert!(fault.provider_fault.as_deref().unwrap().starts_with("The I/O"));
    assert_eq!(fault.kind(), FaultKind::Other);
}

#[test]
fn the_faults_that_mean_something_are_known_by_number_or_by_subcode() {
    for (number, subcode, kind) in [
        (Some(2_150_858_793), None, FaultKind::TimedOut),
        (None, Some("TimedOut"), FaultKind::TimedOut),
        (Some(2_150_858_843), Some("InvalidSelectors"), FaultKind::ShellNotFound),
        (Some(2_150_859_173), None, FaultKind::Quota),
        (Some(5), Some("AccessDenied"), FaultKind::AccessDenied),
        (Some(2_150_858_754), Some("ActionNotSupported"), FaultKind::Unsupported),
        (Some(2_150_858_771), None, FaultKind::Unsupported),
        (Some(2_150_859_205), None, FaultKind::Unsupported),
        (None, Some("ActionNotSupported"), FaultKind::Unsupported),
        (Some(2_150_859_204), None, FaultKind::Disconnected),
        // The number is exact, and says something else.
        (Some(995), Some("TimedOut"), FaultKind::Other),
    ] {
        let fault = Fault { wsman_code: number, subcode: subcode.map(str::to_owned), ..Fault::default() };
        assert_eq!(fault.kind(), kind, "{fault:?}");
        let id = Uuid::new_v4();
        if number.is_some() {
            let Err(NoResponse::Fault(read)) = read_response::<SendResponse>(fault.envelope(Some(id)).as_bytes(), id) else {
                panic!("it is a fault");
            };
            assert_eq!(read.kind(), kind);
        }
    }
}

#[test]
fn the_room_in_an_envelope_is_used_up_and_not_exceeded() {
    let header = header();
    let mut send = Send { stream: "stdin".to_owned(), command_id: Some(Uuid::new_v4().to_string()), data: Vec::new() };
    let room = room(&header, &send);
    send.data = vec![0; room];
    let most = usize::try_from(MAX_ENVELOPE_SIZE).unwrap();
    let size = request(&header, &send).len();
    assert!(size <= most && size > most - 8, "{size}");
    assert!((110_000..115_200).contains(&room), "{room}");
}

#[test]
fn garbage_is_no_envelope() {
    for text in ["", "x", "<a/>", "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"/>", "\u{feff}<a/>"] {
        assert!(matches!(read_response::<SendResponse>(text.as_bytes(), Uuid::nil()), Err(NoResponse::Malformed(_))), "{text}");
        assert!(read_request(text.as_bytes()).is_err(), "{text}");
    }
    assert!(read_request(b"\xff\xfe").is_err());
}

#[test]
fn every_cut_of_an_envelope_is_refused_without_a_panic() {
    let id = Uuid::new_v4();
    let text = response(Some(id), &CommandResponse { command_id: "CD".to_owned() });
    for end in 0..text.len() {
        assert!(read_response::<CommandResponse>(&text.as_bytes()[..end], id).is_err(), "cut at {end}");
    }
}

#[test]
fn an_enumeration_without_an_end_or_a_context_is_not_taken_for_all() {
    let id = Uuid::new_v4();
    let text = response(Some(id), &EnumerateResponse::default()).replace("<w:EndOfSequence/>", "");
    assert!(matches!(read_response::<EnumerateResponse>(text.as_bytes(), id), Err(NoResponse::Malformed(_))));
}
