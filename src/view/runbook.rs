//! The plan on paper: Markdown for the change board, and for whoever must go on by hand.

use std::collections::BTreeMap;

use super::explain::{call_words, effect_words, looks_for, on_failure, undo_gives, value_words};
use super::gate::roles;
use super::page::Page;
use super::text::{count, full, span};
use crate::plan::graph::{self, Rest};
use crate::plan::{Holds, Plan, Step, StepIx, Work};
use crate::time::Span;

/// The whole runbook. Steps are numbered in the order in which they can be carried out one by one.
#[must_use]
pub fn runbook(plan: &Plan, page: &Page) -> String {
    let order = graph::topological(plan);
    let numbers: BTreeMap<StepIx, usize> = order.iter().copied().zip(1..).collect();
    let mut out = Vec::new();
    header(&mut out, plan, page);
    contents(&mut out, plan, &order);
    out.push("## Steps".to_owned());
    let mut crossed = false;
    for (n, &ix) in order.iter().enumerate() {
        let step = plan.step(ix);
        if step.point_of_no_return && !crossed {
            crossed = true;
            out.extend(
                ["", "---", "", "**POINT OF NO RETURN: once the next step has started, there is no way back.**", "", "---"]
                    .map(str::to_owned),
            );
        }
        out.push(String::new());
        describe(&mut out, plan, step, n + 1, &numbers);
    }
    out.join("\n") + "\n"
}

fn header(out: &mut Vec<String>, plan: &Plan, page: &Page) {
    out.push(format!("# {}", escape(&plan.name)));
    out.push(String::new());
    if let Some(description) = &plan.description {
        out.push(escape(description));
        out.push(String::new());
    }
    let mut rows = vec![("Plan (SHA-256)", format!("`{}`", plan.sha256)), ("Steps", plan.steps.len().to_string())];
    if let Some(window) = &plan.window {
        rows.push(("Window", format!("{} to {}", full(window.opens, &page.zone), full(window.closes, &page.zone))));
        if let Some(back_out) = window.back_out_by {
            rows.push(("Back out by", full(back_out, &page.zone)));
        }
    }
    for (role, accounts) in &plan.targets.roles {
        rows.push(("Role", format!("{}: {}", escape(role), escape(&accounts.join(", ")))));
    }
    rows.push(("Critical path", critical_path(plan)));
    table(out, ["", ""], rows.into_iter().map(|(key, value)| [key.to_owned(), value]));
}

fn critical_path(plan: &Plan) -> String {
    let path = graph::critical_path(plan, |ix| Rest::Takes {
        wait: Span::ZERO,
        span: plan.step(ix).estimate.map_or(Span::ZERO, |estimate| estimate.p50),
    });
    let open = plan.steps.iter().filter(|step| step.estimate.is_none() && matches!(step.work, Work::Action(_))).count();
    let ids: Vec<String> = path.steps.iter().map(|&ix| escape(plan.step(ix).id.as_str())).collect();
    let people = plan.steps.iter().any(|step| matches!(step.work, Work::Gate(_) | Work::Manual(_)));
    let people = if people { ", not counting how long people take" } else { "" };
    match open {
        0 => format!("{}{people}: {}", span(path.length), ids.join(" → ")),
        _ if path.length == Span::ZERO => "unknown: no step has an estimate".to_owned(),
        n => format!("at least {}{people} ({} without an estimate)", span(path.length), count(n, "step")),
    }
}

fn contents(out: &mut Vec<String>, plan: &Plan, order: &[StepIx]) {
    out.extend(["", "## Contents", ""].map(str::to_owned));
    for (n, &ix) in order.iter().enumerate() {
        let step = plan.step(ix);
        let name = step.name.as_deref().map_or(String::new(), |name| format!(": {}", escape(name)));
        out.push(format!("{}. [{}](#step-{}){name}{}", n + 1, escape(step.id.as_str()), n + 1, mark(step)));
    }
    out.push(String::new());
}

