//! What fuzzers call: everything that is read from the other side, by the layer that reads it. None may panic, hang or take
//! memory without measure, and what was read must be usable.

use hyper::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use relevo::remoting::clixml::{self, Limits, Value};
use relevo::remoting::http::{challenge, sealed};
use relevo::remoting::psrp::{Body, Defragmenter, ErrorRecord, FragmentLimits, Header, Message, Pool, PoolOptions};
use relevo::remoting::wsman::{
    CommandResponse, ConnectResponse, CreateResponse, DeleteResponse, DisconnectResponse, EnumerateResponse, PullResponse,
    ReceiveResponse, ReconnectResponse, SendResponse, SignalResponse, read_identify_response, read_request, read_response,
};
use uuid::Uuid;

/// The id that requests and answers of the seeds have.
pub const ID: Uuid = Uuid::from_u128(7);
const SMALL: FragmentLimits = FragmentLimits { bytes: 100_000, objects: 8 };

/// Cuts the data into payloads; each begins with its length in one byte.
fn payloads(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first()?;
        let (payload, after) = rest.split_at((*length as usize).min(rest.len()));
        data = after;
        Some(payload)
    })
}

/// Fragments, from one payload and from many, as a client, as a server and as one who joins.
pub fn fragments(data: &[u8]) {
    let streams = [Defragmenter::new(SMALL), Defragmenter::new(SMALL).growing(), Defragmenter::new(SMALL).joining()];
    for mut stream in streams {
        let (messages, _) = stream.push(data);
        assert!(messages.iter().map(Vec::len).sum::<usize>() <= data.len());
        for payload in payloads(data) {
            let (messages, _) = stream.push(payload);
            assert!(messages.iter().all(|message| message.len() <= SMALL.bytes));
        }
    }
}

/// A message, whole; what was read can be written, and is read again as it was.
pub fn messages(data: &[u8]) {
    let _ = Header::decode(data);
    let Ok(message) = Message::decode(data, Limits::default()) else { return };
    let Ok(bytes) = message.encode() else { return };
    if let Ok(again) = Message::decode(&bytes, Limits::default()) {
        assert_eq!(again.body.kind(), message.body.kind());
    }
    let _ = Body::decode(message.body.kind().number(), data, Limits::default());
}

/// A client's pool: payloads of the pool and of a pipeline in turn, when it opens and when it takes over.
pub fn client(data: &[u8]) {
    for take_over in [false, true] {
        let options = PoolOptions { fragments: SMALL, ..PoolOptions::default() };
        let mut pool = Pool::new(ID, options);
        let begun = if take_over { pool.connect() } else { pool.open() };
        assert!(begun.is_ok());
        for (place, payload) in payloads(data).enumerate() {
            let _ = pool.adopt(ID);
            let from = (place % 2 == 1).then_some(ID);
            let events = pool.receive(from, payload).map_or(0, |events| events.len());
            assert!(events <= payload.len().max(1));
            let _ = pool.take_outgoing();
        }
    }
}

/// A value; what was read is written, and read again as it was.
pub fn clixml(data: &[u8]) {
    let Ok(value) = clixml::read_bytes(data, Limits::default()) else { return };
    used(&value);
    // Sharing is lost on the way, so that a small text may stand for a large tree.
    let Ok(text) = clixml::write(&value) else { return };
    if let Ok(again) = clixml::read(&text, Limits::default()) {
        assert_eq!(clixml::write(&again).ok(), Some(text));
    }
}

fn used(value: &Value) {
    let _ = (value.to_text(), value.as_duration(), value.as_timestamp(), value.as_i64());
    let record = ErrorRecord::from_value(value);
    let _ = record.message().len();
}

/// An envelope, as a server reads it and as a client does, whatever was asked.
pub fn envelopes(data: &[u8]) {
    let _ = read_request(data);
    let _ = read_identify_response(data);
    let _ = read_response::<CreateResponse>(data, ID);
    let _ = read_response::<CommandResponse>(data, ID);
    let _ = read_response::<SendResponse>(data, ID);
    let _ = read_response::<SignalResponse>(data, ID);
    let _ = read_response::<DeleteResponse>(data, ID);
    let _ = read_response::<DisconnectResponse>(data, ID);
    let _ = read_response::<ReconnectResponse>(data, ID);
    let _ = read_response::<ConnectResponse>(data, ID);
    let _ = read_response::<EnumerateResponse>(data, ID);
    let _ = read_response::<PullResponse>(data, ID);
    if let Ok(received) = read_response::<ReceiveResponse>(data, ID) {
        for command in [None, Some("CD")] {
            let _ = received.output_of(command).map(Iterator::count);
        }
    }
}

/// A sealed message; what was taken apart can be put together.
pub fn sealed(data: &[u8]) {
    let _ = std::str::from_utf8(data).map(sealed::is_sealed);
    if let Ok((length, message)) = sealed::decode(data) {
        assert!(message.signature.len() + message.data.len() <= data.len());
        assert_eq!(sealed::decode(&sealed::encode(sealed::SPNEGO, length, &message)), Ok((length, message)));
    }
}

/// What servers offer: every line is a header of its own.
pub fn challenges(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    let schemes = challenge::offered(&headers);
    assert!(schemes.len() <= data.len());
    for scheme in schemes.iter().map(String::as_str).chain(["Negotiate", "Kerberos"]) {
        let token = challenge::token(&headers, scheme);
        assert!(token.is_some() || !schemes.iter().any(|known| known == scheme));
    }
}
