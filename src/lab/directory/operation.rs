//! One message against one replica: what it is called, what it is about, what comes of it.

use ldap3_proto::control::{LdapControl, ServerSortResult};
use ldap3_proto::proto::{
    LdapBindCred, LdapBindResponse, LdapExtendedResponse, LdapModifyType, LdapMsg, LdapOp, LdapResult, LdapResultCode as Code,
    LdapSearchResultEntry, LdapSearchResultReference, LdapSearchScope,
};
use serde_json::{Value as Json, json};

use super::add::{self, Done};
use super::bind;
use super::controls::{self, Controls};
use super::filter;
use super::ids::Guid;
use super::modify::{self, Writing};
use super::reply::{Answer, Refusal, not_bound, success};
use super::rights::Caller;
use super::search::{self, Door, Pages};
use super::store::Replica;
use super::value::{folded, shown};
use super::{delete, entry, rename};

const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// Attributes whose values never appear in an audit.
const SECRET: &[&str] = &["unicodepwd", "userpassword", "dbcspwd", "supplementalcredentials"];

/// One connection's own state.
#[derive(Debug)]
pub struct Session {
    /// Who has logged on.
    pub caller: Option<Caller>,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Where it came in.
    pub door: Door,
    /// Unfinished searches.
    pub pages: Pages,
}

/// What an operation is called and what it is about, for the audit and for faults.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// `add`, `modify`, `delete`, `modifydn`, `search`, `compare`, `bind`, `extended`.
    pub operation: &'static str,
    /// The name as the client wrote it.
    pub name: String,
    /// What else there is to tell; never a secret.
    pub detail: Json,
}

/// What came of a message.
#[derive(Debug)]
pub struct Outcome {
    /// What is sent.
    pub answers: Vec<LdapMsg>,
    /// The result code.
    pub code: Code,
    /// The object that it was about.
    pub guid: Option<Guid>,
    /// Its name afterwards.
    pub dn: Option<String>,
    /// Whether anything was written.
    pub wrote: bool,
    /// Whether TLS is to begin after the answer.
    pub start_tls: bool,
}

/// What the message is, if it asks for anything.
#[must_use]
pub fn about(operation: &LdapOp) -> Option<About> {
    let values = |name: &str, values: &[Vec<u8>]| -> Json {
        if SECRET.contains(&name.to_ascii_lowercase().as_str()) {
            return json!(["(secret)"]);
        }
        values.iter().map(|value| shown(value)).collect()
    };
    let (operation, name, detail) = match operation {
        LdapOp::BindRequest(bind) => ("bind", bind.dn.clone(), Json::Null),
        LdapOp::SearchRequest(search) => {
            let scope = match search.scope {
                LdapSearchScope::Base => "base",
                LdapSearchScope::OneLevel => "one",
                LdapSearchScope::Subtree | LdapSearchScope::Children => "sub",
            };
            ("search", search.base.clone(), json!({ "scope": scope, "filter": filter::text(&search.filter) }))
        }
        LdapOp::AddRequest(add) => {
            let attributes: serde_json::Map<String, Json> = add
                .attributes
                .iter()
                .map(|attribute| (attribute.atype.clone(), values(&attribute.atype, &attribute.vals)))
                .collect();
            ("add", add.dn.clone(), json!({ "attributes": attributes }))
        }
        LdapOp::ModifyRequest(modify) => {
            let changes: Vec<Json> = modify
                .changes
                .iter()
                .map(|change| {
                    let kind = match change.operation {
                        LdapModifyType::Add => "add",
                        LdapModifyType::Delete => "delete",
                        LdapModifyType::Replace => "replace",
                        LdapModifyType::Increment => "increment",
                    };
                    let name = &change.modification.atype;
                    json!({ kind: name, "values": values(name, &change.modification.vals) })
                })
                .collect();
            ("modify", modify.dn.clone(), json!({ "changes": changes }))
        }
        LdapOp::DelRequest(name) => ("delete", name.clone(), Json::Null),
        LdapOp::ModifyDNRequest(rename) => {
            ("modifydn", rename.dn.clone(), json!({ "rdn": rename.newrdn, "superior": rename.new_superior }))
        }
        LdapOp::CompareRequest(compare) => ("compare", compare.dn.clone(), json!({ "attribute": compare.atype })),
        LdapOp::ExtendedRequest(extended) => ("extended", String::new(), json!({ "oid": extended.name })),
        _ => return None,
    };
    Some(About { operation, name, detail })
}

