//! What a bench prints, and whether its limits are kept.

/// Prints what the next lines are about.
pub fn title(text: &str) {
    println!("\n{text}");
}

/// Prints a measure to compare with.
pub fn beside(name: &str, value: f64, unit: &str) {
    println!("  {name:<58} {value:>10.2} {unit}");
}

/// The measures that have limits.
#[derive(Debug, Default)]
pub struct Report {
    broken: bool,
}

impl Report {
    /// A measure that has a limit above.
    pub fn at_most(&mut self, name: &str, value: f64, limit: f64, unit: &str) {
        self.judge(name, value, unit, &format!("at most {limit}"), value <= limit);
    }

    /// A measure that has a limit below.
    pub fn at_least(&mut self, name: &str, value: f64, limit: f64, unit: &str) {
        self.judge(name, value, unit, &format!("at least {limit}"), value >= limit);
    }

    fn judge(&mut self, name: &str, value: f64, unit: &str, limit: &str, kept: bool) {
        let verdict = if kept { "ok" } else { "LIMIT BROKEN" };
        println!("  {name:<58} {value:>10.3} {unit:<9} {limit}: {verdict}");
        self.broken |= !kept;
    }

    /// Whether all limits are kept.
    #[must_use]
    pub fn all_kept(&self) -> bool {
        !self.broken
    }
}

/// The value below which this share of the samples lies.
///
/// # Panics
/// Without samples.
#[must_use]
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The nearest rank: of 300 samples three lie above the one at 0.99
    let above =
        sorted.iter().enumerate().take_while(|(index, _)| as_f64(*index) < as_f64(sorted.len()) * share);
    sorted[above.count().saturating_sub(1)]
}

/// The middle one of the samples, or the middle between two.
///
/// # Panics
/// Without samples.
#[must_use]
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

/// Counts are far below where this is inexact.
#[expect(clippy::cast_precision_loss, reason = "a count of sockets or samples")]
#[must_use]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}
