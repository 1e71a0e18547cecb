//! Arguments to parameters, as PowerShell binds them (`about_Parameters`, `about_CommonParameters`).
//!
//! - Named arguments first: by name or alias in any case, or by a beginning that only one parameter has; of several, the
//!   cmdlet's own go before the common ones.
//! - What is left goes to parameters with a position, in order, as far as they belong to the same set of parameters.
//! - Then every parameter that must be given is.
//!
//! A refusal here means that the cmdlet has not begun.

use super::cmdlet::{Bound, Cmdlet, Kind, Parameter};
use super::errors::error;
use super::machine::same;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Command, ErrorRecord};

const BINDING: &str = "System.Management.Automation.ParameterBindingException";
const VALIDATION: &str = "System.Management.Automation.ParameterBindingValidationException";
const PREFERENCE: Kind = Kind::Enumeration(
    "System.Management.Automation.ActionPreference",
    &["SilentlyContinue", "Stop", "Continue", "Inquire", "Ignore", "Suspend"],
);

/// What every cmdlet has.
const COMMON: &[Parameter] = &[
    Parameter::new("Verbose", Kind::Switch).also(&["vb"]),
    Parameter::new("Debug", Kind::Switch).also(&["db"]),
    Parameter::new("ErrorAction", PREFERENCE).also(&["ea"]),
    Parameter::new("WarningAction", PREFERENCE).also(&["wa"]),
    Parameter::new("InformationAction", PREFERENCE).also(&["infa"]),
    Parameter::new("ErrorVariable", Kind::Text).also(&["ev"]),
    Parameter::new("WarningVariable", Kind::Text).also(&["wv"]),
    Parameter::new("InformationVariable", Kind::Text).also(&["iv"]),
    Parameter::new("OutVariable", Kind::Text).also(&["ov"]),
    Parameter::new("OutBuffer", Kind::Number).also(&["ob"]),
    Parameter::new("PipelineVariable", Kind::Text).also(&["pv"]),
];

/// What cmdlets have that change something.
const CONFIRMING: &[Parameter] =
    &[Parameter::new("WhatIf", Kind::Switch).also(&["wi"]), Parameter::new("Confirm", Kind::Switch).also(&["cf"])];

/// Parameters of which each stands in a set of its own, so that only one of the two can be given, and one suffices.
const ALTERNATIVES: &[(&str, &str)] = &[("Path", "LiteralPath"), ("Name", "DisplayName"), ("ActiveServers", "Swap")];

/// What becomes of errors and warnings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// They are reported.
    #[default]
    Continue,
    /// They are not.
    Silence,
    /// The first one ends the command.
    Stop,
}

/// The common parameters of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Common {
    /// Of errors.
    pub errors: Action,
    /// Of warnings.
    pub warnings: Action,
    /// `-Verbose`.
    pub verbose: bool,
    /// `-WhatIf`.
    pub what_if: bool,
    /// `-Confirm`.
    pub confirm: bool,
}

fn refused(id: &str, message: String) -> ErrorRecord {
    error(id, "InvalidArgument", BINDING, message, Value::Nil)
}

fn not_valid(id: &str, message: String) -> ErrorRecord {
    error(id, "InvalidData", VALIDATION, message, Value::Nil)
}

fn alternatives<Run>(cmdlet: &Cmdlet<Run>) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    // `Set-Service` sets the display name that it is given.
    let both = move |name: &str| cmdlet.parameters.iter().any(|parameter| parameter.name == name);
    ALTERNATIVES.iter().filter(move |(one, other)| cmdlet.name != "Set-Service" && both(one) && both(other))
}