fn mark(step: &Step) -> &'static str {
    match &step.work {
        Work::Gate(_) => " (gate)",
        Work::Manual(_) => " (manual)",
        Work::Checkpoint => " (checkpoint)",
        Work::Action(_) if step.point_of_no_return => " (**point of no return**)",
        Work::Action(action) if action.destructive => " (destructive)",
        Work::Action(_) => "",
    }
}

fn describe(out: &mut Vec<String>, plan: &Plan, step: &Step, n: usize, numbers: &BTreeMap<StepIx, usize>) {
    out.push(format!("<a id=\"step-{n}\"></a>"));
    out.push(String::new());
    out.push(format!("### {n}. {}{}", escape(step.title()), mark(step)));
    out.push(String::new());
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |key: &str, value: String| rows.push([key.to_owned(), value]);
    if step.name.is_some() {
        row("Id", escape(step.id.as_str()));
    }
    match &step.work {
        Work::Action(action) => {
            let destroys = if action.destructive { "; **destroys something**" } else { "" };
            row("What", format!("{}; {}{destroys}", code(&action.call.uses), effect_words(action.effect)));
            if let Some(place) = place(&action.call.with) {
                row("Where", escape(&place));
            }
            row("By hand", by_hand(&action.call));
            row("How we know", prose(&looks_for(action)));
            row("Undo", prose(&undo_gives(action)));
        }
        Work::Gate(gate) => {
            row("Question", escape(&gate.ask));
            let who = roles(plan, &gate.approvers);
            let initiator = if gate.not_initiator { "; not whoever starts the run" } else { "" };
            row("Approvers", escape(&format!("{who}; {} needed{initiator}", gate.quorum.max(1))));
            if let Some(expires) = gate.expires {
                row("Expires", format!("{} after it is asked; that is no yes", span(expires)));
            }
        }
        Work::Manual(manual) => {
            row("To do", escape(manual.instructions.trim()));
            row("By", escape(&roles(plan, &manual.by)));
            for field in &manual.evidence {
                row("Hand over", escape(&format!("{} {}", field.name, field.ask.as_deref().unwrap_or(""))));
            }
        }
        Work::Checkpoint => row("What", "safe to stop, hand over, or go back to".to_owned()),
    }
    if let Some(owner) = &step.owner {
        row("Owner", escape(owner));
    }
    let needs: Vec<String> = step
        .needs
        .iter()
        .map(|need| {
            let n = numbers.get(need).copied().unwrap_or_default();
            format!("[{n}](#step-{n}) {}", escape(plan.step(*need).id.as_str()))
        })
        .collect();
    row("Needs", if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") });
    if let Some(when) = &step.when {
        row("Only when", code(&when.source));
    }
    for (key, conditions) in [("Before", &step.before), ("After", &step.after)] {
        for condition in conditions {
            let how = match &condition.holds {
                Holds::Expr(expr) => code(&expr.source),
                Holds::Probe(probe) => prose(&call_words(&probe.call)),
            };
            row(key, format!("{}: {how}", escape(&condition.name)));
        }
    }
    if let Some(estimate) = step.estimate {
        let undo = estimate.undo.map_or(String::new(), |undo| format!("; undo {}", span(undo)));
        row("Duration", format!("{}, at worst {}{undo}", span(estimate.p50), span(estimate.p90)));
    } else if matches!(step.work, Work::Action(_)) {
        row("Duration", "no estimate".to_owned());
    }
    row("On failure", on_failure(step.on_failure).to_owned());
    row("Done at / by", String::new());
    table(out, ["", ""], rows.into_iter());
}

/// The target that an action names.
fn place(with: &serde_json::Value) -> Option<String> {
    ["host", "directory", "target"].iter().find_map(|key| with.get(key)).map(value_words)
}

fn by_hand(call: &crate::plan::Call) -> String {
    let mut lines = vec![code(&call.uses)];
    if let serde_json::Value::Object(map) = &call.with {
        for (key, value) in map {
            match value.as_str().map(str::trim_end).filter(|text| text.contains('\n')) {
                // A script is read line by line.
                Some(script) => {
                    lines.push(format!("{} =", escape(key)));
                    lines.extend(script.lines().map(code));
                }
                None => lines.push(format!("{} = {}", escape(key), code(&value_words(value)))),
            }
        }
    }
    lines.join("<br>")
}

fn table(out: &mut Vec<String>, head: [&str; 2], rows: impl Iterator<Item = [String; 2]>) {
    out.push(format!("| {} | {} |", head[0], head[1]));
    out.push("|---|---|".to_owned());
    out.extend(rows.map(|[key, value]| format!("| {key} | {value} |")));
}

/// Text from outside so that Markdown shows it as it is, on one line of a table.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (n, part) in crate::foreign::lines(text).iter().enumerate() {
        if n > 0 {
            out.push_str("<br>");
        }
        for c in part.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '$' | '!' => {
                    out.push('\\');
                    out.push(c);
                }
                // A bare address would become a link.
                ':' if part.contains("://") => out.push_str("&#58;"),
                '@' => out.push_str("&#64;"),
                _ => out.push(c),
            }
        }
    }
    out
}

