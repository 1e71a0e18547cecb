//! What can be told of a host before anything starts.

use jiff::Timestamp;

use super::hosts::Hosts;
use super::session::Session;
use crate::connector::lasts::Last;
use crate::connector::no_answer::NoAnswer;
use crate::connector::time_left::TimeLeft;
use crate::plan::Targets;
use crate::remoting::http::Verification;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Finding, Level};
use crate::time::Span;

/// Of a survey.
const PATIENCE: Span = Span::from_secs(60);
/// A clock that is off by so many seconds is worth a look.
const CLOCK: i64 = 60;

fn finding(level: Level, message: impl Into<String>) -> Finding {
    Finding { level, message: message.into() }
}

/// Whether the host of a call can be used at all. Asked for every step before the start, so one answer serves for a while.
pub async fn reach(hosts: &Hosts, call: &Call) -> Vec<Finding> {
    let host = match hosts.host(call) {
        Ok(host) => host,
        Err(why) => return vec![NoAnswer::from(why).finding()],
    };
    if let Some(found) = hosts.lately(&host) {
        return found;
    }
    let found = match hosts.look(call).await {
        Ok(session) => {
            let mut found = trust(&session);
            found.extend(lasting(&session, &Last::of(call, Timestamp::now())));
            found.retain(|finding| finding.level > Level::Fact);
            session.close().await;
            found
        }
        Err(error) => vec![error.finding()],
    };
    hosts.remember(&host, &found);
    found
}

/// Everything that can be told of a host.
pub async fn survey(hosts: &Hosts, targets: &Targets, name: &str) -> Vec<Finding> {
    let opened = async {
        let host = hosts.named(targets, name)?;
        hosts.open(&host, uuid::Uuid::new_v4(), TimeLeft::within(PATIENCE)).await
    };
    let mut session = match opened.await {
        Ok(session) => session,
        Err(error) => return vec![NoAnswer::finding(error)],
    };
    let mut found = trust(&session);
    let host = session.host();
    found.push(finding(
        Level::Fact,
        format!("logged on as `{}`; the session configuration is `{}`", host.logon.account(), host.configuration),
    ));
    found.extend(lasting(&session, &Last::weekend(Timestamp::now())));
    found.push(clock(&mut session).await);
    found.push(machine(&mut session).await);
    session.close().await;
    found
}

/// What is worth knowing of how the host is reached.
fn trust(session: &Session) -> Vec<Finding> {
    match &session.host().verification {
        Verification::Full => Vec::new(),
        Verification::Skipped { reason } => {
            vec![finding(Level::Warning, format!("its certificate is not checked: {}", super::shown(reason)))]
        }
    }
}

/// Whether the certificates last. What is known of an account's password is asked of its directory.
fn lasting(session: &Session, last: &Last) -> Vec<Finding> {
    let (now, expiries) = (Timestamp::now(), session.expiries());
    let server = expiries.server.expires().map(|at| {
        last.ending(&format!("the certificate of `{}`", session.host().address.host), at, now, "have the host given a new one")
    });
    let own = expiries.own.map(|at| last.ending(&session.host().logon.account(), at, now, "have a new one issued"));
    server.into_iter().chain(own).collect()
}

async fn clock(session: &mut Session) -> Finding {
    let cannot = |why: &str| finding(Level::Warning, format!("its clock cannot be told: {why}"));
    let answer = match session.run(Command::new("Get-Date")).await {
        Ok(answer) => answer,
        Err(lost) => return cannot(&lost.reason),
    };
    match answer.read() {
        Err(why) => cannot(&why),
        Ok(objects) => match objects.first().and_then(crate::remoting::clixml::Value::as_timestamp) {
            None => cannot("the answer is no date with an offset"),
            Some(theirs) => {
                let off = theirs.as_second() - Timestamp::now().as_second();
                let level = if off.abs() > CLOCK { Level::Warning } else { Level::Fact };
                finding(level, format!("its clock is {} s {} ours", off.abs(), if off < 0 { "behind" } else { "ahead of" }))
            }
        },
    }
}

async fn machine(session: &mut Session) -> Finding {
    let command = Command::new("Get-WmiObject").parameter("Class", "Win32_OperatingSystem");
    let seen = match session.run(command).await {
        Ok(answer) => answer.read(),
        Err(lost) => Err(lost.reason),
    };
    let words = |value: &crate::remoting::clixml::Value| {
        let part = |name: &str| super::values::text(value, name).ok().map(|text| super::shown(&text));
        Some(format!("`{}` runs {} ({})", part("CSName")?, part("Caption")?, part("Version")?))
    };
    match seen {
        // A restricted endpoint has no such cmdlet, and needs none.
        Err(why) => finding(Level::Fact, format!("what it runs is not told: {why}")),
        Ok(objects) => match objects.first().and_then(words) {
            Some(words) => finding(Level::Fact, words),
            None => finding(Level::Fact, "what it runs is not told"),
        },
    }
}