/// Binds a command's arguments.
///
/// # Errors
/// It cannot be bound.
pub fn bind<Run>(cmdlet: &Cmdlet<Run>, command: &Command) -> Result<(Bound, Common), ErrorRecord> {
    let mut bound = Bound::default();
    let mut positional = Vec::new();
    for argument in &command.arguments {
        let name = argument.name.as_deref().map(|name| name.trim_start_matches('-').trim_end_matches(':'));
        match name.filter(|name| !name.is_empty()) {
            None => positional.push(&argument.value),
            Some(name) => {
                let parameter = find(cmdlet, name)?;
                if bound.has(parameter.name) {
                    let message = format!(
                        "Cannot bind parameter because parameter '{}' is specified more than once. To provide multiple values to \
                         parameters that can accept multiple values, use the array syntax. For example, \"-parameter \
                         value1,value2,value3\".",
                        parameter.name
                    );
                    return Err(refused("ParameterAlreadyBound", message));
                }
                bound.0.insert(parameter.name.to_ascii_lowercase(), convert(&parameter, &argument.value)?);
            }
        }
    }
    for value in positional {
        let open = |parameter: &&Parameter| {
            let taken = |name: &str| bound.has(name);
            let shut = alternatives(cmdlet)
                .any(|(one, other)| (parameter.name == *one && taken(other)) || (parameter.name == *other && taken(one)));
            parameter.position.is_some() && !taken(parameter.name) && !shut
        };
        let next = cmdlet.parameters.iter().filter(open).min_by_key(|parameter| parameter.position);
        let Some(parameter) = next else {
            let message = format!("A positional parameter cannot be found that accepts argument '{}'.", value.to_text());
            return Err(refused("PositionalParameterNotFound", message));
        };
        bound.0.insert(parameter.name.to_ascii_lowercase(), convert(parameter, value)?);
    }
    if alternatives(cmdlet).any(|(one, other)| bound.has(one) && bound.has(other)) {
        let message = "Parameter set cannot be resolved using the specified named parameters.".to_owned();
        return Err(refused("AmbiguousParameterSet", message));
    }
    let answered = |parameter: &Parameter| {
        bound.has(parameter.name) || alternatives(cmdlet).any(|(one, other)| parameter.name == *one && bound.has(other))
    };
    let missing: String = cmdlet
        .parameters
        .iter()
        .filter(|parameter| parameter.mandatory && !answered(parameter))
        .map(|parameter| format!(" {}", parameter.name))
        .collect();
    if !missing.is_empty() {
        let message = format!("Cannot process command because of one or more missing mandatory parameters:{missing}.");
        return Err(refused("MissingMandatoryParameter", message));
    }
    let common = common(&bound);
    Ok((bound, common))
}

fn common(bound: &Bound) -> Common {
    let action = |name: &str| match bound.text(name) {
        Some("SilentlyContinue" | "Ignore") => Action::Silence,
        Some("Stop") => Action::Stop,
        _ => Action::Continue,
    };
    Common {
        errors: action("ErrorAction"),
        warnings: action("WarningAction"),
        verbose: bound.is_on("Verbose"),
        what_if: bound.is_on("WhatIf"),
        confirm: bound.is_on("Confirm"),
    }
}

/// The parameter that a name means.
fn find<Run>(cmdlet: &Cmdlet<Run>, name: &str) -> Result<Parameter, ErrorRecord> {
    let confirming = if cmdlet.confirms() { CONFIRMING } else { &[] };
    let all = || cmdlet.parameters.iter().chain(confirming).chain(COMMON);
    let is = |parameter: &&Parameter| same(parameter.name, name) || parameter.aliases.iter().any(|alias| same(alias, name));
    if let Some(exact) = all().find(is) {
        return Ok(*exact);
    }
    let begins = |own: &str| own.get(..name.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(name));
    let could = |parameter: &&Parameter| begins(parameter.name) || parameter.aliases.iter().any(|alias| begins(alias));
    let own: Vec<&Parameter> = cmdlet.parameters.iter().filter(could).collect();
    let possible: Vec<&Parameter> = all().filter(could).collect();
    match (own.as_slice(), possible.as_slice()) {
        ([only], _) | ([], [only]) => Ok(**only),
        ([], []) => {
            let message = format!("A parameter cannot be found that matches parameter name '{name}'.");
            Err(refused("NamedParameterNotFound", message))
        }
        _ => {
            let matches: String = possible.iter().map(|parameter| format!(" -{}", parameter.name)).collect();
            let message = format!(
                "Parameter cannot be processed because the parameter name '{name}' is ambiguous. Possible matches include:{matches}."
            );
            Err(refused("AmbiguousParameter", message))
        }
    }
}

