//! From files to a validated plan, or to all mistakes at once.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::build::{self, Defaults};
use super::diagnostic::{Mistakes, Place, Report, Spot, short};
use super::fingerprint::Fingerprints;
use super::keys::{DEFAULTS, DefaultsKey, FRAGMENT, FragmentKey, PLAN, Top};
use super::node::{Kind, Node};
use super::params::{self, Param};
use super::read::{Reader, is_word};
use super::source::{self, Library, Source};
use super::{Catalogue, Limit, LimitIx, Plan, Window, guard, node, targets};

/// How deep fragments may include further fragments.
const DEEPEST_INCLUDE: usize = 8;

/// How many nodes all files of a plan may have together: a tree takes far more memory than its text. A hundred
/// thousand steps of nine keys have about two and a half million.
const MOST_NODES: usize = 4_000_000;

/// How many steps run at once unless the plan says otherwise.
const MAX_PARALLEL: u32 = 8;

/// What the command line adds to a plan file.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `--param name=value`, in order; the value is read as YAML.
    pub params: Vec<(String, String)>,
    /// `--params FILE`.
    pub params_files: Vec<PathBuf>,
    /// `--targets FILE`; otherwise the plan's own, beside it.
    pub targets: Option<PathBuf>,
    /// `--window FILE`: a YAML file with the keys of `window`; replaces the targets' own.
    pub window: Option<PathBuf>,
    /// Parameters without a value get a placeholder of their type instead of a mistake (`check`, `graph`, `runbook`).
    pub placeholders: bool,
    /// Texts to be used instead of reading these files.
    pub texts: Option<Vec<(PathBuf, String)>>,
}

/// A plan, and the texts it was made of.
#[derive(Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Warnings and notes; no mistakes.
    pub report: Report,
    /// Every file read, the plan first, with its text: copied verbatim into the run directory.
    pub sources: Vec<(PathBuf, String)>,
}

/// Reads, checks and resolves a plan.
///
/// # Errors
/// All mistakes at once, in file order.
pub fn load(path: &Path, inputs: &Inputs, catalogue: &Catalogue) -> Result<Loaded, Report> {
    let library = Library::new();
    let mistakes = Mistakes::default();
    let plan = Load { library: &library, mistakes: &mistakes, inputs, catalogue, nodes: Cell::default() }.plan(path);
    let sound = mistakes.errors() == 0;
    let report = mistakes.report(&library);
    match plan {
        Some(plan) if sound => Ok(Loaded { plan, report, sources: library.into_files() }),
        _ => Err(report),
    }
}

struct Load<'a> {
    library: &'a Library,
    mistakes: &'a Mistakes,
    inputs: &'a Inputs,
    catalogue: &'a Catalogue,
    /// How many nodes the files read so far have, as the guard counts them.
    nodes: Cell<usize>,
}

/// The steps of one file, in order.
pub type Steps<'t> = Vec<(u16, Vec<Node<'t>>)>;

