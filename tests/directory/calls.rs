//! The connector as the driver uses it, step by step: pin, look, keep the before-image, act, look again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Targets, Verdict};
use relevo::run::connector::{BeforeImage, Call, Connector, Evidence, Finding, Observation, Pin, Quiescence};
use relevo::run::event::{EvidenceRef, Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use crate::world::{Account, Place, User, World};

/// One step of a run that nobody keeps a journal of.
pub struct Step {
    runtime: Arc<Runtime>,
    connector: Arc<dyn Connector>,
    /// What it is called with; tests change it as a run would.
    pub call: Call,
    folder: Arc<tempfile::TempDir>,
}

/// Everything that one attempt said.
#[derive(Debug)]
pub struct Attempt {
    /// Before it.
    pub before: Observation,
    /// The before-image, or why there is none: then nothing was done.
    pub image: Result<Option<PathBuf>, String>,
    /// What became of it; `None` if it was not made.
    pub outcome: Option<Outcome>,
    /// After it.
    pub after: Observation,
}

/// Connectors that several steps share, as those of one run do: they remember refused logons together.
#[derive(Clone)]
pub struct Team {
    runtime: Arc<Runtime>,
    connectors: Connectors,
    targets: Arc<Targets>,
    folder: Arc<tempfile::TempDir>,
    excluded: Arc<[String]>,
}

impl Team {
    /// Connectors that log on to `contoso` as this account.
    pub fn new(world: &dyn World, account: &Account) -> Self {
        Team::through(world, account, &json!({}))
    }

    /// The same, connecting to other addresses.
    pub fn through(world: &dyn World, account: &Account, addresses: &Value) -> Self {
        let mut directory = world.directory(account, addresses);
        // What the loader makes of a reference.
        directory["bind"]["password"] = json!({ "$secret": { "file": account.password_file } });
        Team::with_directory(world, &directory)
    }

    /// Connectors for this directory of a targets file, called `contoso`.
    pub fn with_directory(world: &dyn World, directory: &Value) -> Self {
        let value = json!({ "directories": { "contoso": directory } });
        let targets = Targets {
            value: value.as_object().unwrap().clone(),
            names: [("contoso".to_owned(), "directories".to_owned())].into(),
            ..Targets::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Team {
            runtime: Arc::new(runtime),
            connectors: Connectors::standard(Options::default()),
            targets: Arc::new(targets),
            folder: Arc::new(tempfile::tempdir_in(world.folder()).unwrap()),
            excluded: Arc::from([]),
        }
    }

    /// Without these servers, by a person's decision.
    pub fn without(mut self, servers: &[&str]) -> Self {
        self.excluded = servers.iter().map(|server| (*server).to_owned()).collect();
        self
    }

    /// A step; `directory: contoso` is added to its arguments.
    #[track_caller]
    pub fn step(&self, uses: &str, with: &Value) -> Step {
        let mut arguments = with.as_object().unwrap().clone();
        arguments.insert("directory".to_owned(), json!("contoso"));
        let connector = self.connectors.for_action(uses).unwrap_or_else(|| panic!("there is no action `{uses}`"));
        let spec = self.connectors.catalogue().iter().find(|spec| spec.name == uses).map(|spec| spec.effect);
        let call = Call {
            run: Arc::from("r1"),
            step: StepId::new("a"),
            attempt: 1,
            uses: uses.to_owned(),
            with: arguments,
            outputs: Arc::from([]),
            identity: Identity::new(),
            folder: Arc::from(self.folder.path()),
            scratch: self.folder.path().join("attempts"),
            targets: Arc::clone(&self.targets),
            excluded: Arc::clone(&self.excluded),
            before_image: None,
            handle: None,
            timeout: Some(Span::from_secs(30)),
            effect: spec.unwrap_or(Effect::Once),
            probed: true,
            assumed: false,
            until: None,
            sent: relevo::run::connector::Sent::default(),
        };
        Step { runtime: Arc::clone(&self.runtime), connector, call, folder: Arc::clone(&self.folder) }
    }

    /// A deletion by SIP address below OU=Service.
    #[track_caller]
    pub fn deletion(&self, place: &Place<'_>, user: &User) -> Step {
        self.step("ad.user.delete", &json!({ "sip_address": user.sip, "base": place.base() }))
    }

    /// Why a step is refused, when it is pinned or afterwards.
    #[track_caller]
    pub fn refusal(&self, uses: &str, with: &Value) -> String {
        let mut step = self.step(uses, with);
        match step.pin() {
            Pin::Cannot { unreachable: false, reason } => reason,
            Pin::Bound { identity, .. } => {
                step.call.identity = identity;
                step.be_refused()
            }
            Pin::NotNeeded => step.be_refused(),
            Pin::Cannot { reason, .. } => panic!("not reached: {reason}"),
        }
    }

    /// A step that is pinned already.
    #[track_caller]
    pub fn pinned(&self, uses: &str, with: &Value) -> Step {
        let mut step = self.step(uses, with);
        step.bind();
        step
    }
}

impl Step {
    /// What can be checked before anything starts.
    pub fn preflight(&self) -> Vec<Finding> {
        self.runtime.block_on(self.connector.preflight(&self.call))
    }

    /// Finds the object.
    pub fn pin(&self) -> Pin {
        self.runtime.block_on(self.connector.pin(&self.call))
    }

    /// Finds the object and binds the call to it.
    #[track_caller]
    pub fn bind(&mut self) {
        match self.pin() {
            Pin::Bound { identity, .. } => self.call.identity = identity,
            other => panic!("not pinned: {other:?}"),
        }
    }

    /// Why it cannot be pinned.
    #[track_caller]
    pub fn not_pinned(&self) -> String {
        match self.pin() {
            Pin::Cannot { unreachable: false, reason } => reason,
            other => panic!("it was not refused: {other:?}"),
        }
    }

    /// Looks.
    pub fn probe(&self) -> Observation {
        self.runtime.block_on(self.connector.probe(&self.call))
    }

    /// Stores the before-image, and tells the call where it is.
    ///
    /// # Errors
    /// What the connector says.
    pub fn keep(&mut self) -> Result<Option<PathBuf>, String> {
        let store = Store(self.folder.path().to_owned());
        let kept = self.runtime.block_on(self.connector.before_image(&self.call, &store))?;
        self.call.before_image = kept.map(|kept| BeforeImage::of(&store.0, &kept));
        Ok(self.call.before_image.as_ref().map(|kept| kept.path.clone()))
    }

    /// Whether the attempt can still act.
    pub fn quiesce(&self) -> Quiescence {
        self.runtime.block_on(self.connector.quiesce(&self.call))
    }

    /// Acts.
    pub fn apply(&self) -> Outcome {
        self.runtime.block_on(self.connector.apply(&self.call))
    }

    /// Takes it back with the before-image that was kept.
    pub fn undo(&self) -> Outcome {
        let image = self.call.before_image.as_ref().map(|kept| kept.read(u64::MAX).unwrap());
        self.runtime.block_on(self.connector.undo(&self.call, image.as_deref()))
    }

    /// A whole attempt, as the driver makes one: it acts only if the look before said that it is not done, and only
    /// with the before-image on disk.
    pub fn attempt(&mut self) -> Attempt {
        self.call.attempt = 0;
        let before = self.probe();
        self.call.attempt = 1;
        let mut image = Ok(None);
        let mut outcome = None;
        if before.verdict == Verdict::NotDone {
            image = self.keep();
            if image.is_ok() {
                outcome = Some(self.apply());
            }
        }
        let after = self.probe();
        Attempt { before, image, outcome, after }
    }

    /// An attempt that must succeed.
    #[track_caller]
    pub fn succeed(&mut self) -> Attempt {
        let attempt = self.attempt();
        assert!(matches!(attempt.outcome, Some(Outcome::Applied { .. })), "{attempt:#?}");
        assert_eq!(attempt.after.verdict, Verdict::Done, "{attempt:#?}");
        attempt
    }

    /// An attempt that must be refused; then the race: everything was well when it was looked at last, and the
    /// before-image is on disk if it was kept before. What is said, all together.
    #[track_caller]
    pub fn be_refused(&mut self) -> String {
        let attempt = self.attempt();
        let mut said = attempt.before.seen.clone();
        match (&attempt.image, &attempt.outcome) {
            (Err(reason), _) => said = format!("{said}; {reason}"),
            (Ok(_), Some(Outcome::Rejected { reason, untouched: true })) => said = format!("{said}; {reason}"),
            (Ok(_), None) if matches!(attempt.before.verdict, Verdict::Conflict) => {}
            _ => panic!("it was not refused: {attempt:#?}"),
        }
        assert_ne!(attempt.after.verdict, Verdict::Done, "{attempt:#?}");
        match self.apply() {
            Outcome::Rejected { reason, untouched: true } => format!("{said}; {reason}"),
            Outcome::NotSent { reason } => format!("{said}; {reason}"),
            outcome => panic!("it was not refused without the look before: {outcome:?}; before: {said}"),
        }
    }
}

/// The outputs of an attempt that was applied.
#[track_caller]
pub fn outputs(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Applied { outputs } => Value::Object(outputs.clone()),
        other => panic!("not applied: {other:?}"),
    }
}

/// The kept bytes as JSON.
#[track_caller]
pub fn image(path: Option<&Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path.expect("a before-image")).unwrap()).unwrap()
}

/// Evidence in a folder.
struct Store(PathBuf);

impl Evidence for Store {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(self.0.join(&sha256), bytes)?;
        Ok(EvidenceRef { sha256, bytes: bytes.len() as u64, kind: kind.to_owned() })
    }
}
