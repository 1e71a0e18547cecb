//! The shells of one host, and what may be asked of them ([MS-WSMV] section 3.1.4, [MS-PSRP] section 3.1.5.3).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::http::Caller;
use super::pipeline::{self, Work};
use super::refusal;
use super::shell::{Fate, Shell, command_id};
use crate::lab::audit::Line;
use crate::lab::directory::well_known::NETBIOS;
use crate::lab::fault::Effect;
use crate::lab::serve::Lab;
use crate::remoting::psrp::CreatePipeline;
use crate::remoting::wsman::{
    Command, CommandResponse, Create, CreateResponse, DeleteResponse, DisconnectResponse, EnumerateResponse, Fault, Header,
    IdentifyResponse, Operation, PullResponse, ReceiveResponse, ReconnectResponse, Send, SendResponse, ShellInfo, SignalResponse,
    names, read_request, response,
};

/// The largest envelope that the service takes and sends, in bytes (`MaxEnvelopeSizekb`, since version 3.0 of the stack).
pub const MAX_ENVELOPE: usize = 512_000;
/// The smallest that a client may ask for (WS-Management section 6.2).
const MIN_ENVELOPE: u32 = 8192;
/// What an answer needs besides its streams.
const AROUND: usize = 2048;
/// The largest fragment that PowerShell sends.
const MAX_FRAGMENT: usize = 32 * 1024;
/// Shells that one account may have at once on one host.
const MAX_SHELLS: usize = 100;
/// How long a shell lives without a client, unless the client says so.
const IDLE: Duration = Duration::from_hours(2);
/// No answer is waited for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Who may use shells of Windows: local administrators of every host.
fn is_administrator(account: &str) -> bool {
    ["Administrator", "svc-mig"].iter().any(|name| is_account(account, name))
}

fn is_account(account: &str, name: &str) -> bool {
    account.split_once('\\').is_some_and(|(domain, user)| domain == NETBIOS && user == name)
}

/// An answer of the service.
#[derive(Debug)]
pub struct Reply {
    /// 200, or 500 for a fault.
    pub status: u16,
    /// The envelope.
    pub envelope: String,
    /// What becomes of it.
    pub fate: Fate,
}

impl Reply {
    fn lost() -> Self {
        Reply { status: 500, envelope: String::new(), fate: Fate::Lost }
    }
}

/// A host with its shells. They go with the process, as they go with a real host's service.
#[derive(Debug)]
pub struct Host {
    /// The host's name.
    pub name: String,
    /// What of it answers here.
    pub endpoint: Endpoint,
    shells: Mutex<BTreeMap<String, Arc<Shell>>>,
}

/// What may be reached on a host by PowerShell remoting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Windows itself, at `/wsman`.
    Windows,
    /// Lync, at `/OcsPowerShell`.
    Lync,
}

impl Endpoint {
    /// Its path in URLs.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Windows => "/wsman",
            Endpoint::Lync => "/OcsPowerShell",
        }
    }
}

/// One call.
struct Call<'a> {
    lab: &'a Arc<Lab>,
    host: &'a Arc<Host>,
    caller: &'a Caller,
    header: &'a Header,
    /// Whatever the shell said, the answer may be lost for a pipeline's sake.
    fate: Fate,
}

