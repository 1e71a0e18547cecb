//! `relevo lab fault …`: what a lab is asked to do wrong.

use crate::error::{Exit, Failure};
use crate::lab::control::Order;
use crate::lab::fault::{CALLS, Effect, Rule};
use crate::time::Span;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    fault: Fault,
}

/// Which operations a fault is for.
#[derive(Debug, clap::Args)]
struct Which {
    /// Only this operation: add, modify, delete, modifydn, search, compare, bind or extended; on hosts a cmdlet, such as
    /// Stop-Service, or Create, Command, Send, Receive, Signal, Delete, Enumerate
    #[arg(long)]
    operation: Option<String>,
    /// Only on this object: a DN or `<GUID=…>`
    #[arg(long)]
    dn: Option<String>,
    /// Only on this domain controller
    #[arg(long)]
    dc: Option<String>,
    /// Only on this Windows host, such as gc01
    #[arg(long, conflicts_with_all = ["dn", "dc"], value_name = "HOST")]
    on: Option<String>,
    /// For so many operations; 0 until `clear`
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Debug, clap::Subcommand)]
enum Fault {
    /// Do it, and close the connection before the answer
    AnswerLost(Which),
    /// Close the connection and never do it; on hosts only
    RequestLost(Which),
    /// Do it, and close the connection in the middle of the answer; on hosts only
    AnswerCut(Which),
    /// Do it, and answer with what is no answer; on hosts only
    AnswerGarbled(Which),
    /// Wait so long before it is done
    Delay {
        /// How long
        length: Span,
        #[command(flatten)]
        which: Which,
    },
    /// Do it at once, and wait so long before the answer
    AnswerLate {
        /// How long
        length: Span,
        #[command(flatten)]
        which: Which,
    },
    /// Refuse it with this LDAP result code; on hosts, by an error with this number
    Refuse {
        /// The code, such as 50, 51 or 53; on hosts such as 5
        code: u32,
        #[command(flatten)]
        which: Which,
    },
    /// Let a domain controller take nothing from the others
    HoldReplication {
        /// Which
        dc: String,
    },
    /// Let it take everything again
    ReleaseReplication {
        /// Which
        dc: String,
    },
    /// How long a change takes to the other domain controllers
    ReplicationDelay {
        /// How long
        length: Span,
    },
    /// Let a domain controller not answer
    StopDc {
        /// Which
        dc: String,
    },
    /// Let it answer again
    StartDc {
        /// Which
        dc: String,
    },
    /// Let a Windows host not answer; its shells are gone
    StopHost {
        /// Which
        host: String,
    },
    /// Let it answer again
    StartHost {
        /// Which
        host: String,
    },
    /// Let a Windows host refuse every logon over TLS without a channel binding
    DemandBinding {
        /// Which
        host: String,
    },
    /// End all faults
    Clear,
}

impl Args {
    /// What the lab is told.
    pub fn order(&self) -> anyhow::Result<Order> {
        order_of(&self.fault)
    }
}

fn order_of(fault: &Fault) -> anyhow::Result<Order> {
    const OPERATIONS: [&str; 8] = ["add", "modify", "delete", "modifydn", "search", "compare", "bind", "extended"];
    let rule = |effect: Effect, which: &Which| {
        let operation = which.operation.as_deref();
        // `Verb-Noun` is a cmdlet; whether there is one of that name is for the host to say.
        let of_host = which.on.is_some() || operation.is_some_and(|name| name.contains('-'));
        if let Some(operation) = operation {
            let (known, all) = if which.on.is_some() {
                let is_call = CALLS.iter().any(|call| call.eq_ignore_ascii_case(operation));
                (
                    operation.contains('-') || operation == "script" || is_call,
                    format!("cmdlets such as Stop-Service, `script`, {}", CALLS.join(", ")),
                )
            } else {
                (of_host || OPERATIONS.contains(&operation), format!("{}; with `--on HOST` any cmdlet", OPERATIONS.join(", ")))
            };
            if !known {
                let what = if of_host { "operation of the lab's hosts" } else { "LDAP operation of the lab" };
                let failure = Failure::new(Exit::Usage, format!("`{operation}` is no {what}"));
                return Err(failure.hint(format!("there are {all}")));
            }
        }
        if of_host && (which.dc.is_some() || which.dn.is_some()) {
            let failure = Failure::new(Exit::Usage, "`--dc` and `--dn` belong to operations of the directory");
            return Err(failure.hint("`--on HOST` names a Windows host"));
        }
        if !of_host && matches!(effect, Effect::RequestLost | Effect::AnswerCut | Effect::AnswerGarbled) {
            let failure = Failure::new(Exit::Usage, "only Windows hosts misbehave like this");
            return Err(failure.hint("`--on HOST` names one, `--operation Stop-Service` a cmdlet on whatever host"));
        }
        let left = Some(which.times).filter(|times| *times > 0);
        Ok(Order::Fault {
            rule: Rule {
                effect,
                operation: which.operation.clone(),
                dn: which.dn.clone(),
                dc: which.dc.clone(),
                host: which.on.clone(),
                left,
            },
        })
    };
    Ok(match fault {
        Fault::AnswerLost(which) => rule(Effect::AnswerLost, which)?,
        Fault::RequestLost(which) => rule(Effect::RequestLost, which)?,
        Fault::AnswerCut(which) => rule(Effect::AnswerCut, which)?,
        Fault::AnswerGarbled(which) => rule(Effect::AnswerGarbled, which)?,
        Fault::Delay { length, which } => rule(Effect::Delay(*length), which)?,
        Fault::AnswerLate { length, which } => rule(Effect::AnswerLate(*length), which)?,
        Fault::Refuse { code, which } => rule(Effect::Refuse(*code), which)?,
        Fault::HoldReplication { dc } => Order::Hold { dc: dc.clone() },
        Fault::ReleaseReplication { dc } => Order::Release { dc: dc.clone() },
        Fault::ReplicationDelay { length } => Order::ReplicationDelay { delay: *length },
        Fault::StopDc { dc } => Order::Stop { dc: dc.clone() },
        Fault::StartDc { dc } => Order::Start { dc: dc.clone() },
        Fault::StopHost { host } => Order::StopHost { host: host.clone() },
        Fault::StartHost { host } => Order::StartHost { host: host.clone() },
        Fault::DemandBinding { host } => Order::DemandBinding { host: host.clone() },
        Fault::Clear => Order::Clear,
    })
}
