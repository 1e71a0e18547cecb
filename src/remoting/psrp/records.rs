//! What a pipeline says beside output and errors: warnings and the like, progress, information
//! ([MS-PSRP] sections 2.2.2.22 to 2.2.2.26 and 2.2.3.16).

use super::fields::Fields;
use super::{MessageType, PsrpError};
use crate::remoting::clixml::{Object, Property, Value};

/// A warning, a verbose message or a debug message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InformationalRecord {
    /// The message. Its name on the wire is `InformationalRecord_Message`.
    pub message: String,
}

impl InformationalRecord {
    pub(super) fn decode(kind: MessageType, body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind, body };
        let message = fields.need("InformationalRecord_Message")?.to_text();
        Ok(InformationalRecord { message })
    }

    /// The body of a message. Its type name says which kind of record it is; clients rebuild it by that.
    pub(super) fn encode(&self, kind: MessageType) -> Value {
        let own = match kind {
            MessageType::Warning => "Warning",
            MessageType::Verbose => "Verbose",
            _ => "Debug",
        };
        let own = format!("System.Management.Automation.{own}Record");
        let names = [own.as_str(), "System.Management.Automation.InformationalRecord", "System.Object"];
        Object {
            type_names: names.map(str::to_owned).to_vec(),
            to_string: Some(self.message.clone()),
            extended: vec![
                Property::new("InformationalRecord_Message", self.message.as_str()),
                Property::new("InformationalRecord_SerializeInvocationInfo", false),
            ],
            ..Object::default()
        }
        .into()
    }
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgressRecord {
    /// What is being done.
    pub activity: String,
    /// The activity's number, by which records of several activities are told apart.
    pub activity_id: i32,
    /// How it stands, in words.
    pub status: String,
    /// The part that is being worked on.
    pub current_operation: Option<String>,
    /// The activity that this one is part of.
    pub parent: Option<i32>,
    /// Hundredths of the work that are done.
    pub percent: Option<u8>,
    /// Seconds that the command expects to need.
    pub seconds_remaining: Option<u32>,
    /// Whether this is the activity's last record.
    pub completed: bool,
}

impl ProgressRecord {
    pub(super) fn decode(body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind: MessageType::Progress, body };
        let text = |field| fields.maybe(field).map(Value::to_text);
        let number = |field| fields.maybe(field).and_then(Value::as_i64);
        Ok(ProgressRecord {
            activity: fields.need("Activity")?.to_text(),
            activity_id: number("ActivityId").and_then(|id| id.try_into().ok()).unwrap_or_default(),
            status: text("StatusDescription").unwrap_or_default(),
            current_operation: text("CurrentOperation"),
            // −1 stands for: not known, none.
            parent: number("ParentActivityId").and_then(|id| id.try_into().ok()).filter(|id| *id >= 0),
            percent: number("PercentComplete").and_then(|percent| percent.try_into().ok()).filter(|percent| *percent <= 100),
            seconds_remaining: number("SecondsRemaining").and_then(|seconds| seconds.try_into().ok()),
            completed: number("Type") == Some(1),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let (name, number) = if self.completed { ("Completed", 1) } else { ("Processing", 0) };
        let seconds = self.seconds_remaining.map_or(-1, |seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
        Value::object([
            ("Activity", Value::from(self.activity.as_str())),
            ("ActivityId", self.activity_id.into()),
            ("StatusDescription", self.status.as_str().into()),
            ("CurrentOperation", self.current_operation.as_deref().into()),
            ("ParentActivityId", self.parent.unwrap_or(-1).into()),
            ("PercentComplete", self.percent.map_or(-1, i32::from).into()),
            ("Type", Value::enumeration("System.Management.Automation.ProgressRecordType", name, number)),
            ("SecondsRemaining", seconds.into()),
        ])
    }
}

/// What `Write-Information` and, since PowerShell 5, `Write-Host` put out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InformationRecord {
    /// The message, maybe an object.
    pub data: Value,
    /// Where it comes from: a script, a function.
    pub source: Option<String>,
    /// When it was made.
    pub time: Option<Value>,
    /// Its tags; `PSHOST` for `Write-Host`.
    pub tags: Vec<String>,
    /// The user whose command it was.
    pub user: Option<String>,
    /// The computer it was made on.
    pub computer: Option<String>,
}

impl InformationRecord {
    /// The message as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.data.get("Message").unwrap_or(&self.data).to_text()
    }

    pub(super) fn decode(body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind: MessageType::Information, body };
        let text = |field| fields.maybe(field).map(Value::to_text);
        Ok(InformationRecord {
            data: fields.need("MessageData")?.clone(),
            source: text("Source"),
            time: fields.maybe("TimeGenerated").cloned(),
            tags: fields.maybe("Tags").and_then(Value::items).unwrap_or_default().iter().map(Value::to_text).collect(),
            user: text("User"),
            computer: text("Computer"),
        })
    }

    pub(super) fn encode(&self) -> Value {
        Value::object([
            ("MessageData", self.data.clone()),
            ("Source", self.source.as_deref().into()),
            ("TimeGenerated", self.time.clone().unwrap_or_default()),
            ("Tags", Value::list(self.tags.iter().map(String::as_str))),
            ("User", self.user.as_deref().into()),
            ("Computer", self.computer.as_deref().into()),
            ("ProcessId", 0u32.into()),
            ("NativeThreadId", 0u32.into()),
            ("ManagedThreadId", 0u32.into()),
        ])
    }
}
