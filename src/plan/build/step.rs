//! One written step: its instances, and the keys that every kind of step has.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use serde_json::Value;

use super::checks::Use;
use super::failure::{on_failure, retry};
use super::for_each::item_text;
use super::resolve::Cx;
use super::survey::Written;
use super::{Built, Env, MOST_STEPS, number};
use crate::plan::action::Effect;
use crate::plan::fingerprint::Fingerprints;
use crate::plan::keys::{ESTIMATE, EstimateKey, IN_DOUBT, STEP, StepKey};
use crate::plan::load::limit_ix;
use crate::plan::node::{Kind, Node};
use crate::plan::read::{Fields, Reader};
use crate::plan::{Call, Estimate, InDoubt, Limit, LimitIx, Step, StepId, StepIx, Targets, Work};
use crate::time::Span;

/// Builds steps one after the other.
pub(super) struct Builder<'a> {
    env: &'a Env<'a>,
    uses: &'a RefCell<Vec<Use>>,
    fingerprints: Fingerprints,
    built: Built,
}

impl<'a> Builder<'a> {
    /// A builder that expects about `count` steps.
    pub(super) fn new(env: &'a Env<'a>, uses: &'a RefCell<Vec<Use>>, limits: Vec<Limit>, count: usize) -> Self {
        let built = Built { steps: Vec::with_capacity(count), limits, ..Built::default() };
        Builder { env, uses, fingerprints: Fingerprints::default(), built }
    }

    /// Everything built.
    pub(super) fn finish(self) -> Built {
        self.built
    }

    /// Builds the instances of one written step.
    pub(super) fn step(&mut self, file: u16, node: &Node<'_>, at: u32, written: &mut [Written]) {
        let reader = Reader { mistakes: self.env.mistakes, file };
        let first = number(self.built.steps.len());
        let needs: Vec<Cow<'_, str>> = written[at as usize]
            .needs
            .iter()
            .map(|need| {
                let id = written[need.step as usize].id.as_ref();
                need.item.as_ref().map_or(id.into(), |item| format!("{id}[{item}]").into())
            })
            .collect();
        let step = &written[at as usize];
        let id = Arc::clone(&step.id);
        let (line, place) = (step.line, step.at);
        let what = if id.is_empty() { "the step".to_owned() } else { format!("the step `{id}`") };
        let Some(fields) = reader.fields(node, STEP, &what) else {
            written[at as usize].first = first;
            return;
        };
        let cx = Cx::new(self.env, reader, None, at, self.uses);
        match fields.get(StepKey::ForEach) {
            None => {
                let mut built = self.instance(&cx, &fields, node, &id, None, line);
                built.fingerprint = self.fingerprints.of(&built, &needs, &cx.bound.borrow());
                self.push(built);
            }
            Some(node_each) => {
                let Some((name, items, max)) = cx.for_each(node_each) else {
                    written[at as usize].first = first;
                    return;
                };
                let limit = max.map(|max| {
                    let ix = limit_ix(&self.built.limits);
                    self.built.limits.push(Limit { name: id.to_string(), max });
                    ix
                });
                let name: Arc<str> = Arc::from(name);
                let mut group = Vec::with_capacity(items.len());
                for item in items {
                    if self.built.steps.len() >= MOST_STEPS {
                        reader.mistakes.error(reader.at(place), "the plan has too many steps", "");
                        break;
                    }
                    let instance = Cx::new(self.env, reader, Some((&name, &item)), at, self.uses);
                    let errors = self.env.mistakes.errors();
                    let mut built = self.instance(&instance, &fields, node, &id, Some((&name, &item)), line);
                    built.limits.extend(limit);
                    built.fingerprint = self.fingerprints.of(&built, &needs, &instance.bound.borrow());
                    group.push(StepIx(number(self.built.steps.len())));
                    self.push(built);
                    if self.env.mistakes.errors() > errors {
                        // The other instances would only say the same again.
                        break;
                    }
                }
                self.built.groups.insert(id.to_string(), group);
            }
        }
        let step = &mut written[at as usize];
        step.first = first;
        step.count = number(self.built.steps.len()) - first;
        step.broken = self.built.steps.get(first as usize).is_some_and(|built| matches!(built.work, Work::Checkpoint))
            && fields.get(StepKey::Checkpoint).is_none();
    }

    fn push(&mut self, step: Step) {
        self.built.index.insert(step.id.clone(), StepIx(number(self.built.steps.len())));
        self.built.steps.push(step);
    }

