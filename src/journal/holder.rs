//! Who holds a run, and whether the next one may take it.

use crate::run::event::Holder;

/// Why a run cannot be taken from its last holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was held on another machine: this may be a copy, and the original may still be running.
    #[error("the run was last held on host `{host}` by `{user}` (pid {pid}), not on this machine")]
    OtherHost {
        /// The other machine.
        host: String,
        /// The account there.
        user: String,
        /// The process there.
        pid: u32,
        /// What to type to take it all the same: `<run>/<epoch>`.
        claim: String,
    },
    /// The lock is free (its file was deleted or replaced), and yet the process is there.
    #[error("the process that holds the run is alive (pid {pid}, started by `{user}`), although its lock file is gone")]
    Alive {
        /// The process.
        pid: u32,
        /// The account.
        user: String,
        /// What to type to take it all the same: `<run>/<epoch>`.
        claim: String,
    },
    /// The typed order names another run, or a holder that is not the last one.
    #[error("`{typed}` is not the order to take over this run as it is now (`{claim}`)")]
    WrongClaim {
        /// What was typed.
        typed: String,
        /// What would be right.
        claim: String,
    },
}

/// Whether `me` may take a run whose lock is free. True if that overrides another holder, by a typed order.
///
/// The lock proves that no process of *this* machine holds the run. It says nothing about the original of a copied
/// directory, so another machine's holder is overridden only by typing `claim`, which is `<run>/<last epoch>`.
/// A reboot of the same machine needs nothing: its processes are gone.
///
/// # Errors
/// The order is missing, or not the right one.
pub fn judge_holder(
    last: &Holder,
    last_is_alive: bool,
    me: &Holder,
    claim: &str,
    take_over: Option<&str>,
) -> Result<bool, Refusal> {
    // The same boot is the same kernel, whatever the machine is called by now: the lock is decisive there.
    let same_boot = !me.boot_id.is_empty() && last.boot_id == me.boot_id;
    let refusal = if !same_boot && last.host != me.host {
        Refusal::OtherHost { host: last.host.clone(), user: last.user.clone(), pid: last.pid, claim: claim.to_owned() }
    } else if last_is_alive && last != me {
        Refusal::Alive { pid: last.pid, user: last.user.clone(), claim: claim.to_owned() }
    } else {
        return Ok(false);
    };
    match take_over {
        None => Err(refusal),
        Some(typed) if typed == claim => Ok(true),
        Some(typed) => Err(Refusal::WrongClaim { typed: typed.to_owned(), claim: claim.to_owned() }),
    }
}

impl Holder {
    /// This process. What the system does not tell stays empty (or 0), and is then never taken as a match.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Holder {
            host: super::os::host(),
            boot_id: boot_id(),
            pid,
            started: started(pid).unwrap_or(0),
            user: super::os::current_account(),
        }
    }
}

/// Whether the process is there: same machine, same boot, same process and not another one with a reused number.
/// False also where it cannot be told.
#[must_use]
pub fn holder_alive(holder: &Holder) -> bool {
    holder.started != 0
        && !holder.boot_id.is_empty()
        && holder.boot_id == boot_id()
        && started(holder.pid) == Some(holder.started)
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// When a process started, in clock ticks since boot; `None` if it is not there or is only waiting to be buried.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(host: &str, boot: &str, pid: u32) -> Holder {
        Holder { host: host.into(), boot_id: boot.into(), pid, started: 7, user: "ann".into() }
    }

    #[test]
    fn a_reboot_of_the_same_machine_needs_no_ceremony() {
        assert_eq!(judge_holder(&holder("a", "1", 5), false, &holder("a", "2", 6), "r/1", None), Ok(false));
    }

    #[test]
    fn a_machine_that_was_renamed_is_still_the_same_boot() {
        assert_eq!(judge_holder(&holder("a", "1", 5), false, &holder("b", "1", 6), "r/1", None), Ok(false));
    }

    #[test]
    fn f25_another_host_needs_the_typed_order_and_exactly_that() {
        let (last, me) = (holder("a", "1", 5), holder("b", "2", 5));
        assert!(matches!(judge_holder(&last, false, &me, "r/1", None), Err(Refusal::OtherHost { claim, .. }) if claim == "r/1"));
        assert!(matches!(judge_holder(&last, false, &me, "r/2", Some("r/1")), Err(Refusal::WrongClaim { .. })));
        assert_eq!(judge_holder(&last, false, &me, "r/1", Some("r/1")), Ok(true));
    }

    #[test]
    fn f25_machines_without_a_boot_id_are_told_apart_by_name() {
        assert!(judge_holder(&holder("a", "", 5), false, &holder("b", "", 5), "r/1", None).is_err());
    }

    #[test]
    fn f26_a_living_holder_whose_lock_was_deleted_is_not_robbed() {
        let (last, me) = (holder("a", "1", 5), holder("a", "1", 6));
        assert!(matches!(judge_holder(&last, true, &me, "r/1", None), Err(Refusal::Alive { .. })));
        assert_eq!(judge_holder(&last, true, &last, "r/1", None), Ok(false));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_alive_and_a_reused_number_is_not() {
        let me = Holder::current();
        assert!(holder_alive(&me));
        assert!(!holder_alive(&Holder { started: me.started + 1, ..me.clone() }));
        assert!(!holder_alive(&Holder { boot_id: "other".into(), ..me }));
    }
}
