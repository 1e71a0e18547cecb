use proptest::prelude::*;

use super::*;
use crate::lab::windows::bind::bind;
use crate::lab::windows::cmdlets::ALL;
use crate::remoting::psrp::Argument;

#[test]
fn a_script_and_more_than_one_command_are_refused_as_without_a_language() {
    let mut world = World::fresh();
    let get = || Command::new("Get-Service");
    let two = CreatePipeline { statements: vec![vec![get()], vec![get()]], ..CreatePipeline::new(Vec::new()) };
    for pipeline in [
        CreatePipeline::new(vec![Command::script("Get-Service")]),
        CreatePipeline::new(vec![get(), Command::new("Stop-Service")]),
        two,
        CreatePipeline::new(Vec::new()),
    ] {
        let ran = world.pipeline("gc01", &pipeline);
        assert_eq!(ran.end().0, "ScriptsNotAllowed");
        assert!(ran.end().1.starts_with("The syntax is not supported by this runspace."));
        assert!(ran.events.is_empty() && !ran.wrote);
    }
}

#[test]
fn an_unknown_command_is_answered_as_powershell_answers_it() {
    let ran = World::fresh().on("gc01", Command::new("Get-Sandwich"));
    let record = ran.terminating.expect("a refusal");
    assert_eq!(record.fully_qualified_id, "CommandNotFoundException");
    assert_eq!(record.exception_type, "System.Management.Automation.CommandNotFoundException");
    assert_eq!(record.category.name(), "ObjectNotFound");
    assert_eq!(record.target, Value::from("Get-Sandwich"));
    assert!(record.message().starts_with("The term 'Get-Sandwich' is not recognized as the name of a cmdlet"));
    assert_eq!(ran.command, "Get-Sandwich");
}

#[test]
fn a_name_may_be_in_any_case_and_qualified_by_its_module() {
    let mut world = World::fresh();
    for name in ["get-SERVICE", "Microsoft.PowerShell.Management\\Get-Service", "microsoft.powershell.management\\get-service"] {
        let ran = world.on("gc01", Command::new(name).argument("w32time"));
        assert_eq!(text(ran.only(), "Name"), "W32Time");
        assert_eq!(ran.command, "Get-Service");
    }
    assert_eq!(world.on("gc01", Command::new("CimCmdlets\\Get-Service")).end().0, "CommandNotFoundException");
}

#[test]
fn what_cannot_be_bound_ends_the_command_before_it_begins() {
    let mut world = World::fresh();
    let stop = || Command::new("Stop-Service").argument("W32Time");
    let class = "Microsoft.PowerShell.Commands.StopServiceCommand";
    for (command, id, message) in [
        (
            stop().parameter("Nonsense", 1),
            "NamedParameterNotFound",
            "A parameter cannot be found that matches parameter name 'Nonsense'.",
        ),
        (
            Command::new("Stop-Service").parameter("N", "W32Time"),
            "AmbiguousParameter",
            "Parameter cannot be processed because the parameter name 'N' is ambiguous. Possible matches include: -Name -NoWait.",
        ),
        (
            stop().parameter("Force", true).parameter("fo", true),
            "ParameterAlreadyBound",
            "Cannot bind parameter because parameter 'Force'",
        ),
        (
            Command::new("Stop-Service").switch("Force"),
            "MissingMandatoryParameter",
            "Cannot process command because of one or more missing mandatory parameters: Name.",
        ),
        (
            stop().argument("x"),
            "PositionalParameterNotFound",
            "A positional parameter cannot be found that accepts argument 'x'.",
        ),
        (
            stop().parameter("Force", "yes"),
            "CannotConvertArgument",
            "Cannot convert 'System.String' to the type 'System.Management.Automation.SwitchParameter' required by parameter 'Force'.",
        ),
        (
            Command::new("Stop-Service").parameter("DisplayName", "x").parameter("Name", "y"),
            "AmbiguousParameterSet",
            "Parameter set cannot be resolved using the specified named parameters.",
        ),
        (
            stop().parameter("OutBuffer", "many"),
            "CannotConvertArgumentNoMessage",
            "Cannot bind parameter 'OutBuffer'. Cannot convert value \"many\" to type \"System.Int32\".",
        ),
        (
            stop().parameter("ErrorAction", "Panic"),
            "CannotConvertArgumentNoMessage",
            "Cannot bind parameter 'ErrorAction'. Cannot convert value \"Panic\" to type",
        ),
        (
            Command::new("Stop-Service").parameter("Name", Value::Nil),
            "ParameterArgumentValidationErrorNullNotAllowed",
            "Cannot bind argument to parameter 'Name' because it is null.",
        ),
        (
            Command::new("Stop-Service").parameter("Name", ""),
            "ParameterArgumentValidationErrorEmptyStringNotAllowed",
            "Cannot bind argument to parameter 'Name' because it is an empty string.",
        ),
    ] {
        let ran = world.on("gc01", command.clone());
        let (found, said) = ran.end();
        assert_eq!(found, format!("{id},{class}"), "{command:?}");
        assert!(said.starts_with(message), "{said}");
        assert!(!ran.wrote && ran.events.is_empty());
    }
    assert_eq!(world.service("gc01", "W32Time").state, machine::State::Running);
}