impl Host {
    /// A host without shells.
    #[must_use]
    pub fn new(name: &str, endpoint: Endpoint) -> Self {
        Host { name: name.to_owned(), endpoint, shells: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Shell>>> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many shells there are.
    #[must_use]
    pub fn shells(&self) -> usize {
        self.all().len()
    }

    /// Ends all shells at once, without a word.
    pub fn lose_all(&self) {
        let shells = std::mem::take(&mut *self.all());
        for shell in shells.values() {
            shell.lose();
        }
    }

    /// Answers an envelope. The caller is nobody for a question that needs no logon.
    pub async fn answer(self: &Arc<Self>, lab: &Arc<Lab>, caller: &Caller, bytes: &[u8]) -> Reply {
        let (header, operation) = match read_request(bytes) {
            Ok((Some(header), operation)) => (header, operation),
            Ok((None, _)) => return Reply { status: 200, envelope: response(None, &identity()), fate: Fate::Sent },
            Err(error) => {
                return Reply { status: 500, envelope: refusal::schema(&error.to_string()).envelope(None), fate: Fate::Sent };
            }
        };
        let effects = lab.written(lab.world().meet_call(&self.name, call_name(&operation))).unwrap_or_default();
        for effect in &effects {
            match effect {
                Effect::Delay(span) => tokio::time::sleep(span.to_std()).await,
                Effect::RequestLost => return Reply::lost(),
                _ => {}
            }
        }
        let refused = effects.iter().find_map(|effect| match effect {
            Effect::Refuse(code) => Some(Fault::new(*code, "InternalError", "Refused because the lab was asked to.")),
            _ => None,
        });
        let mut call = Call { lab, host: self, caller, header: &header, fate: Fate::Sent };
        let done = match refused {
            Some(fault) => Err(fault),
            None => call.perform(operation).await,
        };
        let mut fate = call.fate;
        for effect in &effects {
            match effect {
                Effect::AnswerLate(span) => tokio::time::sleep(span.to_std()).await,
                Effect::AnswerLost => fate = Fate::Lost,
                Effect::AnswerCut => fate = Fate::Cut,
                Effect::AnswerGarbled => fate = Fate::Garbled,
                _ => {}
            }
        }
        match done {
            Ok(envelope) => Reply { status: 200, envelope, fate },
            Err(fault) => Reply { status: 500, envelope: fault.envelope(Some(header.message_id)), fate },
        }
    }
}

/// The name by which faults know a call.
fn call_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Create(_) => "Create",
        Operation::Command(_) => "Command",
        Operation::Send(_) => "Send",
        Operation::Receive(_) => "Receive",
        Operation::Signal(_) => "Signal",
        Operation::Delete => "Delete",
        Operation::Enumerate(_) => "Enumerate",
        _ => "",
    }
}

fn identity() -> IdentifyResponse {
    IdentifyResponse {
        protocol: names::WSMAN.to_owned(),
        vendor: "Microsoft Corporation".to_owned(),
        version: "OS: 0.0.0 SP: 0.0 Stack: 3.0".to_owned(),
    }
}

