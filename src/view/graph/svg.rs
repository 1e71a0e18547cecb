//! SVG: boxes with id and name, shape and colour by kind, a legend. Readable on a light and on a dark page.

use std::fmt::Write as _;

use super::super::text::{cut, span, width};
use super::{Drawing, Node, Shape, layout};

/// A character of the id's (monospaced) and of the name's font takes about so many pixels.
const MONO: f64 = 7.3;
const SANS: f64 = 8.2;
/// The longest line in a box, in characters.
const LONGEST: usize = 34;
const PAD: f64 = 24.0;
const HEAD: f64 = 56.0;
const LEGEND: f64 = 58.0;

/// The picture as a document of its own.
#[must_use]
pub fn svg(drawing: &Drawing) -> String {
    let sizes: Vec<(f64, f64)> = drawing.nodes.iter().map(size).collect();
    let at = layout(drawing, &sizes);
    let (wide, high) = (at.size.0.max(700.0) + 2.0 * PAD, at.size.1 + HEAD + LEGEND + PAD);
    // A picture that is narrower than its legend stands in the middle.
    let left = (wide - at.size.0) / 2.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n\
         <title>{name}</title>\n<style>{STYLE}</style>\n{ARROW}\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"{PAD}\" y=\"34\">{name}</text>\n",
        w = wide.ceil(),
        h = high.ceil(),
        name = escape(&drawing.name),
    );
    let _ = writeln!(out, "<g transform=\"translate({left:.1} {HEAD})\">");
    for points in &at.edges {
        let _ = writeln!(out, "<path class=\"edge\" d=\"{}\" marker-end=\"url(#arrow)\"/>", curve(points));
    }
    for ((node, size), middle) in drawing.nodes.iter().zip(&sizes).zip(&at.nodes) {
        boxed(&mut out, node, *size, *middle);
    }
    out.push_str("</g>\n");
    legend(&mut out, high - LEGEND / 2.0);
    out.push_str("</svg>\n");
    out
}

/// The two lines of a box: the name (or id) large, the id and the estimate small.
fn words(node: &Node) -> (String, String) {
    let times = if node.times > 1 { format!(" × {}", node.times) } else { String::new() };
    let estimate = node.estimate.map(span);
    let (first, mut second) = match &node.name {
        Some(name) => (name.clone(), format!("{}{times}", node.id)),
        None => (format!("{}{times}", node.id), String::new()),
    };
    let marks = [node.no_return.then_some("no way back"), node.destructive.then_some("destructive"), estimate.as_deref()];
    for mark in marks.into_iter().flatten() {
        if !second.is_empty() {
            second.push_str(" · ");
        }
        second.push_str(mark);
    }
    if second.is_empty() && node.shape != Shape::Action {
        second.push_str(node.shape.as_str());
    }
    (cut(&first, LONGEST), cut(&second, LONGEST + 6))
}

#[expect(clippy::cast_precision_loss, reason = "a line has a few dozen characters")]
fn size(node: &Node) -> (f64, f64) {
    let (first, second) = words(node);
    let text = (width(&first) as f64 * SANS).max(width(&second) as f64 * MONO * 0.92);
    let ends = if node.shape == Shape::Action { 26.0 } else { 44.0 };
    ((text + ends).max(96.0).round(), if second.is_empty() { 34.0 } else { 46.0 })
}

fn boxed(out: &mut String, node: &Node, (w, h): (f64, f64), (x, y): (f64, f64)) {
    let (first, second) = words(node);
    let mut class = node.shape.as_str().to_owned();
    if node.destructive {
        class += " destructive";
    }
    if node.no_return {
        class += " noreturn";
    }
    let _ = write!(out, "<g class=\"{class}\" transform=\"translate({x:.1} {y:.1})\"><title>{}</title>", escape(&node.label()));
    out.push_str(&shape(node.shape, w, h));
    if node.destructive {
        let _ = write!(out, "<path class=\"stripe\" d=\"M{:.1} {:.1}v{h:.1}\"/>", 4.0 - w / 2.0, -h / 2.0);
    }
    if second.is_empty() {
        let _ = write!(out, "<text class=\"name\" y=\"4.5\">{}</text>", escape(&first));
    } else {
        let _ = write!(
            out,
            "<text class=\"name\" y=\"-3\">{}</text><text class=\"id\" y=\"13\">{}</text>",
            escape(&first),
            escape(&second)
        );
    }
    out.push_str("</g>\n");
}

/// The outline of a box around the origin.
fn shape(shape: Shape, w: f64, h: f64) -> String {
    let (r, b) = (w / 2.0, h / 2.0);
    match shape {
        Shape::Action => {
            format!("<rect class=\"box\" x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"6\"/>", -r, -b)
        }
        Shape::Checkpoint => {
            format!("<rect class=\"box\" x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{b:.1}\"/>", -r, -b)
        }
        Shape::Gate => {
            let inner = r - 14.0;
            format!(
                "<path class=\"box\" d=\"M{:.1} 0L{:.1} {:.1}H{inner:.1}L{r:.1} 0L{inner:.1} {b:.1}H{:.1}Z\"/>",
                -r, -inner, -b, -inner
            )
        }
        Shape::Manual => {
            let slant = 10.0;
            format!("<path class=\"box\" d=\"M{:.1} {:.1}H{r:.1}L{:.1} {b:.1}H{:.1}Z\"/>", slant - r, -b, r - slant, -r)
        }
    }
}

