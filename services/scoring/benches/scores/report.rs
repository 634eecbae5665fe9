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
    pub fn at_most(&mut self, name: &str, value: f64, limit: f64, unit: &str) {
        let kept = value <= limit;
        let verdict = if kept { "ok" } else { "LIMIT BROKEN" };
        println!("  {name:<58} {value:>10.2} {unit:<9} at most {limit:.1}: {verdict}");
        self.broken |= !kept;
    }

    /// Whether all limits are kept.
    pub fn all_kept(&self) -> bool {
        !self.broken
    }
}

/// The value below which this share of the samples lies, 0.5 for the median.
///
/// # Panics
/// Without samples.
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The nearest rank: of 300 samples three lie above the one at 0.99
    let above =
        sorted.iter().enumerate().take_while(|(index, _)| as_f64(*index) < as_f64(sorted.len()) * share);
    sorted[above.count().saturating_sub(1)]
}

/// The median.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Counts are far below where this is inexact.
#[expect(clippy::cast_precision_loss, reason = "a count of sockets or samples")]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}
