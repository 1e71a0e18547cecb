//! The JSON Schema (draft 2020-12) of the language, for editors. Made from the same tables that the reader uses.
//!
//! A schema cannot say everything: references, the graph and units of meaning beyond one value are left to `check`.

use serde_json::{Map, Value, json};

use super::Catalogue;
use super::action::{ActionSpec, ArgType};
use super::keys::{KeySpec, PLAN, STEP, Shape, TARGETS};
use super::params::TYPES;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Matches a text that holds an expression.
const EXPRESSION: &str = r"\$\{\{";

/// The schema of a plan.
#[must_use]
pub fn json_schema(catalogue: &Catalogue) -> Value {
    let mut schema = map(PLAN, catalogue);
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("relevo plan");
    schema["description"] = json!("A plan for relevo: what to do, in which order, and who decides.");
    schema["$defs"] = json!({ "step": step(catalogue), "secret": secret() });
    schema
}

/// The schema of a targets file.
#[must_use]
pub fn targets_schema() -> Value {
    let mut schema = map(TARGETS, &Catalogue::default());
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("relevo targets");
    schema["description"] = json!("The systems that a plan acts upon, and the people who decide.");
    schema
}

fn step(catalogue: &Catalogue) -> Value {
    let mut schema = map(STEP, catalogue);
    let one = |key: &str| json!({ "required": [key] });
    schema["oneOf"] = json!([one("uses"), one("gate"), one("manual"), one("checkpoint")]);
    schema["allOf"] = Value::Array(
        catalogue
            .iter()
            .map(|spec| {
                let needs_with = spec.args.iter().any(|arg| arg.required);
                let mut then = json!({ "properties": { "with": arguments(spec) } });
                if needs_with {
                    then["required"] = json!(["with"]);
                }
                json!({ "if": { "properties": { "uses": { "const": spec.name } }, "required": ["uses"] }, "then": then })
            })
            .collect(),
    );
    schema
}

fn arguments(spec: &ActionSpec) -> Value {
    let properties: Map<String, Value> = spec
        .args
        .iter()
        .map(|arg| {
            let mut schema = argument(arg.kind);
            schema["description"] = json!(arg.doc);
            (arg.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = spec.args.iter().filter(|arg| arg.required).map(|arg| arg.name).collect();
    let mut schema =
        json!({ "type": "object", "description": spec.doc, "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let groups: Vec<Value> = spec
        .one_of
        .iter()
        .map(|group| json!({ "oneOf": group.iter().map(|name| json!({ "required": [name] })).collect::<Vec<_>>() }))
        .collect();
    if !groups.is_empty() {
        schema["allOf"] = json!(groups);
    }
    schema
}

fn argument(kind: ArgType) -> Value {
    let or_expression = |schema: Value| json!({ "anyOf": [schema, { "type": "string", "pattern": EXPRESSION }] });
    let secret = json!({ "$ref": "#/$defs/secret" });
    match kind {
        ArgType::Any => json!({}),
        ArgType::String | ArgType::Host | ArgType::Directory => json!({ "type": "string" }),
        ArgType::Text => json!({ "anyOf": [{ "type": "string" }, secret] }),
        ArgType::Integer => or_expression(json!({ "type": "integer" })),
        ArgType::Number => or_expression(json!({ "type": "number" })),
        ArgType::Boolean => or_expression(json!({ "type": "boolean" })),
        ArgType::Duration => duration(),
        ArgType::StringList => or_expression(json!({ "type": "array", "items": { "type": "string" } })),
        ArgType::StringMap => {
            or_expression(json!({ "type": "object", "additionalProperties": { "anyOf": [{ "type": "string" }, secret] } }))
        }
        ArgType::Probe => json!({ "type": "object", "required": ["uses"] }),
    }
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": format!("^([0-9]+(ms|s|m|h|d))+$|{EXPRESSION}") })
}

fn secret() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "type": "object",
        "description": "Where a secret is to be found.",
        "properties": {
            "env": text, "file": text, "prompt": text,
            "command": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        },
        "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
    })
}

fn map(table: &'static [KeySpec], catalogue: &Catalogue) -> Value {
    let properties: Map<String, Value> = table
        .iter()
        .map(|key| {
            let mut schema = shape(&key.shape, catalogue);
            schema["description"] = json!(key.doc);
            (key.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = table.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn shape(kind: &Shape, catalogue: &Catalogue) -> Value {
    match kind {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text | Shape::Template | Shape::Time => json!({ "type": "string" }),
        Shape::Id => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$" }),
        Shape::Expression => json!({ "type": ["string", "boolean"] }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::True => json!({ "const": true }),
        Shape::Count => json!({ "type": "integer", "minimum": 1 }),
        Shape::Factor => json!({ "type": "number", "minimum": 1, "maximum": 100 }),
        Shape::Duration => duration(),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Any => json!({}),
        Shape::Map(table) if std::ptr::eq(*table, STEP) => json!({ "$ref": "#/$defs/step" }),
        Shape::Map(table) => map(table, catalogue),
        Shape::Named(inner) => json!({ "type": "object", "additionalProperties": shape(inner, catalogue) }),
        Shape::List(inner) => json!({ "type": "array", "items": shape(inner, catalogue) }),
        Shape::Either(one, other) => json!({ "anyOf": [shape(one, catalogue), shape(other, catalogue)] }),
        Shape::Type => {
            let words: Vec<&str> = TYPES.iter().map(|(word, _)| *word).collect();
            json!({ "anyOf": [{ "enum": words }, { "type": "array", "items": { "enum": words }, "minItems": 1, "maxItems": 1 }] })
        }
        Shape::Arguments => json!({ "type": "object" }),
        Shape::Action => json!({ "enum": catalogue.iter().map(|spec| spec.name).collect::<Vec<_>>() }),
    }
}