/// Converts a value to what a parameter takes.
fn convert(parameter: &Parameter, value: &Value) -> Result<Value, ErrorRecord> {
    let name = parameter.name;
    if parameter.kind == Kind::Any {
        return Ok(value.clone());
    }
    if parameter.kind == Kind::Switch {
        return switch(name, value);
    }
    if value.is_nil() {
        let message = format!("Cannot bind argument to parameter '{name}' because it is null.");
        return Err(not_valid("ParameterArgumentValidationErrorNullNotAllowed", message));
    }
    let texts = match (value.items(), parameter.kind) {
        (Some(items), Kind::Texts) => items.iter().map(Value::to_text).collect(),
        (Some(_), _) => {
            let message = format!(
                "Cannot convert '{}' to the type '{}' required by parameter '{name}'. Specified method is not supported.",
                type_name(value),
                required(parameter.kind)
            );
            return Err(refused("CannotConvertArgument", message));
        }
        (None, _) => vec![value.to_text()],
    };
    if texts.is_empty() {
        let message = format!("Cannot bind argument to parameter '{name}' because it is an empty array.");
        return Err(not_valid("ParameterArgumentValidationErrorEmptyArrayNotAllowed", message));
    }
    if texts.iter().any(String::is_empty) {
        let message = format!("Cannot bind argument to parameter '{name}' because it is an empty string.");
        return Err(not_valid("ParameterArgumentValidationErrorEmptyStringNotAllowed", message));
    }
    match parameter.kind {
        Kind::Texts => Ok(Value::array(texts)),
        Kind::Number => number(name, value, &texts[0]),
        Kind::Bool => boolean(name, value),
        Kind::Word(words) => match words.iter().find(|word| same(word, &texts[0])) {
            Some(word) => Ok(Value::from(*word)),
            None => {
                let message = format!(
                    "Cannot validate argument on parameter '{name}'. The argument \"{}\" does not belong to the set \"{}\" \
                     specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.",
                    texts[0],
                    words.join(",")
                );
                Err(not_valid("ParameterArgumentValidationError", message))
            }
        },
        Kind::Enumeration(type_name, words) => enumeration(name, value, type_name, words),
        Kind::Text | Kind::Switch | Kind::Any => Ok(texts.into_iter().next().into()),
    }
}

fn switch(name: &str, value: &Value) -> Result<Value, ErrorRecord> {
    // `SwitchParameter` travels as an object with one property.
    let value = value.get("IsPresent").unwrap_or(value).primitive();
    match (value, value.as_i64()) {
        (Value::Nil, _) => Ok(true.into()),
        (Value::Bool(on), _) => Ok((*on).into()),
        (Value::Double(number), _) => Ok((*number != 0.0).into()),
        (Value::Single(number), _) => Ok((*number != 0.0).into()),
        (_, Some(number)) => Ok((number != 0).into()),
        _ => {
            let message = format!(
                "Cannot convert '{}' to the type 'System.Management.Automation.SwitchParameter' required by parameter '{name}'. ",
                type_name(value)
            );
            Err(refused("CannotConvertArgument", message))
        }
    }
}

/// A truth value takes no texts, so that `"false"` is not true by being one.
fn boolean(name: &str, value: &Value) -> Result<Value, ErrorRecord> {
    match (value.primitive(), value.as_i64()) {
        (Value::Bool(on), _) => Ok((*on).into()),
        (Value::Double(number), _) => Ok((*number != 0.0).into()),
        (Value::Single(number), _) => Ok((*number != 0.0).into()),
        (_, Some(number)) => Ok((number != 0).into()),
        _ => {
            let message = format!(
                "Cannot process argument transformation on parameter '{name}'. Cannot convert value \"{}\" to type \
                 \"System.Boolean\". Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.",
                type_name(value)
            );
            let exception = "System.Management.Automation.ParameterBindingArgumentTransformationException";
            Err(error("ParameterArgumentTransformationError", "InvalidData", exception, message, Value::Nil))
        }
    }
}

