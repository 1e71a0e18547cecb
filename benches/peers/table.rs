//! What is printed: one line per goal.

use std::time::Duration;

/// One goal and what was measured for it.
#[derive(Debug)]
pub struct Line {
    /// The case's letter.
    pub case: char,
    /// What is compared with what.
    pub title: &'static str,
    /// The ratio that it must not exceed.
    pub goal: f64,
    /// The unit of the two columns of medians.
    unit: &'static str,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Line {
    /// A goal on times.
    pub fn of_time(case: char, title: &'static str, goal: f64) -> Self {
        Line { case, title, goal, unit: "ms", ours: Vec::new(), theirs: Vec::new() }
    }

    /// A goal on memory.
    pub fn of_memory(case: char, title: &'static str, goal: f64) -> Self {
        Line { unit: "MiB", ..Line::of_time(case, title, goal) }
    }

    /// One round's times.
    pub fn times(&mut self, ours: Duration, theirs: Duration) {
        self.ours.push(ours.as_secs_f64() * 1e3);
        self.theirs.push(theirs.as_secs_f64() * 1e3);
    }

    /// One round's memory.
    #[expect(clippy::cast_precision_loss, reason = "KiB of a process")]
    pub fn peaks(&mut self, ours: u64, theirs: u64) {
        self.ours.push(ours as f64 / 1024.0);
        self.theirs.push(theirs as f64 / 1024.0);
    }

    /// One row; `None` if nothing was measured. Without `judged` the goal is left out.
    pub fn row(&self, judged: bool) -> Option<String> {
        let mut ratios: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect();
        let ratio = median(&mut ratios)?;
        let goal = match (judged, ratio <= self.goal) {
            (true, true) => format!("{:>5.2} met   ", self.goal),
            (true, false) => format!("{:>5.2} missed", self.goal),
            (false, _) => " ".repeat(12),
        };
        let (ours, theirs) = (median(&mut self.ours.clone())?, median(&mut self.theirs.clone())?);
        Some(format!(
            "{}  {:<54} {ratio:>6.2}  {:>6.2} {:>6.2}  {goal}  {ours:>9.2} {theirs:>9.2} {}",
            self.case,
            self.title,
            ratios[0],
            ratios[ratios.len() - 1],
            self.unit,
        ))
    }
}

/// The heading of the rows.
pub fn heading() -> String {
    format!(
        "{:<57} {:>6}  {:>6} {:>6}  {:>5} {:<6}  {:>9} {:>9}",
        "   what / beside what", "median", "least", "most", "goal", "", "relevo", "other"
    )
}

/// The middle value; sorts.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}
