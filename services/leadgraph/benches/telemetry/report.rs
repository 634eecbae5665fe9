//! What is printed, and whether the limits are kept.

/// Prints what the next lines are about.
pub fn title(text: &str) {
    println!("\n{text}");
}

/// Prints a measure to compare with.
pub fn beside(name: &str, value: f64, unit: &str) {
    println!("  {name:<58} {value:>10.2} {unit}");
}

/// The measures that have limits.
#[derive(Default)]
pub struct Report {
    broken: bool,
}

impl Report {
    /// A measure that has a limit above.
    pub fn at_most(&mut self, name: &str, value: f64, limit: f64) {
        let kept = value <= limit;
        let verdict = if kept { "ok" } else { "LIMIT BROKEN" };
        println!("  {name:<58} {value:>10.3} at most {limit:.2}: {verdict}");
        self.broken |= !kept;
    }

    /// Whether all limits are kept.
    pub fn all_kept(&self) -> bool {
        !self.broken
    }
}

/// The middle one of the samples, or the middle between two.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}
