//! Orders to a running lab: one line of JSON each way, over a loopback port that only `lab.json` names, with the token
//! that it holds.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as Plain};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::contoso::CONTROLLERS;
use super::fault::Rule;
use super::files::Trouble;
use super::running::Running;
use super::serve::Lab;
use super::setting::{self, Setting};
use crate::time::Span;

/// No order is longer.
const LONGEST: u64 = 64 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a running lab can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    /// Say how things stand.
    Info,
    /// End.
    Down,
    /// A fresh world.
    Reset,
    /// Copy the world.
    Snapshot {
        /// The copy's name.
        name: String,
    },
    /// Put a copy in place of the world.
    Restore {
        /// The copy's name.
        name: String,
    },
    /// A rule for operations.
    Fault {
        /// The rule.
        rule: Rule,
    },
    /// A Windows host does not answer, and loses its shells.
    StopHost {
        /// Which.
        host: String,
    },
    /// It does again.
    StartHost {
        /// Which.
        host: String,
    },
    /// A Windows host logs nobody on over TLS without a channel binding.
    DemandBinding {
        /// Which.
        host: String,
    },
    /// Something in the world is to be otherwise.
    Set {
        /// What.
        setting: Setting,
    },
    /// No more faults: rules, held replication, stopped domain controllers and hosts.
    Clear,
    /// A domain controller takes nothing from the others.
    Hold {
        /// Which.
        dc: String,
    },
    /// It does again.
    Release {
        /// Which.
        dc: String,
    },
    /// A domain controller does not answer.
    Stop {
        /// Which.
        dc: String,
    },
    /// It does again.
    Start {
        /// Which.
        dc: String,
    },
    /// How long a change takes to the other domain controllers.
    ReplicationDelay {
        /// How long.
        delay: Span,
    },
}

impl Order {
    /// Whether it is about Windows hosts alone, or ends what was ordered.
    #[must_use]
    pub fn is_for_hosts(&self) -> bool {
        match self {
            Order::Fault { rule } => rule.host.is_some() || rule.operation.as_deref().is_some_and(|name| name.contains('-')),
            Order::StopHost { .. } | Order::StartHost { .. } | Order::DemandBinding { .. } | Order::Clear => true,
            _ => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Request {
    token: String,
    #[serde(flatten)]
    order: Order,
}

/// Takes orders.
pub async fn listen(lab: Arc<Lab>, listener: TcpListener, running: Running) {
    let running = Arc::new(running);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (lab, running) = (Arc::clone(&lab), Arc::clone(&running));
        tokio::spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, obey(&lab, &running, stream)).await;
        });
    }
}

async fn obey(lab: &Lab, running: &Running, stream: TcpStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
    let (answer, ends) = match serde_json::from_str::<Request>(&line) {
        Ok(request) if same(&request.token, &running.token) => {
            let ends = request.order == Order::Down;
            (carry_out(lab, running, request.order), ends)
        }
        _ => (Err(Trouble::new("this is no order with the token of this lab")), false),
    };
    let answer = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(trouble) => json!({ "error": trouble.message, "hint": trouble.hint }),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    write.shutdown().await?;
    if ends {
        lab.end.notify_one();
    }
    Ok(())
}

/// Whether two tokens are the same, in a time that does not say where they differ.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn carry_out(lab: &Lab, running: &Running, order: Order) -> Result<Json, Trouble> {
    let known = |dc: &str| {
        let hint = format!("there are {}", CONTROLLERS.join(" and "));
        if CONTROLLERS.contains(&dc) {
            Ok(())
        } else {
            Err(Trouble::new(format!("the lab has no domain controller `{dc}`")).hint(hint))
        }
    };
    let host_known = |host: &str| {
        let names: Vec<&str> = lab.hosts.keys().map(String::as_str).collect();
        if names.contains(&host) {
            Ok(())
        } else {
            Err(Trouble::new(format!("the lab has no host `{host}`")).hint(format!("there are {}", names.join(", "))))
        }
    };
    match order {
        Order::Info => {
            let shells: BTreeMap<&String, usize> = lab.hosts.iter().map(|(name, host)| (name, host.shells())).collect();
            let world = lab.world();
            return Ok(json!({
                "pid": running.pid,
                "ports": running.ports,
                "hosts": running.hosts,
                "shells": shells,
                "objects": world.sizes(),
                "faults": world.faults,
            }));
        }
        Order::Down => return Ok(Json::Null),
        Order::Snapshot { name } => {
            // Under the world's lock, so that it is one moment of all domain controllers.
            let _world = lab.world();
            lab.files.snapshot(&name)?;
            return Ok(Json::Null);
        }
        Order::Restore { name } => {
            let mut world = lab.world();
            lab.lose_shells(|_| true);
            lab.files.restore(&name)?;
            world.reload()?;
            drop(world);
            lab.follow(true);
            return Ok(Json::Null);
        }
        Order::Reset => {
            let mut world = lab.world();
            lab.lose_shells(|_| true);
            lab.files.forget()?;
            world.reload()?;
            drop(world);
            lab.follow(true);
            return Ok(Json::Null);
        }
        Order::Fault { rule } => {
            if let Some(dc) = &rule.dc {
                known(dc)?;
            }
            if let Some(host) = &rule.host {
                host_known(host)?;
            }
            lab.world().faults.rules.push(rule);
        }
        Order::Set { setting } => {
            setting::apply(&mut lab.world(), &setting)?;
            return Ok(Json::Null);
        }
        Order::Clear => lab.world().faults = super::fault::Faults::default(),
        Order::Hold { dc } => {
            known(&dc)?;
            lab.world().faults.held.insert(dc);
        }
        Order::Release { dc } => {
            known(&dc)?;
            lab.world().faults.held.remove(&dc);
        }
        Order::Stop { dc } => {
            known(&dc)?;
            lab.world().faults.stopped.insert(dc);
        }
        Order::Start { dc } => {
            known(&dc)?;
            lab.world().faults.stopped.remove(&dc);
        }
        Order::StopHost { host } => {
            host_known(&host)?;
            let mut world = lab.world();
            world.faults.stopped.insert(host.clone());
            lab.lose_shells(|name| name == host);
        }
        Order::StartHost { host } => {
            host_known(&host)?;
            lab.world().faults.stopped.remove(&host);
        }
        Order::DemandBinding { host } => {
            host_known(&host)?;
            lab.world().faults.demanding.insert(host);
        }
        Order::ReplicationDelay { delay } => lab.world().faults.replication_delay = delay,
    }
    lab.world().save_faults()?;
    lab.follow(false);
    Ok(Json::Null)
}

/// Gives an order to the lab that `running` names. `Ok(None)` if nobody answers there.
///
/// # Errors
/// The lab refuses it.
pub fn order(running: &Running, order: &Order) -> Result<Option<Json>, Trouble> {
    let Ok(text) = serde_json::to_string(&Request { token: running.token.clone(), order: order.clone() }) else {
        return Ok(None);
    };
    let Some(line) = exchange(running.control, &text) else { return Ok(None) };
    let Ok(mut answer) = serde_json::from_str::<Json>(&line) else { return Ok(None) };
    match answer.get("error").and_then(Json::as_str) {
        Some(message) => {
            let hint = answer.get("hint").and_then(Json::as_str).unwrap_or_default();
            Err(Trouble::new(message).hint(hint))
        }
        None => Ok(Some(answer["ok"].take())),
    }
}

fn exchange(port: u16, text: &str) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = Plain::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("{text}\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line).filter(|line| !line.is_empty())
}