    fn instance(
        &self,
        cx: &Cx<'_>,
        fields: &Fields<'_, '_>,
        node: &Node<'_>,
        written: &Arc<str>,
        item: Option<(&Arc<str>, &Value)>,
        line: u32,
    ) -> Step {
        let reader = cx.reader;
        let work = cx.work(fields, node);
        let broken = matches!(work, Work::Checkpoint) && fields.get(StepKey::Checkpoint).is_none();
        let is_action = matches!(work, Work::Action(_));
        let defaults = self.env.defaults;
        let outputs = if broken { Vec::new() } else { cx.outputs(fields.get(StepKey::Outputs), &work) };
        let timeout = fields.get(StepKey::Timeout).and_then(|node| cx.span(node, "timeout"));
        let deadline = fields.get(StepKey::Deadline).and_then(|node| cx.span(node, "deadline"));
        if !is_action {
            cx.only_for_actions(fields);
        }
        let mut limits: Vec<LimitIx> = cx.limits.take();
        if let Some(node) = fields.get(StepKey::Limits) {
            for (name, node) in reader.texts(node, "limits") {
                match self.env.named.get(name) {
                    Some(ix) => limits.push(*ix),
                    None => reader.unknown(node, "limit", name, self.env.named.keys().map(String::as_str)),
                }
            }
        }
        limits.sort_unstable();
        limits.dedup();
        let retry = match fields.get(StepKey::Retry) {
            Some(node) => {
                let retry = retry(reader, node, defaults.retry);
                if let Work::Action(action) = &work
                    && matches!(action.effect, Effect::Opaque | Effect::Once)
                    && retry.attempts > 1
                {
                    let class = if action.effect == Effect::Opaque { "opaque" } else { "once" };
                    reader.warn(
                        node,
                        format!("the effect is `{class}`, so a failed attempt is never repeated without a person"),
                        "declare `effect: ensure` or `keyed` if repeating it is harmless",
                    );
                }
                retry
            }
            None => defaults.retry,
        };
        let mut before = cx.conditions(fields.get(StepKey::Before), "before");
        cx.after.set(true);
        let mut after = cx.conditions(fields.get(StepKey::After), "after");
        cx.after.set(false);
        before.shrink_to_fit();
        after.shrink_to_fit();
        let (work_effect, call) = match &work {
            Work::Action(action) => (Some((action.effect, action.probed)), Some(&action.call)),
            Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => (None, None),
        };
        let in_doubt = fields.get(StepKey::InDoubt).and_then(|node| cx.in_doubt(node, work_effect));
        let stable_for = stable_for(self.env.targets, call);
        let id = match item {
            None => StepId(Arc::clone(written)),
            Some((_, value)) => StepId::new(&format!("{written}[{}]", item_text(value))),
        };
        Step {
            id,
            written: Arc::clone(written),
            item: item.map(|(name, value)| (Arc::clone(name), value.clone())),
            name: fields.get(StepKey::Name).and_then(|node| cx.text_now(node, "name")),
            work,
            needs: Vec::new(),
            when: fields.get(StepKey::When).and_then(|node| cx.truth(node, "when", Some(&[]))),
            before,
            after,
            limits,
            acts_on: fields.get(StepKey::ActsOn).map_or_else(Vec::new, |node| cx.acts_on(node)),
            timeout: if is_action { timeout.or(defaults.timeout) } else { None },
            deadline: if is_action { deadline.or(defaults.deadline) } else { None },
            retry,
            on_failure: fields.get(StepKey::OnFailure).map_or(defaults.on_failure, |node| on_failure(reader, node)),
            in_doubt,
            stable_for,
            outputs: outputs.into(),
            estimate: fields.get(StepKey::Estimate).and_then(|node| cx.estimate(node)),
            point_of_no_return: fields
                .get(StepKey::PointOfNoReturn)
                .and_then(|node| reader.bool(node, "point_of_no_return"))
                .unwrap_or(false),
            not_before: fields.get(StepKey::NotBefore).and_then(|node| cx.moment(node)),
            owner: fields.get(StepKey::Owner).and_then(|node| cx.text_now(node, "owner")),
            tags: fields
                .get(StepKey::Tags)
                .map_or_else(Vec::new, |node| reader.texts(node, "tags").into_iter().map(|(tag, _)| tag.to_owned()).collect()),
            fingerprint: Arc::from(""),
            line,
        }
    }
}

/// How far two looks at a program on this machine must be apart: nothing but the program itself can be late.
const LOCAL: Span = Span::from_secs(2);
/// The same for a target that does not say how long a change takes to be seen everywhere.
const REMOTE: Span = Span::from_secs(10);

/// The time in which a change is seen everywhere: the longest `settle.stable_for` of the targets that the call names.
fn stable_for(targets: &Targets, call: Option<&Call>) -> Span {
    let Some(call) = call else { return LOCAL };
    let said = targets
        .named_in(&call.with)
        .into_values()
        .filter_map(|entry| entry.get("settle")?.get("stable_for")?.as_str()?.parse::<Span>().ok());
    match said.max() {
        Some(said) => said,
        None if matches!(call.uses.as_str(), "command" | "noop" | "wait") => LOCAL,
        None => REMOTE,
    }
}