/// Our own words with names in backticks, which have no place in an escaped text.
fn prose(text: &str) -> String {
    escape(&text.replace('`', ""))
}

/// Text from outside as code. HTML tags, because no number of backticks is safe in a table.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{page, weekend};
    use super::*;

    #[test]
    fn every_step_stands_in_the_contents_and_below_with_the_same_number() {
        let plan = weekend();
        let text = runbook(&plan, &page(80));
        for n in 1..=plan.steps.len() {
            assert!(text.contains(&format!("](#step-{n})")), "{n}");
            assert!(text.contains(&format!("<a id=\"step-{n}\"></a>\n\n### {n}. ")), "{n}");
        }
        assert_eq!(text.matches("POINT OF NO RETURN").count(), 1);
        let line = text.find("POINT OF NO RETURN").unwrap();
        assert!(
            text.find("Start the 2013 servers?").unwrap() < line
                && line < text.find("start-2013\\[pc01\\]\n").unwrap_or(usize::MAX)
        );
        assert!(text.contains("| Critical path | 2h16m, not counting how long people take: preflight → stop-legacy"), "{text}");
    }

    #[test]
    fn a_step_says_what_where_who_and_how_to_do_it_by_hand() {
        let text = runbook(&weekend(), &page(80));
        let from = text.find("### 5. ").unwrap();
        let upto = text[from..].find("<a id").unwrap();
        assert_eq!(
            text[from..from + upto].trim_end(),
            "\
### 5. Export rooms and messages

|  |  |
|---|---|
| Id | export |
| What | <code>lync.chat.export</code>; must happen once; a look can tell whether it did |
| Where | lync\\_admin |
| By hand | <code>lync.chat.export</code><br>file = <code>D:\\\\mig\\\\chat.zip</code><br>host = <code>lync\\_admin</code> |
| How we know | lync.chat.export looks for its own effect |
| Undo | full: everything comes back |
| Owner | chat team |
| Needs | [2](#step-2) stop-legacy\\[gc01\\], [3](#step-3) stop-legacy\\[gc02\\] |
| Duration | 40m, at worst 1h20m |
| On failure | a person is asked: retry, done, skip or stop; nothing new starts until then |
| Done at / by |  |"
        );
    }

    #[test]
    fn f102_s32_markdown_in_a_plan_is_shown_and_not_obeyed() {
        assert_eq!(escape("a|b <script> [x](http://y)\n# *no*"), "a\\|b &lt;script&gt; \\[x\\](http&#58;//y)<br>\\# \\*no\\*");
        assert_eq!(code("`a` | b"), "<code>\\`a\\` \\| b</code>");
    }
}