fn number(name: &str, value: &Value, text: &str) -> Result<Value, ErrorRecord> {
    let cannot = |why: &str| {
        let message =
            format!("Cannot bind parameter '{name}'. Cannot convert value \"{text}\" to type \"System.Int32\". Error: \"{why}\"");
        refused("CannotConvertArgumentNoMessage", message)
    };
    let range = "Value was either too large or too small for an Int32.";
    let whole = match *value.primitive() {
        Value::Bool(on) => i64::from(on),
        Value::U64(number) => i64::try_from(number).map_err(|_| cannot(range))?,
        Value::String(ref text) => {
            let text = text.trim();
            let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            let parsed = hexadecimal.map_or_else(|| text.parse(), |digits| i64::from_str_radix(digits, 16));
            let too_large = text.strip_prefix('-').unwrap_or(text).chars().all(|c| c.is_ascii_digit()) && !text.is_empty();
            parsed.map_err(|_| cannot(if too_large { range } else { "Input string was not in a correct format." }))?
        }
        _ => match (value.as_i64(), text.parse::<f64>()) {
            (Some(number), _) => number,
            // Half way goes to the even neighbour, as in .NET.
            (None, Ok(number)) if number.abs() < 4e9 => {
                format!("{:.0}", number.round_ties_even()).parse().map_err(|_| cannot(range))?
            }
            (None, Ok(_)) => return Err(cannot(range)),
            (None, Err(_)) => return Err(cannot("Input string was not in a correct format.")),
        },
    };
    i32::try_from(whole).map(Value::I32).map_err(|_| cannot(range))
}

/// A name of an enumeration's value, its beginning if no other has it, or its number.
fn enumeration(name: &str, value: &Value, type_name: &str, words: &[&str]) -> Result<Value, ErrorRecord> {
    let text = value.to_text();
    let text = text.trim();
    let number = value.as_i64().map_or_else(|| text.parse().ok(), |number| usize::try_from(number).ok());
    let exact = words.iter().find(|word| same(word, text));
    let mut beginning = words.iter().filter(|word| word.get(..text.len()).is_some_and(|own| own.eq_ignore_ascii_case(text)));
    let only = beginning.next().filter(|_| beginning.next().is_none() && !text.is_empty());
    match exact.or(only).or_else(|| number.and_then(|number| words.get(number))) {
        Some(word) => Ok(Value::from(*word)),
        None => {
            let message = format!(
                "Cannot bind parameter '{name}'. Cannot convert value \"{text}\" to type \"{type_name}\". Error: \"Unable to match \
                 the identifier name {text} to a valid enumerator name. Specify one of the following enumerator names and try \
                 again:\r\n{}\"",
                words.join(", ")
            );
            Err(refused("CannotConvertArgumentNoMessage", message))
        }
    }
}

fn required(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Word(_) => "System.String",
        Kind::Texts => "System.String[]",
        Kind::Number => "System.Int32",
        Kind::Bool => "System.Boolean",
        Kind::Switch => "System.Management.Automation.SwitchParameter",
        Kind::Enumeration(name, _) => name,
        Kind::Any => "System.Object",
    }
}

/// A value's type, as .NET calls it.
fn type_name(value: &Value) -> String {
    match value {
        Value::Object(object) => object.type_names.first().cloned().unwrap_or_else(|| "System.Object".to_owned()),
        Value::String(_) => "System.String".to_owned(),
        Value::DateTime(_) => "System.DateTime".to_owned(),
        Value::Guid(_) => "System.Guid".to_owned(),
        _ => "System.Object".to_owned(),
    }
}
