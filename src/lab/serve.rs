//! The process itself: everything composed, listening, and ended by order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::contoso::CONTROLLERS;
use super::control;
use super::directory::ids::Guid;
use super::directory::server::{self, Port, Standing};
use super::files::{Files, Trouble};
use super::lync::sip;
use super::pki;
use super::running::{HostPorts, Ports, Running};
use super::samba;
use super::windows::contoso::is_front_end;
use super::windows::listen::{self, Door};
use super::windows::shells::{Endpoint, Host};
use super::world::World;

/// What all connections share.
pub struct Lab {
    world: Mutex<World>,
    /// The folder.
    pub files: Files,
    written: Notify,
    /// Told when a domain controller stops or the world is replaced.
    pub standing: watch::Sender<Standing>,
    /// The Windows hosts' shells, by the hosts' names.
    pub hosts: BTreeMap<String, Arc<Host>>,
    /// The shells of Lync's remote PowerShell, by the Front Ends' names.
    pub front_ends: BTreeMap<String, Arc<Host>>,
    /// Told when the process is to end.
    pub end: Notify,
}

impl Lab {
    /// The world, for as long as nobody waits.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells replication that something was written.
    pub fn changed(&self) {
        self.written.notify_one();
    }

    /// What a write gave. A world that cannot be kept must not answer: then the process ends, and what was written
    /// before is there when it starts again.
    pub fn written<T>(&self, result: Result<T, Trouble>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(trouble) => {
                let _ = writeln!(std::io::stderr(), "the lab ends: {trouble}");
                std::process::exit(1);
            }
        }
    }

    /// Ends all shells of the hosts with such a name, and what waits in them; as a power cut would, so nobody is told. To be
    /// called by whoever holds the world, so that no pipeline begins meanwhile.
    pub fn lose_shells(&self, of: impl Fn(&str) -> bool) {
        self.hosts.values().chain(self.front_ends.values()).filter(|host| of(&host.name)).for_each(|host| host.lose_all());
    }

    /// Makes listeners and connections follow the faults.
    pub fn follow(&self, replaced: bool) {
        let stopped = self.world().faults.stopped.clone();
        self.standing.send_modify(|standing| {
            standing.stopped = CONTROLLERS.iter().map(|name| stopped.contains(*name)).collect();
            standing.hosts = self.hosts.keys().filter(|name| stopped.contains(*name)).cloned().collect();
            standing.world += u64::from(replaced);
        });
        self.changed();
    }
}

/// Runs a lab until it is told to end.
///
/// # Errors
/// It cannot start.
pub fn serve(files: &Files, account: &str) -> Result<(), Trouble> {
    files.prepare()?;
    let lock =
        std::fs::File::create(files.lock()).map_err(|error| Trouble::new(format!("cannot make the lab's lock: {error}")))?;
    // One that was killed a moment ago may still be going.
    let until = Instant::now() + Duration::from_secs(1);
    while lock.try_lock().is_err() {
        if Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        return Err(Trouble::new(format!("a lab is up in {} already", files.dir().display())));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("the lab cannot start: {error}")))?;
    runtime.block_on(run(files, account))
}