/// The answer with this result to such a request.
#[must_use]
pub fn answer(request: &LdapOp, result: LdapResult) -> Option<LdapOp> {
    Some(match request {
        LdapOp::BindRequest(_) => LdapOp::BindResponse(LdapBindResponse { res: result, saslcreds: None }),
        LdapOp::SearchRequest(_) => LdapOp::SearchResultDone(result),
        LdapOp::AddRequest(_) => LdapOp::AddResponse(result),
        LdapOp::ModifyRequest(_) => LdapOp::ModifyResponse(result),
        LdapOp::DelRequest(_) => LdapOp::DelResponse(result),
        LdapOp::ModifyDNRequest(_) => LdapOp::ModifyDNResponse(result),
        LdapOp::CompareRequest(_) => LdapOp::CompareResult(result),
        LdapOp::ExtendedRequest(_) => LdapOp::ExtendedResponse(LdapExtendedResponse { res: result, name: None, value: None }),
        _ => return None,
    })
}

/// A refusal of a message, without doing anything.
#[must_use]
pub fn refuse(message: &LdapMsg, refusal: &Refusal) -> Outcome {
    let answers = answer(&message.op, refusal.result()).map(|op| LdapMsg { msgid: message.msgid, op, ctrl: Vec::new() });
    Outcome {
        answers: answers.into_iter().collect(),
        code: refusal.code.clone(),
        guid: None,
        dn: None,
        wrote: false,
        start_tls: false,
    }
}

/// Does what a message asks for.
#[must_use]
pub fn perform(replica: &mut Replica, session: &mut Session, message: &LdapMsg, now: i64) -> Outcome {
    let controls = match controls::read(&message.ctrl) {
        Ok(controls) => controls,
        Err(refusal) => return refuse(message, &refusal),
    };
    let written = match &message.op {
        LdapOp::BindRequest(request) => {
            return log_on(replica, session, message, &request.dn, request.version, &request.cred, now);
        }
        LdapOp::ExtendedRequest(request) => return extended(session, message, &request.name),
        LdapOp::SearchRequest(request) if request.base.is_empty() && request.scope == LdapSearchScope::Base => {
            let attributes = search::root_dse(replica, session.caller.as_ref(), now, &request.attrs);
            let entry = LdapOp::SearchResultEntry(LdapSearchResultEntry { dn: String::new(), attributes });
            return answered(message, vec![entry, LdapOp::SearchResultDone(success())], Code::Success);
        }
        LdapOp::SearchRequest(request) => {
            let Some(caller) = session.caller.clone() else { return refuse(message, &not_bound()) };
            return match search::search(replica, &caller, request, &controls, session.door, &mut session.pages) {
                Ok(found) => give(message, found, &controls),
                Err(refusal) => refuse(message, &refusal),
            };
        }
        LdapOp::CompareRequest(request) => {
            let Some(caller) = &session.caller else { return refuse(message, &not_bound()) };
            return match compare(replica, caller, &request.dn, &request.atype, &request.val, &controls) {
                Ok(same) => {
                    let code = if same { Code::CompareTrue } else { Code::CompareFalse };
                    let result = LdapResult { code: code.clone(), ..success() };
                    answered(message, vec![LdapOp::CompareResult(result)], code)
                }
                Err(refusal) => refuse(message, &refusal),
            };
        }
        write => {
            let Some(caller) = &session.caller else { return refuse(message, &not_bound()) };
            let writing = &mut Writing { replica, caller, now, tls: session.tls };
            match write {
                LdapOp::AddRequest(request) => add::add(writing, request),
                LdapOp::ModifyRequest(request) => modify::modify(writing, request, &controls),
                LdapOp::DelRequest(name) => delete::delete(writing, name, &controls),
                LdapOp::ModifyDNRequest(request) => rename::rename(writing, request, &controls),
                _ => Err(Refusal::new(Code::ProtocolError, "this is no request")),
            }
        }
    };
    match written {
        Ok(Done { guid, dn }) => {
            let op = answer(&message.op, success());
            let mut outcome = answered(message, op.into_iter().collect(), Code::Success);
            (outcome.guid, outcome.dn, outcome.wrote) = (Some(guid), Some(dn), true);
            outcome
        }
        Err(refusal) => refuse(message, &refusal),
    }
}

fn answered(message: &LdapMsg, answers: Vec<LdapOp>, code: Code) -> Outcome {
    let answers = answers.into_iter().map(|op| LdapMsg { msgid: message.msgid, op, ctrl: Vec::new() }).collect();
    Outcome { answers, code, guid: None, dn: None, wrote: false, start_tls: false }
}