impl<'a> Load<'a> {
    fn plan(&self, path: &Path) -> Option<Plan> {
        let (file, mut root) = self.open(path)?;
        let folder = self.library.get(file).folder.clone();
        let reader = self.reader(file);
        let mut steps: Steps<'a> = Vec::new();
        steps.push((file, take_steps(&mut root)));
        let fields = reader.fields(&root, PLAN, "the plan")?;
        if let Some(node) = fields.get(Top::Relevo) {
            reader.version(node, "relevo");
        }
        let name = fields.get(Top::Name).and_then(|node| reader.some_text(node, "name")).unwrap_or("").to_owned();
        let description = fields.get(Top::Description).and_then(|node| reader.text(node, "description")).map(str::to_owned);
        if let Some(node) = fields.get(Top::Steps)
            && !matches!(node.kind, Kind::List(_))
        {
            reader.error(node, format!("`steps` must be a list, found {}", node.what()), "begin each step with `- id: …`");
        }
        if let Some(node) = fields.get(Top::Include) {
            let mut above = vec![std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())];
            self.include(reader, node, beside(path), &folder, &mut above, &mut steps);
        }
        let values = self.params(reader, fields.get(Top::Params), &folder);
        let (read, missing) = self.targets(reader, fields.get(Top::Targets), beside(path));
        let mut window = read.window;
        if let Some(node) = fields.get(Top::Window) {
            let hint = "put it into the targets file: a plan is used for more than one weekend";
            reader.warn(node, "the plan carries a window of its own", hint);
            let own = targets::window(reader, node);
            window = window.or(own);
        }
        if let Some(path) = &self.inputs.window {
            window = self.window_file(path).or(window);
        }
        let mut limits = Vec::new();
        let named = self.limits(reader, fields.get(Top::Limits), &mut limits);
        let mut target_limits = std::collections::HashMap::new();
        for (name, max) in read.limits {
            target_limits.insert(name.clone(), limit_ix(&limits));
            limits.push(Limit { name, max });
        }
        let defaults = fields.get(Top::Defaults).map_or_else(Defaults::default, |node| defaults(reader, node));
        let max_parallel =
            fields.get(Top::MaxParallel).and_then(|node| reader.count(node, "max_parallel", 10_000)).unwrap_or(MAX_PARALLEL);
        if steps.iter().all(|(_, steps)| steps.is_empty())
            && fields.get(Top::Steps).is_some_and(|node| matches!(node.kind, Kind::List(_)))
        {
            let node = fields.get(Top::Steps)?;
            reader.error(node, "the plan has no steps", "a step is `- id: …` with one of `uses`, `gate`, `manual`, `checkpoint`");
        }
        drop(root);
        let mut hash = Sha256::new();
        for (file, _) in &steps {
            hash.update(self.library.get(*file).text.as_bytes());
        }
        let sha256 = super::hex(&hash.finalize());
        let env = build::Env {
            mistakes: self.mistakes,
            library: self.library,
            catalogue: self.catalogue,
            params: &values,
            targets: &read.targets,
            missing_targets: missing,
            said_missing: Cell::new(false),
            named: &named,
            target_limits: &target_limits,
            zone: window.as_ref().and_then(|window: &Window| crate::time::zone(&window.timezone).ok()),
            defaults: &defaults,
        };
        let texts: Vec<u16> = steps.iter().map(|(file, _)| *file).collect();
        let built = build::build(&env, steps, limits);
        let texts = texts.iter().map(|file| self.library.get(*file).text.as_str());
        let whole = Fingerprints::default().whole(texts, &read.targets.value, &values, window.as_ref(), &built.steps);
        Some(Plan {
            name,
            description,
            steps: built.steps,
            dependants: built.dependants,
            limits: built.limits,
            max_parallel,
            window,
            params: values,
            targets: std::sync::Arc::new(read.targets),
            folder,
            index: built.index,
            groups: built.groups,
            sha256,
            whole,
        })
    }

    fn reader(&self, file: u16) -> Reader<'a> {
        Reader { mistakes: self.mistakes, file }
    }

    /// Reads and parses a file. What is wrong with it is reported; `None` if there is nothing to go on with.
    fn open(&self, path: &Path) -> Option<(u16, Node<'a>)> {
        let read = match &self.inputs.texts {
            None => source::read(path),
            Some(texts) => source::kept(path, texts),
        };
        match read {
            Ok(source) => self.parse(source),
            Err(unreadable) => {
                let empty = Source { path: path.to_owned(), folder: PathBuf::new(), text: String::new(), file: false };
                let file = self.library.add(empty)?;
                self.mistakes.error(Place { file, spot: Spot::Whole }, unreadable.message, unreadable.hint);
                None
            }
        }
    }

    fn parse(&self, source: Source) -> Option<(u16, Node<'a>)> {
        let Some(file) = self.library.add(source) else {
            let place = Place { file: 0, spot: Spot::Whole };
            self.mistakes.error(place, "the plan consists of too many files", "");
            return None;
        };
        let text = self.library.get(file).text.as_str();
        let look = guard::look(text);
        for refusal in &look.refusals {
            let place = Place { file, spot: Spot::Bytes(refusal.start, refusal.end) };
            self.mistakes.error(place, refusal.message.clone(), refusal.hint);
        }
        self.mistakes.count_errors(look.count - look.refusals.len());
        if look.fatal {
            return None;
        }
        self.nodes.set(self.nodes.get() + look.nodes);
        if self.nodes.get() > MOST_NODES {
            let hint = "split the plan; what is made from a table may be one `for_each`";
            let message = format!("the plan holds more than {MOST_NODES} texts, numbers, lists and maps");
            self.mistakes.error(Place { file, spot: Spot::Whole }, message, hint);
            return None;
        }
        match node::parse(text) {
            Ok((node, odd)) => {
                let reader = self.reader(file);
                for oddity in odd {
                    match oddity.first {
                        Some(first) => self.mistakes.error_with(
                            reader.at(oddity.at),
                            oddity.message,
                            oddity.hint,
                            (reader.at(first), "first given here"),
                        ),
                        None => self.mistakes.error(reader.at(oddity.at), oddity.message, oddity.hint),
                    }
                }
                if node.is_none() {
                    let hint = "a plan begins with `relevo: 1`";
                    self.mistakes.error(Place { file, spot: Spot::Whole }, "the file is empty", hint);
                }
                Some((file, node?))
            }
            Err(broken) => {
                let place = Place { file, spot: Spot::Bytes(broken.start, broken.start + 1) };
                self.mistakes.error(place, broken.message, broken.hint);
                None
            }
        }
    }

    /// Reads the fragments that `node` lists, and theirs.
    fn include(
        &self,
        reader: Reader<'_>,
        node: &Node<'_>,
        folder: &Path,
        root: &Path,
        above: &mut Vec<PathBuf>,
        steps: &mut Steps<'a>,
    ) {
        for (name, node) in reader.texts(node, "include") {
            let refuse = |message: String| {
                reader.error(node, message, "a fragment lies in the plan's folder or below it");
            };
            let relative = Path::new(name);
            let plain =
                relative.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
            if name.is_empty() || !plain {
                refuse(format!("`{}` leads out of the plan's folder", short(name)));
                continue;
            }
            let path = folder.join(relative);
            let real = match std::fs::canonicalize(&path) {
                Ok(real) => real,
                // A kept text was checked when it was kept; its file may be gone by now.
                Err(_) if self.inputs.texts.is_some() => path.clone(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    reader.error(
                        node,
                        format!("there is no file `{}`", short(name)),
                        format!("it is looked for as `{}`", path.display()),
                    );
                    continue;
                }
                Err(error) => {
                    reader.error(node, format!("`{}` cannot be read: {error}", short(name)), "");
                    continue;
                }
            };
            if !real.starts_with(root) && self.inputs.texts.is_none() {
                refuse(format!("`{}` is a link that leads out of the plan's folder", short(name)));
                continue;
            }
            if above.contains(&real) {
                reader.error(node, format!("`{}` includes itself", short(name)), "remove one of the two `include`");
                continue;
            }
            if above.len() > DEEPEST_INCLUDE {
                reader.error(node, format!("fragments are nested deeper than {DEEPEST_INCLUDE}"), "");
                continue;
            }
            let Some((file, mut fragment)) = self.open(&path) else { continue };
            let inner = self.reader(file);
            steps.push((file, take_steps(&mut fragment)));
            let Some(fields) = inner.fields(&fragment, FRAGMENT, "a fragment") else { continue };
            if let Some(node) = fields.get(FragmentKey::Relevo) {
                inner.version(node, "relevo");
            }
            if let Some(node) = fields.get(FragmentKey::Steps)
                && !matches!(node.kind, Kind::List(_))
            {
                inner.error(node, format!("`steps` must be a list, found {}", node.what()), "begin each step with `- id: …`");
            }
            if let Some(node) = fields.get(FragmentKey::Include) {
                above.push(real);
                self.include(inner, node, beside(&path), root, above, steps);
                above.pop();
            }
        }
    }

    /// The values of all parameters. One without a value gets a placeholder, so that its absence is said only once.
    fn params(&self, reader: Reader<'_>, node: Option<&Node<'_>>, folder: &Path) -> Map<String, Value> {
        let declared = node.map(|node| params::declared(reader, node, folder)).unwrap_or_default();
        let mut values: Map<String, Value> = Map::new();
        let known = |name: &str| declared.iter().find(|param| param.name == name);
        for path in &self.inputs.params_files {
            let Some((file, node)) = self.open(path) else { continue };
            let reader = self.reader(file);
            let Some(entries) = node.map() else {
                reader.error(&node, format!("a file of parameters must be a map, found {}", node.what()), "write `name: value`");
                continue;
            };
            let folder = &self.library.get(file).folder;
            for (key, value) in entries {
                match known(&key.name) {
                    Some(param) => {
                        if let Some(value) = params::check(reader, value, param, folder) {
                            values.insert(param.name.clone(), value);
                        }
                    }
                    None => reader.mistakes.error(
                        reader.at(key.at),
                        format!("the plan has no parameter `{}`", short(&key.name)),
                        self.mistakes.did_you_mean(&key.name, declared.iter().map(|param| param.name.as_str())),
                    ),
                }
            }
        }
        for (name, text) in &self.inputs.params {
            if let Some(value) = self.given(name, text, &declared) {
                values.insert(name.clone(), value);
            }
        }
        for param in &declared {
            if values.contains_key(&param.name) {
                continue;
            }
            let value = match &param.default {
                Some(default) => default.clone(),
                None if !param.required => Value::Null,
                None => {
                    if !self.inputs.placeholders {
                        let message = format!("the parameter `{}` has no value", param.name);
                        let hint = format!("give it with `--param {}=…` or `--params FILE`", param.name);
                        self.mistakes.error(reader.at(param.at), message, hint);
                    }
                    params::placeholder(param)
                }
            };
            values.insert(param.name.clone(), value);
        }
        values
    }

    /// A value of the command line.
    fn given(&self, name: &str, text: &str, declared: &[Param]) -> Option<Value> {
        let label = |shown: &str| Source {
            path: PathBuf::from(format!("--param {name}={shown}")),
            folder: std::env::current_dir().unwrap_or_default(),
            text: text.to_owned(),
            file: false,
        };
        let Some(param) = declared.iter().find(|param| param.name == name) else {
            let file = self.library.add(label("…"))?;
            let hint = self.mistakes.did_you_mean(name, declared.iter().map(|param| param.name.as_str()));
            let place = Place { file, spot: Spot::Whole };
            self.mistakes.error(place, format!("the plan has no parameter `{}`", short(name)), hint);
            return None;
        };
        let shown = if param.scalar == params::Scalar::Secret { "…".to_owned() } else { short(text) };
        let source = label(&shown);
        let folder = source.folder.clone();
        let quoted = text.starts_with(['"', '\'']);
        if params::takes_raw_text(param) && !quoted {
            let file = self.library.add(source)?;
            let node = Node { at: 0, kind: Kind::Text(text.into()) };
            return params::check(self.reader(file), &node, param, &folder);
        }
        let (file, node) = self.parse(source)?;
        params::check(self.reader(file), &node, param, &folder)
    }

    /// The targets file. If there is none, the second value says which one was looked for.
    fn targets(&self, reader: Reader<'_>, node: Option<&Node<'_>>, folder: &Path) -> (targets::Read, Option<PathBuf>) {
        let named = node.and_then(|node| reader.some_text(node, "targets").map(|text| (folder.join(text), node)));
        let (path, asked) = match (&self.inputs.targets, named) {
            (Some(path), _) => (path.clone(), true),
            (None, Some((path, _))) => (path, true),
            (None, None) => (folder.join("targets.yaml"), false),
        };
        let exists = match &self.inputs.texts {
            None => path.exists(),
            Some(texts) => source::kept(&path, texts).is_ok(),
        };
        if !asked && !exists {
            return (targets::Read::default(), Some(path));
        }
        if let (Some(node), None) = (node, &self.inputs.targets)
            && !exists
        {
            reader.error(
                node,
                format!("there is no targets file `{}`", path.display()),
                "write it, or name another with `--targets FILE`",
            );
            return (targets::Read::default(), None);
        }
        match self.open(&path) {
            Some((file, root)) => {
                let folder = &self.library.get(file).folder;
                (targets::read(self.reader(file), &root, &path, folder), None)
            }
            None => (targets::Read::default(), None),
        }
    }

    fn window_file(&self, path: &Path) -> Option<Window> {
        let (file, root) = self.open(path)?;
        targets::window(self.reader(file), &root)
    }

    fn limits(
        &self,
        reader: Reader<'_>,
        node: Option<&Node<'_>>,
        limits: &mut Vec<Limit>,
    ) -> std::collections::BTreeMap<String, LimitIx> {
        let mut named = std::collections::BTreeMap::new();
        let Some(node) = node else { return named };
        let Some(entries) = node.map() else {
            reader.error(node, format!("`limits` must be a map, found {}", node.what()), "write `limits: { sql01: 1 }`");
            return named;
        };
        for (key, value) in entries {
            if !is_word(&key.name) {
                let hint = "a name is a letter, then letters, digits, `_` and `-`";
                self.mistakes.error(reader.at(key.at), format!("`{}` cannot be a limit's name", short(&key.name)), hint);
            }
            let max = reader.count(value, &key.name, 10_000).unwrap_or(1);
            named.insert(key.name.clone().into_owned(), limit_ix(limits));
            limits.push(Limit { name: key.name.clone().into_owned(), max });
        }
        named
    }
}