async fn run(files: &Files, account: &str) -> Result<(), Trouble> {
    let world = World::open(files)?;
    let (standing, _) = watch::channel(Standing { stopped: vec![false; CONTROLLERS.len()], ..Standing::default() });
    let all = |endpoint: Endpoint| {
        let machines = world.machines.iter().filter(move |machine| endpoint == Endpoint::Windows || is_front_end(&machine.name));
        machines.map(|machine| (machine.name.clone(), Arc::new(Host::new(&machine.name, endpoint)))).collect()
    };
    let (hosts, front_ends) = (all(Endpoint::Windows), all(Endpoint::Lync));
    let lab = Arc::new(Lab {
        world: Mutex::new(world),
        files: files.clone(),
        written: Notify::new(),
        standing,
        hosts,
        front_ends,
        end: Notify::new(),
    });
    lab.follow(false);
    let before = files.running();
    let (ports, address) = if samba::is(files) {
        (samba::ports(), samba::ADDRESS)
    } else {
        (controllers(&lab, files, before.as_ref()).await?, "127.0.0.1")
    };
    let mut hosts = BTreeMap::new();
    for (name, host) in &lab.hosts {
        let old = before.as_ref().and_then(|running| running.hosts.get(name).copied()).unwrap_or_default();
        let mut own = HostPorts::default();
        let mut doors = vec![(old.https, &mut own.https, true, host), (old.http, &mut own.http, false, host)];
        if let Some(front_end) = lab.front_ends.get(name) {
            doors.push((old.lync, &mut own.lync, true, front_end));
        }
        if lab.front_ends.contains_key(name) {
            let listener = bind(old.sip).await?;
            own.sip = listener.local_addr().map_or(0, |address| address.port());
            let acceptor = TlsAcceptor::from(pki::server(files, name)?);
            tokio::spawn(sip::listen(Arc::clone(&lab), name.clone(), acceptor, listener, own.sip));
        }
        for (number, slot, tls, host) in doors {
            let listener = bind(number).await?;
            *slot = listener.local_addr().map_or(0, |address| address.port());
            let door = if tls { Door::tls(files, name)? } else { Door::plain() };
            tokio::spawn(listen::listen(Arc::clone(&lab), Arc::clone(host), door, listener, *slot));
        }
        hosts.insert(name.clone(), own);
    }
    let orders = bind(0).await?;
    let running = Running {
        pid: std::process::id(),
        control: orders.local_addr().map_or(0, |address| address.port()),
        token: format!("{}{}", Guid::random(), Guid::random()).replace('-', ""),
        ports,
        hosts,
    };
    files.write_targets(&running.ports, &running.hosts, account, address)?;
    files.say_running(&running)?;
    tokio::spawn(control::listen(Arc::clone(&lab), orders, running));
    tokio::spawn(replicate(Arc::clone(&lab)));
    lab.changed();
    lab.end.notified().await;
    // What was asked for last has been answered when the runtime goes.
    Ok(())
}

/// Lets the domain controllers answer; their ports.
async fn controllers(lab: &Arc<Lab>, files: &Files, before: Option<&Running>) -> Result<BTreeMap<String, Ports>, Trouble> {
    let mut ports = BTreeMap::new();
    for (dc, name) in CONTROLLERS.into_iter().enumerate() {
        let old = before.and_then(|running| running.ports.get(name).copied()).unwrap_or_default();
        let acceptor = TlsAcceptor::from(pki::server(files, name)?);
        let mut own = Ports::default();
        for (number, slot, tls_first, global_catalog) in [
            (old.ldaps, &mut own.ldaps, true, false),
            (old.ldap, &mut own.ldap, false, false),
            (old.gc_tls, &mut own.gc_tls, true, true),
            (old.gc, &mut own.gc, false, true),
        ] {
            let listener = bind(number).await?;
            *slot = listener.local_addr().map_or(0, |address| address.port());
            let port = Port { dc, tls_first, global_catalog, acceptor: acceptor.clone() };
            tokio::spawn(server::listen(Arc::clone(lab), port, Some(listener), *slot, lab.standing.subscribe()));
        }
        ports.insert(name.to_owned(), own);
    }
    Ok(ports)
}

/// A port of the loopback address: the wanted one if it is free, so that a targets file stays true over a restart.
async fn bind(wanted: u16) -> Result<TcpListener, Trouble> {
    if let Ok(listener) = TcpListener::bind(("127.0.0.1", wanted)).await {
        return Ok(listener);
    }
    TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| Trouble::new(format!("no port on 127.0.0.1 can be had: {error}")))
}

/// Carries changes over, a little after they were made.
async fn replicate(lab: Arc<Lab>) {
    loop {
        lab.written.notified().await;
        let delay = lab.world().faults.replication_delay;
        tokio::time::sleep(delay.to_std()).await;
        let done = lab.world().replicate();
        lab.written(done);
    }
}