fn give(message: &LdapMsg, found: search::Found, controls: &Controls) -> Outcome {
    let mut answers: Vec<LdapOp> = found.entries.into_iter().map(LdapOp::SearchResultEntry).collect();
    answers.extend(
        found.references.into_iter().map(|uri| LdapOp::SearchResultReference(LdapSearchResultReference { uris: vec![uri] })),
    );
    answers.push(LdapOp::SearchResultDone(LdapResult { code: found.code.clone(), ..success() }));
    let mut outcome = answered(message, answers, found.code);
    outcome.guid = Some(found.base);
    if let Some(last) = outcome.answers.last_mut() {
        if let Some(cookie) = found.cookie {
            last.ctrl.push(LdapControl::SimplePagedResults { size: 0, cookie });
        }
        if controls.sort.is_some() {
            let sort_result = ServerSortResult { result_code: Code::Success, attribute_type: None };
            last.ctrl.push(LdapControl::ServerSortResult { sort_result });
        }
    }
    outcome
}

fn compare(replica: &Replica, caller: &Caller, name: &str, attribute: &str, wanted: &[u8], controls: &Controls) -> Answer<bool> {
    let object = search::resolve(replica, caller, name, controls.show_deleted)?;
    let known = super::schema::find(attribute).filter(|known| !known.is(super::schema::Trait::Hidden));
    let known = known.ok_or_else(|| super::reply::no_such_attribute(attribute, "it is not in the schema"))?;
    let values = entry::raw(replica, object, known);
    if values.is_empty() {
        return Err(super::reply::no_such_attribute(attribute, "the object has none"));
    }
    Ok(values.iter().any(|value| match value {
        super::value::Value::Bytes(bytes) => filter::same(known, bytes, wanted),
        super::value::Value::Object(guid) => std::str::from_utf8(wanted)
            .is_ok_and(|text| folded(&entry::name(replica, *guid, entry::Names::Plain)) == folded(text)),
    }))
}

fn log_on(
    replica: &mut Replica,
    session: &mut Session,
    message: &LdapMsg,
    name: &str,
    version: i64,
    credentials: &LdapBindCred,
    now: i64,
) -> Outcome {
    // A bind that fails leaves nobody logged on (RFC 4511 4.2.1).
    session.caller = None;
    if !(2..=3).contains(&version) {
        return refuse(message, &Refusal::new(Code::ProtocolError, "only versions 2 and 3 are known"));
    }
    let LdapBindCred::Simple(password) = credentials else {
        return refuse(message, &Refusal::new(Code::AuthMethodNotSupported, "the lab takes a name and a password only"));
    };
    if name.is_empty() && password.is_empty() {
        let op = answer(&message.op, success());
        return answered(message, op.into_iter().collect(), Code::Success);
    }
    if !session.tls {
        let text = "00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking if SSL\\TLS \
are not already active on the connection, data 0, v3839";
        return refuse(message, &Refusal::new(Code::StrongerAuthRequired, text));
    }
    let (answer_to, wrote) = bind::bind(replica, name, password, now);
    let mut outcome = match answer_to {
        Ok(caller) => {
            let op = answer(&message.op, success());
            let mut outcome = answered(message, op.into_iter().collect(), Code::Success);
            outcome.guid = Some(caller.account);
            session.caller = Some(caller);
            outcome
        }
        Err(refusal) => refuse(message, &refusal),
    };
    outcome.wrote = wrote;
    outcome
}

fn extended(session: &Session, message: &LdapMsg, oid: &str) -> Outcome {
    let response = |res: LdapResult, name: Option<String>, value: Option<Vec<u8>>| {
        let code = res.code.clone();
        answered(message, vec![LdapOp::ExtendedResponse(LdapExtendedResponse { res, name, value })], code)
    };
    match oid {
        START_TLS if session.tls => refuse(message, &Refusal::new(Code::OperationsError, "TLS is in use already")),
        START_TLS => {
            let mut outcome = response(success(), Some(START_TLS.to_owned()), None);
            outcome.start_tls = true;
            outcome
        }
        WHO_AM_I => {
            let who = session.caller.as_ref().map_or_else(String::new, |caller| format!("u:{}", caller.name));
            response(success(), None, Some(who.into_bytes()))
        }
        _ => {
            let text = format!("0000203D: LdapErr: DSID-0C090F58, comment: Unknown extended request OID {oid}, data 0, v3839");
            refuse(message, &Refusal::new(Code::ProtocolError, text))
        }
    }
}
