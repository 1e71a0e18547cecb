//! `outputs`: what a step gives to those that need it.

use super::resolve::Cx;
use crate::plan::action::ArgType;
use crate::plan::diagnostic::short;
use crate::plan::keys::{OUTPUT, OUTPUT_TYPES, OutputKey, STREAMS};
use crate::plan::node::{Kind, Node};
use crate::plan::read::{Reader, is_word};
use crate::plan::{Extract, Output, Work};

impl Cx<'_> {
    pub(super) fn outputs(&self, node: Option<&Node<'_>>, work: &Work) -> Vec<Output> {
        let given: Vec<&str> = match work {
            Work::Action(action) => match self.env.catalogue.get(&action.call.uses) {
                Some(spec) => spec.outputs.clone(),
                None => Vec::new(),
            },
            Work::Manual(manual) => manual.evidence.iter().map(|field| field.name.as_str()).collect(),
            Work::Gate(_) | Work::Checkpoint => Vec::new(),
        };
        let generic =
            matches!(work, Work::Action(action) if self.env.catalogue.get(&action.call.uses).is_some_and(|spec| spec.generic));
        let own = |name: &str| Output { name: name.to_owned(), from: None };
        let Some(node) = node else { return given.into_iter().map(own).collect() };
        match &node.kind {
            Kind::List(_) => {
                let mut outputs: Vec<Output> = Vec::new();
                for (name, node) in self.reader.texts(node, "outputs") {
                    if !given.contains(&name) {
                        if generic {
                            let hint = format!("say where it comes from: `outputs: {{ {}: {{ from: stdout }} }}`", short(name));
                            self.reader.error(
                                node,
                                format!("the action does not give an output `{}` by itself", short(name)),
                                hint,
                            );
                        } else {
                            self.reader.unknown(node, "output", name, given.iter().copied());
                        }
                    } else if outputs.iter().any(|output| output.name == name) {
                        self.reader.error(node, format!("the output `{}` is listed twice", short(name)), "");
                    } else {
                        outputs.push(own(name));
                    }
                }
                outputs
            }
            Kind::Map(entries) => {
                if !generic {
                    let hint = if given.is_empty() {
                        "this step has none".to_owned()
                    } else {
                        format!("write `outputs: [{}]`", given.join(", "))
                    };
                    self.reader.error(node, "the outputs of this step are its own; they are listed by name", hint);
                    return Vec::new();
                }
                let mut outputs: Vec<Output> = given.into_iter().map(own).collect();
                for (key, value) in entries {
                    if !is_word(&key.name) {
                        let hint = "a name is a letter, then letters, digits, `_` and `-`";
                        self.reader.mistakes.error(
                            self.reader.at(key.at),
                            format!("`{}` cannot be an output's name", short(&key.name)),
                            hint,
                        );
                    } else if let Some(from) = self.extract(value, &key.name) {
                        outputs.retain(|output| output.name != key.name);
                        outputs.push(Output { name: key.name.clone().into_owned(), from: Some(from) });
                    }
                }
                outputs
            }
            _ => {
                let hint = "write `outputs: [name]`, or `outputs: { name: { from: stdout } }` for a command";
                self.reader.error(node, format!("`outputs` must be a list or a map, found {}", node.what()), hint);
                Vec::new()
            }
        }
    }

    fn extract(&self, node: &Node<'_>, name: &str) -> Option<Extract> {
        let fields = self.reader.fields(node, OUTPUT, &format!("the output `{}`", short(name)))?;
        let from = match fields.get(OutputKey::From) {
            Some(node) => self.reader.word(node, "from", STREAMS)?,
            None => "stdout",
        };
        let regex = fields.get(OutputKey::Regex).and_then(|node| Some((self.reader.text(node, "regex")?, node)));
        if let Some((text, node)) = regex
            && let Err(error) = regex::Regex::new(text)
        {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            self.reader.error(node, format!("`regex` is not a regular expression: {reason}"), "");
        }
        let json = fields.get(OutputKey::Json).and_then(|node| Some((self.reader.text(node, "json")?, node)));
        if let Some((pointer, node)) = json
            && !pointer.is_empty()
            && !pointer.starts_with('/')
        {
            self.reader.error(
                node,
                format!("`{}` is not a JSON pointer", short(pointer)),
                format!("write `/{}`", short(&pointer.replace('.', "/"))),
            );
        }
        if regex.is_some() && json.is_some() {
            self.reader.error(node, "an output has at most one of `regex` and `json`", "");
        }
        if from == "exit" && (regex.is_some() || json.is_some()) {
            self.reader.error(node, "the exit code is a number: neither `regex` nor `json` applies", "");
        }
        let kind = match fields.get(OutputKey::Type) {
            Some(node) => output_type(self.reader, node)?,
            None if from == "exit" => ArgType::Integer,
            None if json.is_some() => ArgType::Any,
            None => ArgType::String,
        };
        Some(Extract {
            from: from.to_owned(),
            regex: regex.map(|(text, _)| text.to_owned()),
            json: json.map(|(text, _)| text.to_owned()),
            kind,
        })
    }
}

/// Reads the type of an output or of evidence.
pub(super) fn output_type(reader: Reader<'_>, node: &Node<'_>) -> Option<ArgType> {
    Some(match reader.word(node, "type", OUTPUT_TYPES)? {
        "integer" => ArgType::Integer,
        "number" => ArgType::Number,
        "boolean" => ArgType::Boolean,
        "duration" => ArgType::Duration,
        "any" => ArgType::Any,
        _ => ArgType::String,
    })
}
