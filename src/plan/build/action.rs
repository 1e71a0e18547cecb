//! `uses`, with everything that says how an action is done, looked for and undone.

use super::resolve::Cx;
use crate::plan::Action;
use crate::plan::action::{Effect, UndoGrade};
use crate::plan::keys::{CALL, CallKey, EFFECTS, StepKey};
use crate::plan::node::Node;
use crate::plan::read::Fields;

impl Cx<'_> {
    pub(super) fn action(&self, fields: &Fields<'_, '_>, uses: &Node<'_>) -> Option<Action> {
        let (call, spec) = self.call(uses, fields.get(StepKey::With), true)?;
        if !spec.generic {
            for (key, name) in [
                (StepKey::Probe, "probe"),
                (StepKey::Effect, "effect"),
                (StepKey::Destructive, "destructive"),
                (StepKey::Undo, "undo"),
            ] {
                if let Some(at) = fields.key_at(key) {
                    let message = format!("`{name}` is decided by the action `{}`", spec.name);
                    self.reader.mistakes.error(self.reader.at(at), message, "it is declared only for actions such as `command`");
                }
            }
        }
        let effect = match fields.get(StepKey::Effect).filter(|_| spec.generic) {
            Some(node) => match self.reader.word(node, "effect", EFFECTS) {
                Some("read") => Effect::Read,
                Some("ensure") => Effect::Ensure,
                Some("cas") => Effect::Cas,
                Some("keyed") => Effect::Keyed,
                Some("once") => Effect::Once,
                _ => Effect::Opaque,
            },
            None => spec.effect,
        };
        let destructive = match fields.get(StepKey::Destructive).filter(|_| spec.generic) {
            Some(node) => {
                let destructive = self.reader.bool(node, "destructive").unwrap_or(false);
                if destructive && effect == Effect::Read {
                    self.reader.error(node, "a step that only reads destroys nothing", "remove `destructive` or change `effect`");
                }
                destructive
            }
            None => spec.destructive,
        };
        let probe = fields.get(StepKey::Probe).filter(|_| spec.generic).and_then(|node| self.probe(node, "`probe`"));
        if let Some(node) = fields.get(StepKey::Effect)
            && effect == Effect::Once
            && probe.is_none()
            && fields.get(StepKey::Probe).is_none()
        {
            self.reader.warn(
                node,
                "the effect is `once` and there is no probe to decide whether it is there",
                "add `probe`, or leave `effect` out: in doubt a person decides either way",
            );
        }
        let undo = fields.get(StepKey::Undo).filter(|_| spec.generic).and_then(|node| {
            let fields = self.reader.fields(node, CALL, "`undo`")?;
            Some(self.call(fields.get(CallKey::Uses)?, fields.get(CallKey::With), false)?.0)
        });
        let own = self.env.catalogue.undo_of(spec.name, &call.with).filter(|_| undo.is_none());
        let undo_grade = if undo.is_some() { UndoGrade::Full } else { own.map_or(spec.undo, |own| own.grade) };
        let undo_says = own.map(|own| own.says);
        let probed = probe.is_some() || (!spec.generic && effect != Effect::Read);
        let keeps = spec.keeps;
        Some(Action { call, effect, destructive, keeps, probe, undo, undo_grade, undo_says, probed })
    }
}