#[test]
fn the_beginning_of_a_name_and_an_alias_are_enough() {
    let mut world = World::fresh();
    let ran =
        world.on("gc01", Command::new("Stop-Service").parameter("-ServiceName:", "w32time").switch("pas").parameter("nOw", true));
    assert_eq!(text(ran.only(), "Status"), "Stopped");
    // A switch can be off in words, and by a number.
    let command = || Command::new("Stop-Service").argument("Spooler").parameter("WhatIf", true);
    assert!(!world.on("gc01", command().parameter("Force", 0)).wrote);
    assert!(world.on("gc01", Command::new("Stop-Service").argument("Spooler").parameter("WhatIf", false)).wrote);
}

#[test]
fn errors_are_hidden_or_end_the_command_as_the_caller_wants() {
    let mut world = World::fresh();
    let stop =
        |action: &str| Command::new("Stop-Service").argument(Value::list(["nobody", "W32Time"])).parameter("ErrorAction", action);
    let ran = world.on("gc01", stop("Stop"));
    assert_eq!(ran.end().0, "NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.StopServiceCommand");
    assert!(!ran.wrote, "what comes after the error is not done");
    let ran = world.on("gc01", stop("continue"));
    assert_eq!(ran.ids(), ["NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.StopServiceCommand"]);
    assert!(ran.terminating.is_none() && ran.wrote);
    assert!(world.on("gc01", stop("silent")).fine().is_empty());
    assert!(world.on("gc01", stop("Ignore")).fine().is_empty());
}

#[test]
fn each_stream_carries_what_was_written_to_it() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Write-Output").argument(Value::list([1, 2])));
    assert_eq!(ran.fine(), [&Value::I32(1), &Value::I32(2)]);
    let ran = world.on("gc01", Command::new("Write-Warning").argument("careful"));
    assert_eq!(ran.events, [Event::Warning("careful".to_owned())]);
    assert!(world.on("gc01", Command::new("Write-Warning").argument("x").parameter("wa", "Ignore")).events.is_empty());
    assert!(world.on("gc01", Command::new("Write-Verbose").argument("x")).events.is_empty());
    let ran = world.on("gc01", Command::new("Write-Verbose").argument("x").switch("Verbose"));
    assert_eq!(ran.events, [Event::Verbose("x".to_owned())]);
    let ran =
        world.on("gc01", Command::new("Write-Error").argument("no").parameter("ErrorId", "Mine").parameter("Cat", "deviceerror"));
    assert_eq!(ran.ids(), ["Mine"]);
    assert_eq!(ran.errors()[0].category.name(), "DeviceError");
    let ran = world.on("gc01", Command::new("Write-Progress").argument("Copying").argument("a").parameter("Perc", 40));
    assert!(matches!(&ran.events[..], [Event::Progress(record)] if record.percent == Some(40) && record.status == "a"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::I32),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::Double),
        "[a-zA-Z*?\\[\\]`:\\\\./ é0-9]{0,12}".prop_map(Value::String),
        Just(Value::from("W32Time")),
        Just(Value::from("Stop")),
        Just(Value::object([("IsPresent", Value::Nil)])),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::array))
}

fn argument() -> impl Strategy<Value = Argument> {
    let names: Vec<String> = ALL
        .iter()
        .copied()
        .flatten()
        .flat_map(|cmdlet| cmdlet.parameters.iter().map(|parameter| parameter.name.to_owned()))
        .chain(["ErrorAction", "WhatIf", "Verbose"].map(str::to_owned))
        .collect();
    let beginning = (prop::sample::select(names), any::<prop::sample::Index>()).prop_map(|(name, index)| {
        let length = 1 + index.index(name.len());
        name[..length].to_owned()
    });
    let name = prop_oneof![Just(None), beginning.prop_map(Some), ".{0,5}".prop_map(Some)];
    (name, value()).prop_map(|(name, value)| Argument { name, value })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_bound_or_refused(
        index in any::<prop::sample::Index>(),
        arguments in prop::collection::vec(argument(), 0..5),
    ) {
        let cmdlets: Vec<_> = ALL.iter().copied().flatten().collect();
        let cmdlet = cmdlets[index.index(cmdlets.len())];
        let command = Command { arguments, ..Command::new(cmdlet.name) };
        match bind(cmdlet, &command) {
            Ok((bound, _)) => {
                let given = cmdlet.parameters.iter().filter(|parameter| parameter.mandatory && !bound.has(parameter.name));
                // What must be given is there, or its alternative is.
                for parameter in given {
                    prop_assert!(bound.has("LiteralPath") || bound.has("DisplayName"), "{} of {:?}", parameter.name, command);
                }
                prop_assert!(bound.0.len() <= command.arguments.len());
            }
            Err(record) => prop_assert!(!record.fully_qualified_id.is_empty() && !record.message().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_run_comes_to_an_end_and_leaves_the_other_machines_alone(
        calls in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(argument(), 0..4)), 50),
    ) {
        let mut world = World::fresh();
        let cmdlets: Vec<_> = ALL.iter().copied().flatten().collect();
        let others = |world: &World| {
            let mut others: Vec<_> = world.machines.iter().filter(|machine| machine.name != "sql01").cloned().collect();
            others.sort_by_key(|machine| machine.name.clone());
            others
        };
        let before = others(&world);
        for (index, arguments) in calls {
            let cmdlet = cmdlets[index.index(cmdlets.len())];
            let machine = world.machine("sql01").clone();
            let ran = world.on("sql01", Command { arguments, ..Command::new(cmdlet.name) });
            prop_assert!(ran.wrote || *world.machine("sql01") == machine, "{} changed the machine and does not say so", cmdlet.name);
        }
        prop_assert_eq!(others(&world), before);
    }
}