impl Call<'_> {
    async fn perform(&mut self, operation: Operation) -> Result<String, Fault> {
        if !self.may_enter() {
            self.note("open-shell", self.header.shell_id.clone().unwrap_or_default(), 5, Json::Null);
            return Err(refusal::denied());
        }
        if self.header.max_envelope_size < MIN_ENVELOPE {
            return Err(refusal::encoding_limit("The MaxEnvelopeSize of the request is smaller than 8192 bytes."));
        }
        let relates = Some(self.header.message_id);
        Ok(match operation {
            Operation::Create(create) => response(relates, &self.create(create)?),
            Operation::Enumerate(enumerate) => {
                let (shells, context) = self.list("", enumerate.max_elements);
                response(relates, &EnumerateResponse { shells, context })
            }
            Operation::Pull(pull) => {
                let (shells, context) = self.list(&pull.context, pull.max_elements);
                response(relates, &PullResponse { shells, context })
            }
            Operation::Delete => {
                self.delete().await?;
                response(relates, &DeleteResponse)
            }
            Operation::Command(command) => response(relates, &self.command(command)?),
            Operation::Send(send) => {
                self.send(&send)?;
                response(relates, &SendResponse)
            }
            Operation::Receive(receive) => {
                let id = receive.command_id.as_deref().map(command_id).transpose()?;
                response(relates, &self.receive(id, &receive.streams).await?)
            }
            Operation::Signal(signal) => {
                let shell = self.shell()?;
                let _busy = shell.busy();
                shell.signal(&signal).await?;
                response(relates, &SignalResponse)
            }
            Operation::Disconnect(disconnect) => {
                self.shell()?.disconnect(disconnect.idle_timeout)?;
                response(relates, &DisconnectResponse)
            }
            Operation::Reconnect => {
                self.shell()?.reconnect()?;
                response(relates, &ReconnectResponse)
            }
            Operation::Identify => response(relates, &identity()),
            Operation::Other(action) => return Err(refusal::action(&action)),
        })
    }

    /// Whether the caller may use shells here: those of Lync are for whoever has a role.
    fn may_enter(&self) -> bool {
        match self.host.endpoint {
            Endpoint::Windows => is_administrator(&self.caller.account),
            Endpoint::Lync => self.lab.world().deployment.roles_of(&self.caller.account).next().is_some(),
        }
    }

    /// Bytes that an answer may have for its streams.
    fn room(&self) -> usize {
        let wanted = usize::try_from(self.header.max_envelope_size).unwrap_or(usize::MAX);
        wanted.min(MAX_ENVELOPE) - AROUND
    }

    fn key(id: &str) -> String {
        id.to_uppercase()
    }

    /// The shell that is meant, for the account that opened it.
    fn shell(&self) -> Result<Arc<Shell>, Fault> {
        let id = self.header.shell_id.as_deref().unwrap_or_default();
        let shell = self.host.all().get(&Self::key(id)).cloned().ok_or_else(|| refusal::gone(id))?;
        if !shell.resource.eq_ignore_ascii_case(&self.header.resource) {
            return Err(refusal::resource(&self.header.resource));
        }
        if shell.owner == self.caller.account { Ok(shell) } else { Err(refusal::denied()) }
    }

    fn create(&self, create: Create) -> Result<CreateResponse, Fault> {
        let resource = self.header.resource.clone();
        if !resource.eq_ignore_ascii_case(&names::configuration("Microsoft.PowerShell")) {
            return Err(refusal::resource(&resource));
        }
        let version = create.protocol_version.as_deref().unwrap_or("2.0");
        if !["2.0", "2.1", "2.2", "2.3"].contains(&version) {
            return Err(refusal::version(version));
        }
        if (create.input_streams.as_str(), create.output_streams.as_str()) != ("stdin pr", "stdout") {
            return Err(refusal::parameter(
                "A shell of PowerShell has the input streams `stdin pr` and the output stream `stdout`.",
            ));
        }
        let chosen = match &create.shell_id {
            Some(id) => Some(Uuid::try_parse(id).map_err(|_| refusal::parameter("The ShellId is no UUID."))?),
            None => None,
        };
        let id = create.shell_id.unwrap_or_else(|| Uuid::new_v4().hyphenated().to_string().to_uppercase());
        if create.creation.is_empty() {
            return Err(refusal::plugin("creationXml is missing or empty"));
        }
        let idle = create.idle_timeout.unwrap_or(IDLE);
        let fragment = ((self.room() - 128) / 4 * 3).min(MAX_FRAGMENT);
        let about = (id.clone(), resource.clone(), self.caller.account.clone(), create.name);
        let shell = Arc::new(Shell::new(about, chosen, fragment, idle));
        {
            let mut all = self.host.all();
            if all.contains_key(&Self::key(&id)) {
                return Err(refusal::exists("A shell with this ShellId exists."));
            }
            if all.values().filter(|shell| shell.owner == self.caller.account).count() >= MAX_SHELLS {
                return Err(refusal::too_many(MAX_SHELLS));
            }
            // Under the lock, so that of two with one id only one is opened.
            if let Err(fault) = shell.pool_input(&create.creation) {
                drop(all);
                self.violation(&id, &fault);
                return Err(fault);
            }
            all.insert(Self::key(&id), Arc::clone(&shell));
        }
        tokio::spawn(expire(Arc::clone(self.lab), Arc::clone(self.host), shell));
        Ok(CreateResponse { shell_id: id, resource, owner: Some(self.caller.account.clone()), idle_timeout: Some(idle) })
    }

    fn list(&self, after: &str, most: u32) -> (Vec<ShellInfo>, Option<String>) {
        // Commands are not listed.
        if !self.header.resource.eq_ignore_ascii_case(names::ALL_SHELLS) {
            return (Vec::new(), None);
        }
        let after = after.strip_prefix(CONTEXT).unwrap_or_default();
        let all = self.host.all();
        let mut rest = all.iter().filter(|(key, _)| key.as_str() > after);
        let shells: Vec<ShellInfo> = rest
            .by_ref()
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .map(|(_, shell)| ShellInfo {
                shell_id: shell.id.clone(),
                name: shell.name.clone().or_else(|| Some("Runspace".to_owned())),
                resource: Some(shell.resource.clone()),
                owner: Some(shell.owner.clone()),
                state: Some(shell.state().to_owned()),
            })
            .collect();
        let last = shells.last().map_or(after.to_owned(), |shell| Self::key(&shell.shell_id));
        let context = rest.next().map(|_| format!("{CONTEXT}{last}"));
        (shells, context)
    }

    async fn delete(&self) -> Result<(), Fault> {
        let id = self.header.shell_id.as_deref().unwrap_or_default();
        let shell = self.host.all().remove(&Self::key(id)).ok_or_else(|| refusal::gone(id))?;
        shell.lose();
        // Answered when nothing works in it any more.
        shell.quiet().await;
        self.note("delete-shell", shell.id.clone(), 0, Json::Null);
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<CommandResponse, Fault> {
        let shell = self.shell()?;
        let _busy = shell.busy();
        let id = match &command.command_id {
            Some(id) => command_id(id)?,
            None => return Err(refusal::parameter("A command of PowerShell needs a CommandId.")),
        };
        shell.begin(id).inspect_err(|fault| self.violation(&shell.id, fault))?;
        let pipeline = shell.command_input(id, &command.arguments).inspect_err(|fault| self.violation(&shell.id, fault))?;
        self.start(&shell, id, pipeline);
        Ok(CommandResponse { command_id: command.command_id.unwrap_or_default() })
    }

    fn send(&mut self, send: &Send) -> Result<(), Fault> {
        let shell = self.shell()?;
        let _busy = shell.busy();
        if !["stdin", "pr"].contains(&send.stream.as_str()) {
            return Err(refusal::parameter(&format!("The shell has no input stream {}.", send.stream)));
        }
        match send.command_id.as_deref() {
            None => shell.pool_input(&send.data).inspect_err(|fault| self.violation(&shell.id, fault)),
            Some(id) => {
                let id = command_id(id)?;
                let pipeline = shell.command_input(id, &send.data).inspect_err(|fault| self.violation(&shell.id, fault))?;
                self.start(&shell, id, pipeline);
                Ok(())
            }
        }
    }

    /// Starts a pipeline whose message is complete, unless that message was to be lost.
    fn start(&mut self, shell: &Arc<Shell>, id: Uuid, pipeline: Option<Box<CreatePipeline>>) {
        let Some(pipeline) = pipeline else { return };
        let met = self.lab.world().meet_cmdlet(&self.host.name, pipeline::name(&pipeline));
        let effects = self.lab.written(met).unwrap_or_default();
        if effects.contains(&Effect::RequestLost) {
            shell.forget(id);
            self.fate = Fate::Lost;
            return;
        }
        let work = Work {
            lab: Arc::clone(self.lab),
            host: self.host.name.clone(),
            endpoint: self.host.endpoint,
            shell: Arc::clone(shell),
            id,
            pipeline,
            caller: self.caller.clone(),
            effects,
        };
        tokio::spawn(pipeline::run(work));
    }

    async fn receive(&mut self, command: Option<Uuid>, streams: &str) -> Result<ReceiveResponse, Fault> {
        let shell = self.shell()?;
        let _busy = shell.busy();
        if streams != "stdout" {
            return Err(refusal::parameter(&format!("The shell has no output stream {streams}.")));
        }
        let limit = self.header.operation_timeout.min(LONGEST_WAIT);
        let (response, fate) = shell.receive(command, limit, self.room()).await?;
        self.fate = fate;
        Ok(response)
    }

    fn violation(&self, shell: &str, fault: &Fault) {
        let rule = fault.provider_fault.clone().unwrap_or_else(|| fault.message.clone());
        self.note("violation", shell.to_owned(), i64::from(fault.wsman_code.unwrap_or_default()), json!({ "rule": rule }));
    }

    fn note(&self, operation: &str, name: String, code: i64, detail: Json) {
        let line = self.caller.line(&self.host.name, operation, name, code, detail);
        self.lab.written(self.lab.world().note(&line));
    }
}

/// What begins the context of an enumeration; an empty one would be none.
const CONTEXT: &str = "after:";

/// Removes a shell that is idle for too long.
async fn expire(lab: Arc<Lab>, host: Arc<Host>, shell: Arc<Shell>) {
    loop {
        let at = shell.expires();
        if at <= Instant::now() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = shell.lost() => return,
        }
    }
    shell.lose();
    host.all().remove(&shell.id.to_uppercase());
    let nobody = Caller { account: shell.owner.clone(), connection: 0 };
    let line: Line = nobody.line(&host.name, "expire-shell", shell.id.clone(), 0, Json::Null);
    lab.written(lab.world().note(&line));
}