impl Cx<'_> {
    /// What the author says of an attempt in doubt. What no look can decide is never repeated unseen.
    fn in_doubt(&self, node: &Node<'_>, effect: Option<(Effect, bool)>) -> Option<InDoubt> {
        let said = match self.reader.word(node, "in_doubt", IN_DOUBT)? {
            "repeat" => InDoubt::Repeat,
            _ => InDoubt::Ask,
        };
        if said == InDoubt::Repeat
            && effect.is_some_and(|(effect, probed)| effect == Effect::Opaque || !probed && effect != Effect::Read)
        {
            let hint = "give the step an `effect` other than `opaque`, and a `probe` that tells whether it is done";
            self.reader.error(node, "an attempt in doubt is repeated only where a look can say that it was not done", hint);
        }
        Some(said)
    }

    fn work(&self, fields: &Fields<'_, '_>, node: &Node<'_>) -> Work {
        let kinds = [StepKey::Uses, StepKey::Gate, StepKey::Manual, StepKey::Checkpoint];
        let given: Vec<StepKey> = kinds.into_iter().filter(|key| fields.get(*key).is_some()).collect();
        let hint = "a step has exactly one of `uses`, `gate`, `manual` and `checkpoint`";
        let first = match given.as_slice() {
            [] => {
                self.reader.error(node, "the step does nothing", hint);
                return Work::Checkpoint;
            }
            [one] => *one,
            [_, second, ..] => {
                let place = fields.key_at(*second).unwrap_or(node.at);
                self.reader.mistakes.error(self.reader.at(place), "the step is two things at once", hint);
                given[0]
            }
        };
        let Some(value) = fields.get(first) else { return Work::Checkpoint };
        match first {
            StepKey::Uses => self.action(fields, value).map_or(Work::Checkpoint, |action| Work::Action(Box::new(action))),
            StepKey::Gate => self.gate(value).map_or(Work::Checkpoint, |gate| Work::Gate(Box::new(gate))),
            StepKey::Manual => self.manual(value).map_or(Work::Checkpoint, |manual| Work::Manual(Box::new(manual))),
            _ => {
                if value.kind != Kind::Bool(true) {
                    self.reader.error(value, format!("`checkpoint` must be `true`, found {}", value.what()), "");
                }
                Work::Checkpoint
            }
        }
    }

    /// Names of targets, and words of the author's own.
    fn acts_on(&self, node: &Node<'_>) -> Vec<String> {
        let items = self.reader.list(node, "acts_on").unwrap_or_default();
        let named = items.iter().filter_map(|item| {
            let name = self.text_now(item, "acts_on")?;
            let fits = !name.trim().is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
            if !fits {
                let hint = "write the name of a target, or a word of your own such as `billing-db`";
                self.reader.error(item, "an item of `acts_on` is no name", hint);
            }
            fits.then_some(name)
        });
        named.collect()
    }

    /// Keys that mean nothing for a gate, a manual step or a checkpoint.
    fn only_for_actions(&self, fields: &Fields<'_, '_>) {
        if fields.get(StepKey::Uses).is_some() {
            return;
        }
        if let (Some(at), None) = (fields.key_at(StepKey::ActsOn), fields.get(StepKey::Manual)) {
            let message = "`acts_on` belongs to a step with `uses` or `manual`";
            self.reader.mistakes.error(self.reader.at(at), message, "a gate and a checkpoint change nothing");
        }
        for (key, name) in [
            (StepKey::With, "with"),
            (StepKey::Probe, "probe"),
            (StepKey::Effect, "effect"),
            (StepKey::Destructive, "destructive"),
            (StepKey::Undo, "undo"),
            (StepKey::Retry, "retry"),
            (StepKey::InDoubt, "in_doubt"),
            (StepKey::Timeout, "timeout"),
            (StepKey::Deadline, "deadline"),
        ] {
            if let Some(at) = fields.key_at(key) {
                let hint = match key {
                    StepKey::Timeout | StepKey::Deadline => "a gate has `expires`",
                    StepKey::Probe => "a manual step has `probe` under `manual`",
                    _ => "",
                };
                self.reader.mistakes.error(self.reader.at(at), format!("`{name}` belongs to a step with `uses`"), hint);
            }
        }
    }

    fn estimate(&self, node: &Node<'_>) -> Option<Estimate> {
        let fields = self.reader.fields(node, ESTIMATE, "`estimate`")?;
        let p50 = self.reader.span(fields.get(EstimateKey::P50)?, "p50")?;
        let p90 = fields.get(EstimateKey::P90).map_or(Some(p50), |node| self.reader.span(node, "p90"))?;
        if p90 < p50 {
            self.reader.error(fields.get(EstimateKey::P90)?, "`p90` is shorter than `p50`", "");
        }
        Some(Estimate { p50, p90, undo: fields.get(EstimateKey::Undo).and_then(|node| self.reader.span(node, "undo")) })
    }
}
