//! `for_each`: the items that a step is done for.

use std::collections::HashSet;

use serde_json::Value;

use super::resolve::{Cx, NOTHING, json_kind};
use crate::foreign::hidden;
use crate::plan::diagnostic::short;
use crate::plan::keys::{FOR_EACH, ForEachKey};
use crate::plan::node::{Kind, Node};
use crate::plan::read::is_word;

/// The longest text that may stand for an item in a step's id.
const LONGEST_ITEM: usize = 128;

impl Cx<'_> {
    /// The name, the items and the limit of a `for_each`.
    pub(super) fn for_each(&self, node: &Node<'_>) -> Option<(String, Vec<Value>, Option<u32>)> {
        let fields = self.reader.fields(node, FOR_EACH, "`for_each`")?;
        let max = fields.get(ForEachKey::MaxParallel).and_then(|node| self.reader.count(node, "max_parallel", 10_000));
        let name_node = fields.get(ForEachKey::As)?;
        let name = self.reader.text(name_node, "as")?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word(name)
            || !plain
            || matches!(
                name,
                "params" | "targets" | "steps" | "true" | "false" | "none" | "not" | "and" | "or" | "in" | "is" | "if" | "else"
            )
        {
            let hint = "it is a letter, then letters, digits and `_`, and no word of the language";
            self.reader.error(name_node, format!("`{}` cannot be the name of an item", short(name)), hint);
            return None;
        }
        let items_node = fields.get(ForEachKey::Items)?;
        let value = self.resolve(items_node, false);
        let Value::Array(items) = value else {
            if value != NOTHING || items_node.kind == Kind::Null {
                let hint = "write a list, or an expression such as `${{ targets.groups.servers }}`";
                self.reader.error(items_node, format!("`items` must be a list, found {}", json_kind(&value)), hint);
            }
            return None;
        };
        if items.is_empty() {
            self.reader.warn(items_node, "the list is empty, so the step has no instances", "");
        }
        let nodes: &[Node<'_>] = if let Kind::List(nodes) = &items_node.kind { nodes } else { &[] };
        let mut seen = HashSet::new();
        let mut sound = true;
        for (at, item) in items.iter().enumerate() {
            let place = nodes.get(at).unwrap_or(items_node);
            let mut refuse = |message: String, hint: &str| {
                sound = false;
                self.reader.error(place, message, hint);
            };
            if *item == NOTHING {
                sound = false;
                continue;
            }
            if !(item.is_string() || item.is_number()) {
                refuse(format!("an item must be a text or a number, found {}", json_kind(item)), "");
                continue;
            }
            let text = item_text(item);
            let printable = text.chars().all(|c| hidden(c).is_none() && c != '[' && c != ']');
            if text.trim().is_empty() || text.len() > LONGEST_ITEM || !printable {
                let hint = "it becomes part of the step's id: at most 128 printable characters, no brackets";
                refuse(format!("`{}` cannot be an item", short(&text)), hint);
            } else if !seen.insert(text.to_lowercase()) {
                refuse(format!("the item `{}` is there twice", short(&text)), "each item gives one instance, whose id holds it");
            }
        }
        sound.then(|| (name.to_owned(), items, max))
    }
}

/// How an item is written in an id and in expressions.
pub(super) fn item_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