/// A line through the middles between the points, rounded at the points.
fn curve(points: &[(f64, f64)]) -> String {
    let Some((first, rest)) = points.split_first() else { return String::new() };
    let mut out = format!("M{:.1} {:.1}", first.0, first.1);
    // Straight down out of one box and into the next: the ends are drawn from above and below.
    if let [only] = rest {
        let middle = f64::midpoint(first.1, only.1);
        let _ = write!(out, "C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}", first.0, only.0, only.0, only.1);
        return out;
    }
    for pair in rest.windows(2) {
        let (at, next) = (pair[0], pair[1]);
        let _ = write!(out, "Q{:.1} {:.1} {:.1} {:.1}", at.0, at.1, f64::midpoint(at.0, next.0), f64::midpoint(at.1, next.1));
    }
    if let Some(last) = rest.last() {
        let _ = write!(out, "L{:.1} {:.1}", last.0, last.1);
    }
    out
}

fn legend(out: &mut String, y: f64) {
    let mut x = PAD;
    let entries = [
        ("action", Shape::Action, "action"),
        ("destructive", Shape::Action, "action destructive"),
        ("no way back", Shape::Action, "action noreturn"),
        ("gate", Shape::Gate, "gate"),
        ("manual step", Shape::Manual, "manual"),
        ("checkpoint", Shape::Checkpoint, "checkpoint"),
    ];
    out.push_str("<g class=\"legend\">\n");
    for (words, kind, class) in entries {
        let _ = write!(out, "<g class=\"{class}\" transform=\"translate({:.1} {y:.1})\">{}", x + 17.0, shape(kind, 34.0, 18.0));
        if class.ends_with("destructive") {
            out.push_str("<path class=\"stripe\" d=\"M-13 -9v18\"/>");
        }
        #[expect(clippy::cast_precision_loss, reason = "a few words")]
        let long = words.len() as f64 * 7.0;
        let _ = writeln!(out, "<text class=\"key\" x=\"24\" y=\"4\">{words}</text></g>");
        x += 41.0 + long + 16.0;
    }
    out.push_str("</g>\n");
}

const ARROW: &str = "<defs><marker id=\"arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
                     orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M1 1.5L9 5L1 8.5Z\"/></marker></defs>\n";

const STYLE: &str = "\
:root{color-scheme:light dark}\
.page{fill:#fbfbfa}text{fill:#1f2328;text-anchor:middle;font:600 13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.head{text-anchor:start;font-size:17px}\
.id{font:11px ui-monospace,Consolas,'DejaVu Sans Mono',monospace;fill:#59636e}\
.key{text-anchor:start;font-weight:400;font-size:12px;fill:#59636e}\
.edge{fill:none;stroke:#9aa4af;stroke-width:1.5}.tip{fill:#9aa4af}\
.box{fill:#fff;stroke:#8b949e;stroke-width:1.3}\
.gate .box{fill:#fff4d6;stroke:#b7791f}.manual .box{fill:#e4effc;stroke:#2f6fb7}.checkpoint .box{fill:#e3f4e6;stroke:#2c8a46}\
.destructive .box{fill:#fdeceb;stroke:#c9342c}.stripe{stroke:#c9342c;stroke-width:5;fill:none}\
.noreturn .box{stroke:#7b1fa2;stroke-width:3;fill:#f6e9fb}\
@media(prefers-color-scheme:dark){\
.page{fill:#15181c}text{fill:#e6e9ec}.id,.key{fill:#a0a9b3}.edge{stroke:#69727d}.tip{fill:#69727d}\
.box{fill:#22272d;stroke:#7d8793}\
.gate .box{fill:#3a2f12;stroke:#d9a441}.manual .box{fill:#17293d;stroke:#5b9be0}.checkpoint .box{fill:#16301d;stroke:#4fb56b}\
.destructive .box{fill:#3b1b1a;stroke:#ef6a62}.stripe{stroke:#ef6a62}.noreturn .box{fill:#2f1a38;stroke:#c583e0}}";

/// Text from outside for SVG and other XML.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML at all, and not control characters, so they come this far.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{noop, plan, weekend};
    use super::*;

    #[test]
    fn f102_s41_markup_in_a_plan_is_shown_and_not_obeyed() {
        let steps: Vec<(crate::plan::Step, &[&str])> = vec![(noop("a").called("</text><script>alert('1')&</script>\u{1b}"), &[])];
        let picture = svg(&Drawing::of(&plan(steps)));
        assert!(!picture.contains("<script"), "{picture}");
        assert!(picture.contains("&lt;/text&gt;&lt;script&gt;"), "{picture}");
    }

    #[test]
    fn every_kind_of_step_has_its_class_and_every_step_its_box() {
        let plan = weekend();
        let picture = svg(&Drawing::of(&plan));
        for class in ["\"gate\"", "\"manual\"", "\"checkpoint\"", "\"action destructive\"", "\"action noreturn\""] {
            assert!(picture.contains(&format!("<g class={class} transform")), "{class}");
        }
        // Six more are in the legend.
        assert_eq!(picture.matches("class=\"box\"").count(), plan.steps.len() + 6);
    }
}
