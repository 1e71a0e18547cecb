//! Every key of the language, once: what the reader accepts, what the schema prints, and what a foreign key is
//! called here.

/// One key of a map.
#[derive(Debug)]
pub struct KeySpec {
    /// The key.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// What its value is.
    pub shape: Shape,
    /// One or two sentences for editors.
    pub doc: &'static str,
}

/// What a value is, as far as a schema can tell.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// The number 1, the version of the format.
    Version,
    /// Text.
    Text,
    /// A step's id.
    Id,
    /// Text that may hold `${{ … }}`.
    Template,
    /// A bare expression.
    Expression,
    /// `true` or `false`.
    Bool,
    /// Only `true`.
    True,
    /// A whole number of at least 1.
    Count,
    /// A number of at least 1.
    Factor,
    /// `30s`, `5m`, `1h30m`.
    Duration,
    /// A local time or an instant.
    Time,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// Anything.
    Any,
    /// A map with these keys.
    Map(&'static [KeySpec]),
    /// A map from a free name to this.
    Named(&'static Shape),
    /// A list of this.
    List(&'static Shape),
    /// One of two.
    Either(&'static Shape, &'static Shape),
    /// A parameter's type: a word, or a list of one word.
    Type,
    /// `uses` and `with`, which depend on the action.
    Arguments,
    /// The name of an action.
    Action,
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident / $keys:ident { $($key:ident $text:literal $required:literal $shape:expr, $about:literal;)* }) => {
        $(#[$doc])*
        pub static $name: &[KeySpec] =
            &[$(KeySpec { name: $text, required: $required, shape: $shape, doc: $about }),*];
        #[derive(Debug, Clone, Copy)]
        #[allow(dead_code, reason = "some keys are read through the table only")]
        pub enum $keys { $($key),* }
        impl From<$keys> for usize {
            fn from(key: $keys) -> usize { key as usize }
        }
    };
}

table! {
    /// The plan file.
    PLAN / Top {
        Relevo "relevo" true Shape::Version, "The version of the format: 1.";
        Name "name" true Shape::Text, "What the plan does, for people.";
        Description "description" false Shape::Text, "What it is for, as long as you like.";
        Params "params" false Shape::Named(&Shape::Map(PARAM)), "Typed parameters, given by `--param` and `--params`.";
        Targets "targets" false Shape::Text, "The targets file, beside the plan; `targets.yaml` unless given.";
        Window "window" false Shape::Map(WINDOW), "When steps may start. Belongs to a run; the targets' own or `--window` replaces it.";
        Defaults "defaults" false Shape::Map(DEFAULTS), "Values for steps that do not say otherwise.";
        MaxParallel "max_parallel" false Shape::Count, "How many steps at once; 8 unless given.";
        Limits "limits" false Shape::Named(&Shape::Count), "Named resources and how many steps may use each at once.";
        Include "include" false Shape::Texts, "Fragments with further steps, within the plan's folder.";
        Steps "steps" true Shape::List(&Shape::Map(STEP)), "The steps, in the order in which a person would read them.";
    }
}

table! {
    /// A fragment named by `include`.
    FRAGMENT / FragmentKey {
        Relevo "relevo" false Shape::Version, "The version of the format: 1.";
        Include "include" false Shape::Texts, "Further fragments.";
        Steps "steps" true Shape::List(&Shape::Map(STEP)), "The steps.";
    }
}

table! {
    /// A parameter.
    PARAM / ParamKey {
        Type "type" true Shape::Type, "string, integer, number, boolean, duration, path, fqdn, sip_uri, secret, or a list: [string].";
        Default "default" false Shape::Any, "The value if none is given.";
        Description "description" false Shape::Text, "What it is, for people.";
        Required "required" false Shape::Bool, "Whether a value must be given; true unless there is a default.";
        Choices "choices" false Shape::List(&Shape::Any), "The only values allowed.";
    }
}

table! {
    /// The window.
    WINDOW / WindowKey {
        Timezone "timezone" true Shape::Text, "The zone of the times here, by its IANA name.";
        Opens "opens" true Shape::Time, "The first moment at which a step may start.";
        Closes "closes" true Shape::Time, "The last moment at which a step may start.";
        BackOutBy "back_out_by" false Shape::Time, "The latest moment at which going back still fits.";
    }
}

table! {
    /// Values for steps that do not say otherwise.
    DEFAULTS / DefaultsKey {
        Timeout "timeout" false Shape::Duration, "Of one attempt.";
        Deadline "deadline" false Shape::Duration, "Of all attempts of a step together.";
        Retry "retry" false Shape::Map(RETRY), "When and how often to try again.";
        OnFailure "on_failure" false Shape::Word(ON_FAILURE), "What a failure means for the rest; `ask` unless given.";
    }
}

/// What a failure may mean.
pub static ON_FAILURE: &[&str] = &["stop", "ask", "continue", "rollback"];
/// Effect classes.
pub static EFFECTS: &[&str] = &["read", "ensure", "cas", "keyed", "once", "opaque"];
/// What may follow for an attempt in doubt that was not done.
pub static IN_DOUBT: &[&str] = &["ask", "repeat"];
/// Where an output may come from.
pub static STREAMS: &[&str] = &["stdout", "stderr", "exit"];
/// Types of outputs and evidence.
pub static OUTPUT_TYPES: &[&str] = &["string", "integer", "number", "boolean", "duration", "any"];

table! {
    /// A step.
    STEP / StepKey {
        Id "id" true Shape::Id, "Unique within the plan: a letter, then letters, digits, `_` and `-`, all lower case.";
        Name "name" false Shape::Template, "A title for people.";
        Needs "needs" false Shape::Texts, "The steps that must be satisfied first.";
        Uses "uses" false Shape::Action, "The action.";
        With "with" false Shape::Arguments, "The action's arguments.";
        When "when" false Shape::Expression, "If false, the step is not applicable, and satisfies those that need it.";
        ForEach "for_each" false Shape::Map(FOR_EACH), "One instance of the step per item.";
        Limits "limits" false Shape::Texts, "Named limits that the step occupies while it is in hand.";
        ActsOn "acts_on" false Shape::Texts, "What it changes, by names of targets or words of your own: two runs never change the same at once.";
        Timeout "timeout" false Shape::Duration, "Of one attempt. A step whose time is up is in doubt, not failed.";
        Deadline "deadline" false Shape::Duration, "Of all attempts together.";
        Retry "retry" false Shape::Map(RETRY), "When and how often to try again.";
        Before "before" false Shape::List(&Shape::Map(CONDITION)), "Conditions that must hold before the effect.";
        After "after" false Shape::List(&Shape::Map(CONDITION)), "Conditions that must hold after the effect.";
        Probe "probe" false Shape::Map(PROBE), "A read-only look whether the effect is there (generic actions).";
        Effect "effect" false Shape::Word(EFFECTS), "How the effect behaves when repeated (generic actions); `opaque` unless given.";
        Destructive "destructive" false Shape::Bool, "Whether it destroys something (generic actions).";
        InDoubt "in_doubt" false Shape::Word(IN_DOUBT), "What follows where a look says twice that an attempt in doubt was not done: a person is asked, or it is repeated.";
        Outputs "outputs" false Shape::Either(&Shape::Texts, &Shape::Named(&Shape::Map(OUTPUT))), "What later steps may use.";
        Estimate "estimate" false Shape::Map(ESTIMATE), "How long it takes.";
        OnFailure "on_failure" false Shape::Word(ON_FAILURE), "What a failure means for the rest.";
        Gate "gate" false Shape::Map(GATE), "A person's go or no-go.";
        Manual "manual" false Shape::Map(MANUAL), "Work that a person does.";
        Undo "undo" false Shape::Map(CALL), "How to take the effect back (generic actions).";
        Checkpoint "checkpoint" false Shape::True, "A named place where it is safe to stop, hand over or go back to.";
        PointOfNoReturn "point_of_no_return" false Shape::Bool, "Once this step has started, going back is refused.";
        NotBefore "not_before" false Shape::Time, "The step does not start before this moment.";
        Owner "owner" false Shape::Template, "Who answers for it.";
        Tags "tags" false Shape::Texts, "Free words.";
    }
}

table! {
    /// `for_each`.
    FOR_EACH / ForEachKey {
        Items "items" true Shape::Any, "A list, or an expression over params and targets that gives one.";
        As "as" true Shape::Text, "The name of the item in expressions.";
        MaxParallel "max_parallel" false Shape::Count, "How many instances at once.";
    }
}

table! {
    /// `retry`.
    RETRY / RetryKey {
        Attempts "attempts" false Shape::Count, "Attempts in all, the first included.";
        Interval "interval" false Shape::Duration, "The wait before the second attempt.";
        Backoff "backoff" false Shape::Factor, "The factor by which the wait grows.";
        MaxInterval "max_interval" false Shape::Duration, "The longest wait.";
    }
}

table! {
    /// One of `before` and `after`.
    CONDITION / ConditionKey {
        Name "name" false Shape::Text, "What it says, for people.";
        That "that" false Shape::Expression, "An expression that must be true.";
        Uses "uses" false Shape::Action, "A read-only look.";
        With "with" false Shape::Arguments, "The look's arguments.";
        Verdict "verdict" false Shape::Map(VERDICT), "What the look's answers mean: `done` holds, `not_done` fails, anything else cannot be told.";
    }
}

table! {
    /// `probe`.
    PROBE / ProbeKey {
        Uses "uses" true Shape::Action, "A read-only command, query or cmdlet.";
        With "with" false Shape::Arguments, "Its arguments.";
        Verdict "verdict" false Shape::Map(VERDICT), "What its answers mean.";
    }
}

table! {
    /// `verdict`: tried in the written order; none true means unknown.
    VERDICT / VerdictKey {
        Done "done" false Shape::Expression, "True if the effect is there.";
        NotDone "not_done" false Shape::Expression, "True if it is not there.";
        Partial "partial" false Shape::Expression, "True if some of it is there.";
        Conflict "conflict" false Shape::Expression, "True if something is in the way, or what it needs is not there.";
    }
}

table! {
    /// `undo`.
    CALL / CallKey {
        Uses "uses" true Shape::Action, "The action.";
        With "with" false Shape::Arguments, "Its arguments.";
    }
}

table! {
    /// One of `outputs`.
    OUTPUT / OutputKey {
        From "from" false Shape::Word(STREAMS), "Where it comes from; `stdout` unless given.";
        Regex "regex" false Shape::Text, "Its first group, or else the whole match.";
        Json "json" false Shape::Text, "A JSON pointer such as `/rooms/0/name`.";
        Type "type" false Shape::Word(OUTPUT_TYPES), "What the text must be; `string` unless given.";
    }
}

table! {
    /// `estimate`.
    ESTIMATE / EstimateKey {
        P50 "p50" true Shape::Duration, "The median.";
        P90 "p90" false Shape::Duration, "Nine times out of ten it is done by then; `p50` unless given.";
        Undo "undo" false Shape::Duration, "How long going back takes.";
    }
}

table! {
    /// `gate`.
    GATE / GateKey {
        Ask "ask" true Shape::Template, "The question.";
        Approvers "approvers" false Shape::Texts, "Roles of the targets file; anybody unless given.";
        Quorum "quorum" false Shape::Count, "How many different people must say go; 1 unless given.";
        NotInitiator "not_initiator" false Shape::Bool, "Whether the person who started the run may not vote.";
        Expires "expires" false Shape::Duration, "How long the question stands. Expiry is never a yes.";
        ValidFor "valid_for" false Shape::Duration, "How long after the go the first step behind the gate may start; until `expires` unless given.";
    }
}

table! {
    /// `manual`.
    MANUAL / ManualKey {
        Instructions "instructions" true Shape::Template, "What to do.";
        Evidence "evidence" false Shape::Named(&Shape::Map(EVIDENCE)), "What the person hands over; each is an output of the step.";
        By "by" false Shape::Texts, "Roles of the targets file; anybody unless given.";
        Probe "probe" false Shape::Map(PROBE), "A look that confirms or contradicts the person.";
    }
}

table! {
    /// One of `evidence`.
    EVIDENCE / EvidenceKey {
        Type "type" false Shape::Word(OUTPUT_TYPES), "Its type; `string` unless given.";
        Ask "ask" false Shape::Text, "What is asked.";
        Required "required" false Shape::Bool, "Whether it must be given; true unless said otherwise.";
    }
}

table! {
    /// The targets file.
    TARGETS / TargetsKey {
        Version "relevo_targets" true Shape::Version, "The version of the format: 1.";
        Hosts "hosts" false Shape::Named(&Shape::Map(HOST)), "Machines, by name.";
        Directories "directories" false Shape::Named(&Shape::Map(DIRECTORY)), "Directory services, by name.";
        Servers "servers" false Shape::Named(&Shape::Any), "Other systems, by name, with keys of your own.";
        Groups "groups" false Shape::Named(&Shape::Texts), "Lists of names of targets.";
        Roles "roles" false Shape::Named(&Shape::Texts), "Operating-system accounts by role.";
        Window "window" false Shape::Map(WINDOW), "When steps may start.";
    }
}

table! {
    /// A host.
    HOST / HostKey {
        Url "url" true Shape::Text, "Where PowerShell remoting answers: `https://host:5986/wsman`, `https://host/OcsPowerShell`.";
        Address "address" false Shape::Text, "`host:port` to connect to, if not where the URL leads.";
        Ca "ca" false Shape::Text, "The certificate authority's file, if not the system's own.";
        Verify "verify" false Shape::Map(VERIFY), "Only to leave the server's certificate unchecked.";
        Auth "auth" false Shape::Map(AUTH), "How to log on.";
        Configuration "configuration" false Shape::Text, "The session configuration; `Microsoft.PowerShell` unless given.";
        RedirectTo "redirect_to" false Shape::Texts, "Hosts to which a redirect is followed.";
        Timeout "timeout" false Shape::Duration, "For connecting and for logging on; 15s unless given.";
        Settle "settle" false Shape::Map(SETTLE), "How long to wait for a stable condition, and how often to look.";
        MaxParallel "max_parallel" false Shape::Count, "How many steps at once against it.";
        Vars "vars" false Shape::Any, "Values of your own.";
    }
}

table! {
    /// `verify`.
    VERIFY / VerifyKey {
        Skip "skip" true Shape::Text, "Why the server's certificate is not checked; shown with every use.";
    }
}

table! {
    /// `auth`: exactly one of these.
    AUTH / AuthKey {
        Negotiate "negotiate" false Shape::Map(NEGOTIATE), "NTLM or Kerberos; over plain HTTP every message is sealed.";
        Basic "basic" false Shape::Map(BASIC), "User and password in every request; only over HTTPS.";
        Certificate "certificate" false Shape::Map(CERTIFICATE), "A client certificate.";
    }
}

table! {
    /// `negotiate`.
    NEGOTIATE / NegotiateKey {
        User "user" true Shape::Text, "`DOMAIN\\user`, `user@realm`, or a local user.";
        Password "password" true Shape::Any, "A reference to the password.";
        Package "package" false Shape::Word(PACKAGES), "`ntlm` unless given; never one for the other.";
        Kdc "kdc" false Shape::Texts, "Key distribution centres for Kerberos, `host` or `host:port`, asked in this order.";
        Service "service" false Shape::Text, "The service in the Kerberos principal; `HTTP` unless given.";
        ServiceHost "service_host" false Shape::Text, "The host in the Kerberos principal, if not the URL's.";
    }
}

table! {
    /// `basic`.
    BASIC / BasicKey {
        User "user" true Shape::Text, "The user, sent as written.";
        Password "password" true Shape::Any, "A reference to the password.";
    }
}

table! {
    /// `certificate`.
    CERTIFICATE / CertificateKey {
        File "file" true Shape::Text, "The certificate, and those between it and the authority: a PEM file.";
        Key "key" true Shape::Text, "Its private key: a PEM file.";
    }
}

/// What `negotiate` may be.
pub const PACKAGES: &[&str] = &["ntlm", "kerberos"];

table! {
    /// A directory.
    DIRECTORY / DirectoryKey {
        Url "url" true Shape::Text, "One server of it: `ldaps://host`, or `ldap://host` for StartTLS.";
        Ca "ca" false Shape::Text, "The certificate authority's file, if not the system's own.";
        Domain "domain" false Shape::Text, "The DNS name of the domain that it must be; another one is refused.";
        Bind "bind" true Shape::Map(BIND), "How to log on.";
        GlobalCatalog "global_catalog" false Shape::Text, "Where a global catalog answers, if not on a domain controller.";
        Addresses "addresses" false Shape::Named(&Shape::Text), "Where to connect to for a `host` or `host:port`, if not where its name leads.";
        Timeout "timeout" false Shape::Duration, "For connecting, and for one operation; 10s unless given.";
        Settle "settle" false Shape::Map(SETTLE), "How long to wait for a stable condition, and how often to look.";
        MaxParallel "max_parallel" false Shape::Count, "How many steps at once against it.";
        Vars "vars" false Shape::Any, "Values of your own.";
    }
}

table! {
    /// `bind`.
    BIND / BindKey {
        User "user" false Shape::Text, "`user@realm`, `DOMAIN\\user` or a distinguished name.";
        Password "password" false Shape::Any, "A reference to the password.";
        Kerberos "kerberos" false Shape::Bool, "Use the ticket of whoever runs relevo, instead of a user and a password.";
    }
}

table! {
    /// `settle`.
    SETTLE / SettleKey {
        StableFor "stable_for" false Shape::Duration, "For how long a condition must hold.";
        Poll "poll" false Shape::Duration, "How often to look.";
        Timeout "timeout" false Shape::Duration, "How long to wait for it at most.";
    }
}

/// Keys of other tools, what they are called here, and a hint.
type Foreign = &'static [(&'static [&'static str], &'static str, &'static str)];

const STEP_FOREIGN: Foreign = &[
    (
        &[
            "depends_on",
            "depends",
            "dependsOn",
            "depends-on",
            "dependencies",
            "deps",
            "after_steps",
            "requires",
            "need",
            "upstream",
        ],
        "needs",
        "",
    ),
    (
        &["run", "cmd", "cmds", "command", "commands", "script", "shell", "exec"],
        "uses: command",
        "write `uses: command` and `with: { shell: … }` or `with: { argv: […] }`",
    ),
    (&["action", "type", "module", "template", "task"], "uses", ""),
    (&["args", "arguments", "parameters", "inputs", "params"], "with", ""),
    (&["if", "runIf", "run_if", "condition", "only_if", "unless"], "when", ""),
    (
        &["preconditions", "precondition", "check", "checks", "failed_when"],
        "before",
        "`before` lists conditions that must hold; `when` decides whether the step applies at all",
    ),
    (&["verify", "postconditions", "assert", "validate"], "after", ""),
    (&["status", "creates", "changed_when"], "probe", "`probe` looks whether the effect is there already"),
    (&["register", "output"], "outputs", ""),
    (
        &["until", "retries", "delay", "retry_policy", "retryStrategy", "retry_strategy", "retryPolicy", "max_attempts"],
        "retry",
        "write `retry: { attempts: 3, interval: 10s }`",
    ),
    (
        &[
            "continue_on_error",
            "continue-on-error",
            "ignore_errors",
            "ignore_error",
            "continue_on",
            "continueOn",
            "allowFailure",
            "allow_failure",
        ],
        "on_failure: continue",
        "",
    ),
    (
        &["timeout_sec", "timeout_seconds", "timeout-minutes", "timeout_minutes", "activeDeadlineSeconds", "async"],
        "timeout",
        "write a length of time with its unit, such as `timeout: 10m`",
    ),
    (
        &["loop", "with_items", "withItems", "withParam", "foreach", "forEach", "for", "matrix", "strategy", "parallel"],
        "for_each",
        "write `for_each: { items: …, as: server }`",
    ),
    (
        &["env", "vars", "environment"],
        "with: { env: … }",
        "variables of a command stand under `with`; values for the whole plan are `params`",
    ),
    (
        &["approval", "approve", "approvers", "human", "pause", "suspend", "prompt"],
        "gate",
        "write `gate: { ask: …, approvers: […] }`, or `manual` for work that a person does",
    ),
    (
        &["pool", "queue", "lock", "locks", "mutex", "semaphore", "synchronization", "concurrency", "throttle"],
        "limits",
        "declare `limits` in the plan and list the name in the step",
    ),
    (&["resources", "locks_on", "acts-on", "actsOn", "mutates"], "acts_on", ""),
    (&["irreversible", "no_return", "noreturn", "final"], "point_of_no_return", ""),
    (&["rollback", "revert", "compensate", "compensation", "on_rollback"], "undo", ""),
    (
        &["host", "hosts", "target", "delegate_to", "directory", "runs-on"],
        "with: { host: … }",
        "the target is an argument of the action",
    ),
    (&["title", "label", "description"], "name", ""),
    (&["labels"], "tags", ""),
    (&["no_log", "sensitive"], "nothing", "secrets are only ever named by reference, so there is nothing to mask"),
    (&["steps", "tasks", "block"], "a list without nesting", "write the steps one after the other and order them with `needs`"),
    (&["on_error", "onFailure", "on_fail", "onError"], "on_failure", ""),
    (&["milestone", "savepoint"], "checkpoint", ""),
    (&["start_at", "at", "schedule", "wait_until"], "not_before", ""),
    (&["assignee", "responsible"], "owner", ""),
    (&["dry_run", "check_mode"], "nothing", "`relevo rehearse` describes every effect without the plan's help"),
    (
        &["finally", "always", "handlers", "notify", "on_success", "post"],
        "a step of its own",
        "write a step that `needs` this one",
    ),
];

const PLAN_FOREIGN: Foreign = &[
    (&["tasks", "jobs", "stages", "workflow", "step"], "steps", ""),
    (&["vars", "variables", "inputs", "parameters", "env", "arguments", "consts"], "params", ""),
    (&["version", "apiVersion"], "relevo: 1", ""),
    (&["hosts", "inventory", "target"], "targets", "systems stand in a file of their own, named by `targets`"),
    (&["title"], "name", ""),
    (&["parallelism", "concurrency", "forks", "max_active_steps", "maxParallel", "max-parallel"], "max_parallel", ""),
    (&["pools", "locks", "queues", "semaphores"], "limits", ""),
    (&["imports", "includes", "import"], "include", ""),
    (&["schedule", "maintenance"], "window", ""),
    (&["default"], "defaults", ""),
    (&["secrets"], "params", "write a parameter with `type: secret`"),
];

const RETRY_FOREIGN: Foreign = &[
    (
        &["limit", "max_attempts", "maxAttempts", "retries", "count", "times", "max"],
        "attempts",
        "`attempts` counts the first one too",
    ),
    (&["delay", "interval_sec", "wait", "sleep", "every"], "interval", ""),
    (&["factor", "multiplier", "backoff_factor"], "backoff", ""),
    (&["max_delay", "max_interval_sec", "maxInterval", "cap"], "max_interval", ""),
];

const FOR_EACH_FOREIGN: Foreign = &[
    (&["in", "values", "list", "of", "item"], "items", ""),
    (&["var", "name", "loop_var", "key", "value"], "as", ""),
    (&["parallel", "serial", "throttle", "concurrency", "max-parallel"], "max_parallel", ""),
];

const GATE_FOREIGN: Foreign = &[
    (&["message", "prompt", "question", "text", "title"], "ask", ""),
    (&["reviewers", "roles", "by", "approver"], "approvers", ""),
    (&["count", "votes", "required", "min_approvals"], "quorum", ""),
    (&["timeout", "deadline", "expiry"], "expires", ""),
];

const CONDITION_FOREIGN: Foreign = &[
    (&["expr", "expression", "assert", "condition", "if", "when", "expected"], "that", ""),
    (&["run", "cmd", "command", "shell"], "uses: command", "write `uses: command` and `with: { shell: … }`"),
];

const TARGETS_FOREIGN: Foreign = &[
    (&["relevo", "version"], "relevo_targets: 1", ""),
    (&["systems", "databases", "targets", "services"], "servers", ""),
    (&["directory", "domains", "ldap"], "directories", ""),
    (&["host", "machines", "nodes"], "hosts", ""),
    (&["users", "teams", "accounts"], "roles", ""),
];

/// What a key of another tool is called in that map here, and a hint.
pub fn foreign(table: &'static [KeySpec], key: &str) -> Option<(&'static str, &'static str)> {
    let list: Foreign = if std::ptr::eq(table, STEP) {
        STEP_FOREIGN
    } else if std::ptr::eq(table, PLAN) {
        PLAN_FOREIGN
    } else if std::ptr::eq(table, RETRY) {
        RETRY_FOREIGN
    } else if std::ptr::eq(table, FOR_EACH) {
        FOR_EACH_FOREIGN
    } else if std::ptr::eq(table, GATE) {
        GATE_FOREIGN
    } else if std::ptr::eq(table, CONDITION) {
        CONDITION_FOREIGN
    } else if std::ptr::eq(table, TARGETS) {
        TARGETS_FOREIGN
    } else {
        &[]
    };
    list.iter().find(|(names, ..)| names.contains(&key)).map(|(_, ours, hint)| (*ours, *hint))
}
