//! The first look at the written steps: ids, and the few facts that the graph and the checks across steps need.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{Env, number};
use crate::plan::diagnostic::{Place, Spot, short};
use crate::plan::load::Steps;
use crate::plan::node::Kind;
use crate::plan::read::{Reader, is_id};

/// One entry of a step's `needs`.
pub(super) struct Need {
    /// The written step.
    pub(super) step: u32,
    /// The item, if one instance only is needed.
    pub(super) item: Option<Box<str>>,
    /// The node that says so.
    pub(super) at: u32,
}

/// What the survey keeps of a written step.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one step, each asked for by its name")]
pub(super) struct Written {
    pub(super) id: Arc<str>,
    pub(super) file: u16,
    /// The node of its id.
    pub(super) at: u32,
    pub(super) line: u32,
    pub(super) needs: Vec<Need>,
    pub(super) gate: bool,
    pub(super) point_of_no_return: Option<u32>,
    pub(super) destructive: bool,
    /// The node of an `on_failure: rollback`.
    pub(super) rollback: Option<u32>,
    pub(super) has_on_failure: bool,
    pub(super) uses: bool,
    pub(super) when: Option<Box<str>>,
    pub(super) for_each: bool,
    /// What it does could not be read, so nothing is said of its outputs.
    pub(super) broken: bool,
    /// Where its instances stand among the built steps.
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Collects ids, and what the graph needs. Entries without a usable id keep their place under an id that no step can have.
pub(super) fn survey(env: &Env<'_>, files: &Steps<'_>, written: &mut Vec<Written>) -> HashMap<Arc<str>, u32> {
    let mut names: HashMap<Arc<str>, u32> = HashMap::with_capacity(written.capacity());
    for (file, steps) in files {
        let reader = Reader { mistakes: env.mistakes, file: *file };
        let text = env.library.get(*file).text.as_str();
        let mut lines = Lines { text, at: 0, line: 1 };
        for node in steps {
            let mut step = Written {
                id: Arc::from(""),
                file: *file,
                at: node.at,
                line: lines.line,
                needs: Vec::new(),
                gate: false,
                point_of_no_return: None,
                destructive: false,
                rollback: None,
                has_on_failure: false,
                uses: false,
                when: None,
                for_each: false,
                broken: false,
                first: 0,
                count: 0,
            };
            for (key, value) in node.map().unwrap_or_default() {
                match key.name.as_ref() {
                    "id" => {
                        if let Some(id) = reader.text(value, "id") {
                            if is_id(id) {
                                step.id = Arc::from(id);
                                step.at = value.at;
                                step.line = lines.of(id);
                            } else {
                                let hint =
                                    "an id is a lower-case letter, then at most 63 lower-case letters, digits, `_` and `-`";
                                reader.error(value, format!("`{}` cannot be an id", short(id)), hint);
                                // Still found by those that need it, so that the mistake is not reported twice.
                                names.entry(Arc::from(id)).or_insert(number(written.len()));
                            }
                        }
                    }
                    "gate" => step.gate = true,
                    "for_each" => step.for_each = true,
                    "point_of_no_return" if value.kind == Kind::Bool(true) => step.point_of_no_return = Some(value.at),
                    "destructive" if value.kind == Kind::Bool(true) => step.destructive = true,
                    "on_failure" => {
                        step.has_on_failure = true;
                        step.rollback = (value.text() == Some("rollback")).then_some(value.at);
                    }
                    "uses" => {
                        step.uses = true;
                        let spec = value.text().and_then(|name| env.catalogue.get(name));
                        step.destructive |= spec.is_some_and(|spec| spec.destructive);
                    }
                    "when" => {
                        let source = value.text().map_or_else(|| value.what(), str::to_owned);
                        step.when = Some(source.into());
                    }
                    _ => {}
                }
            }
            if !step.id.is_empty() {
                let at = number(written.len());
                match names.entry(Arc::clone(&step.id)) {
                    Entry::Vacant(entry) => {
                        entry.insert(at);
                    }
                    Entry::Occupied(entry) => {
                        let first = written.get(*entry.get() as usize);
                        let first = first
                            .map_or(reader.at(step.at), |first: &Written| Place { file: first.file, spot: Spot::Node(first.at) });
                        let hint = "ids are unique within a plan";
                        let message = format!("the id `{}` is given twice", step.id);
                        if first.file == *file {
                            env.mistakes.error_with(reader.at(step.at), message, hint, (first, "first given here"));
                        } else {
                            let other = env.library.get(first.file).path.display().to_string();
                            env.mistakes.error(reader.at(step.at), format!("{message}: first in `{other}`"), hint);
                        }
                    }
                }
            }
            written.push(step);
        }
    }
    // Upper and lower case make no difference: an id also names files, and those may not know the difference.
    if names.keys().any(|id| !is_id(id)) {
        let mut folded: HashMap<String, Arc<str>> = HashMap::new();
        let mut ids: Vec<(&Arc<str>, &u32)> = names.iter().collect();
        ids.sort_by_key(|(_, at)| **at);
        for (id, at) in ids {
            if let Some(other) = folded.insert(id.to_lowercase(), Arc::clone(id)) {
                let step = &written[*at as usize];
                let place = Place { file: step.file, spot: Spot::Node(step.at) };
                env.mistakes.error(place, format!("the ids `{}` and `{}` differ only in case", short(&other), short(id)), "");
            }
        }
    }
    names
}

/// Counts lines up to the texts that are borrowed from a file, in one pass.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line of a part of the text. A text that had to be unescaped has no place in it; it gets the last line.
    fn of(&mut self, part: &str) -> u32 {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if offset >= self.at && offset < self.text.len() {
            let more = newlines(&self.text.as_bytes()[self.at..offset]);
            self.line += u32::try_from(more).unwrap_or(0);
            self.at = offset;
        }
        self.line
    }
}

/// Counts line breaks, in stretches short enough for a byte to count them: that the compiler turns into vector code.
fn newlines(bytes: &[u8]) -> usize {
    let in_stretch = |stretch: &[u8]| stretch.iter().fold(0u8, |count, byte| count.wrapping_add(u8::from(*byte == b'\n')));
    bytes.chunks(128).map(|stretch| usize::from(in_stretch(stretch))).sum()
}