/// The folder of a file as it was named: messages speak of files the way the operator does.
fn beside(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The place of the next limit.
pub(super) fn limit_ix(limits: &[Limit]) -> LimitIx {
    LimitIx(u32::try_from(limits.len()).unwrap_or(u32::MAX))
}

/// Takes the list of steps out of a file's tree, so that each step can be dropped once it is built.
fn take_steps<'t>(root: &mut Node<'t>) -> Vec<Node<'t>> {
    if let Kind::Map(entries) = &mut root.kind {
        for (key, value) in entries {
            if key.name == "steps"
                && let Kind::List(items) = &mut value.kind
            {
                return std::mem::take(items);
            }
        }
    }
    Vec::new()
}

fn defaults(reader: Reader<'_>, node: &Node<'_>) -> Defaults {
    let mut defaults = Defaults::default();
    let Some(fields) = reader.fields(node, DEFAULTS, "`defaults`") else { return defaults };
    defaults.timeout = fields.get(DefaultsKey::Timeout).and_then(|node| reader.some_span(node, "timeout"));
    defaults.deadline = fields.get(DefaultsKey::Deadline).and_then(|node| reader.some_span(node, "deadline"));
    if let Some(node) = fields.get(DefaultsKey::Retry) {
        defaults.retry = build::retry(reader, node, defaults.retry);
    }
    if let Some(node) = fields.get(DefaultsKey::OnFailure) {
        defaults.on_failure = build::on_failure(reader, node);
        defaults.on_failure_at = Some(reader.at(node.at));
    }
    defaults
}
