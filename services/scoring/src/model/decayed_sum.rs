//! The sum of points that halve as time passes, kept so that one more costs the same however many there are.

use super::ScoreModel;

/// The order of a sum that is zero: below every other, which begin at −1100.
const NOTHING: f64 = -1e9;
/// How far the score may be off through rounding before a sum is made anew: a tenth of what is promised.
const TOLERANCE: f64 = 1e-7;
/// The same as a part of the sum. A score is most sensitive to that where it is 63, some half-lives later: a part of
/// 10⁻⁹ is 4 · 10⁻⁸ of a point there.
const PART: f64 = 1e-9;

/// The sum at a point in time, from which it follows for every other one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecayedSum {
    /// The sum of the points as of `at`.
    pub value: f64,
    /// In microseconds since 1970; no interaction in the sum is later.
    pub at: i64,
    /// How far `value` can be from the true sum, because floating-point numbers are rounded.
    pub drift: f64,
}

impl DecayedSum {
    /// The sum of nothing.
    pub const ZERO: Self = Self { value: 0.0, at: 0, drift: 0.0 };

    /// The sum of these points, each with its time.
    pub fn of(model: &ScoreModel, points: impl IntoIterator<Item = (f64, i64)>) -> Self {
        points.into_iter().fold(Self::ZERO, |sum, (points, at)| sum.plus(model, points, at))
    }

    /// With points more, whenever they were.
    #[must_use]
    pub fn plus(self, model: &ScoreModel, points: f64, at: i64) -> Self {
        let sum =
            if self.value == 0.0 { Self { at, ..Self::ZERO } } else { self.moved(model, self.at.max(at)) };
        sum.with(sum.value + points * model.left(at, sum.at))
    }

    /// Without points that were added; nothing when what stays cannot be told exactly enough, and the sum has to be
    /// made anew: subtracting nearly equal numbers leaves their rounding errors.
    pub fn minus(self, model: &ScoreModel, points: f64, at: i64) -> Option<Self> {
        let gone = points * model.left(at, self.at);
        let sum = self.with(self.value - gone);
        (gone <= self.value / 2.0 && sum.is_exact(model)).then_some(sum)
    }

    /// The sum at another time.
    pub fn at(&self, model: &ScoreModel, time: i64) -> f64 {
        if self.value == 0.0 { 0.0 } else { self.value * model.left(self.at, time) }
    }

    /// A number by which sums are ordered the same way at any time: `log2 E + at / halfLife`.
    pub fn rank(&self, model: &ScoreModel) -> f64 {
        if self.value > 0.0 { self.value.log2() + model.half_lives(self.at, 0) } else { NOTHING }
    }

    /// The same sum, told as of another time.
    fn moved(self, model: &ScoreModel, at: i64) -> Self {
        let left = model.left(self.at, at);
        Self { at, drift: self.drift * left, ..self }.with(self.value * left)
    }

    /// Another value, which is at most a rounding off.
    fn with(self, value: f64) -> Self {
        Self { value, drift: self.drift + 2.0 * f64::EPSILON * value.max(self.value), ..self }
    }

    /// Whether the score is right up to a tolerance, at any time from now on.
    fn is_exact(&self, model: &ScoreModel) -> bool {
        let slope = model.activity(self.value + self.drift) - model.activity(self.value);
        // Later the sum is smaller: the score is then the more sensitive, but the error is smaller too
        slope < TOLERANCE && self.drift < PART * self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rounded;
    use proptest::{collection::vec, prelude::*, sample::Index};

    const DAY: i64 = 86_400_000_000;
    const KINDS: [&str; 3] = ["MEETING", "CALL", "EMAIL"];

    /// Something that happens to a history.
    #[derive(Clone, Debug)]
    enum Step {
        Add(&'static str, i64),
        Remove(Index),
        Edit(Index, &'static str, i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        // From yesterday to 1970: most are recent
        let date = || prop_oneof![4 => 0..60 * DAY, 1 => 0..20_000 * DAY].prop_map(|age| 20_000 * DAY - age);
        let kind = || prop::sample::select(&KINDS[..]);
        prop_oneof![
            4 => (kind(), date()).prop_map(|(kind, at)| Step::Add(kind, at)),
            3 => any::<Index>().prop_map(Step::Remove),
            2 => (any::<Index>(), kind(), date()).prop_map(|(which, kind, at)| Step::Edit(which, kind, at)),
        ]
    }

    /// What the service does with one.
    struct History {
        model: ScoreModel,
        all: Vec<(&'static str, i64)>,
        sum: DecayedSum,
    }

    impl History {
        fn truth(&self) -> DecayedSum {
            DecayedSum::of(&self.model, self.all.iter().map(|(kind, at)| (self.model.points(kind), *at)))
        }

        fn add(&mut self, kind: &'static str, at: i64) {
            self.all.push((kind, at));
            self.sum = self.sum.plus(&self.model, self.model.points(kind), at);
        }

        fn remove(&mut self, which: usize) {
            let (kind, at) = self.all.swap_remove(which);
            let less = self.sum.minus(&self.model, self.model.points(kind), at);
            self.sum = less.unwrap_or_else(|| self.truth());
        }

        fn take(&mut self, step: &Step) {
            match step {
                Step::Add(kind, at) => self.add(kind, *at),
                _ if self.all.is_empty() => {}
                Step::Remove(which) => self.remove(which.index(self.all.len())),
                Step::Edit(which, kind, at) => {
                    self.remove(which.index(self.all.len()));
                    self.add(kind, *at);
                }
            }
        }

        fn check(&self, now: i64) {
            let (kept, anew) =
                [self.sum, self.truth()].map(|sum| self.model.activity(sum.at(&self.model, now))).into();
            assert!((kept - anew).abs() < 1e-6, "{kept} is not {anew}");
            let boundary = (anew + 0.5).fract().min(1.0 - (anew + 0.5).fract());
            assert!(boundary < 1e-6 || rounded(kept) == rounded(anew));
            assert!(!self.all.is_empty() || self.sum.value == 0.0, "zero is exactly zero");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn whatever_happens_the_sum_is_the_one_of_what_is_there(steps in vec(step(), 1..120)) {
            let mut history = History { model: ScoreModel::default(), all: vec![], sum: DecayedSum::ZERO };
            for step in &steps {
                history.take(step);
                for later in [0, 1, 30, 4_000] {
                    history.check((20_000 + later) * DAY);
                }
            }
            while !history.all.is_empty() {
                history.remove(0);
                history.check(20_000 * DAY);
            }
        }

        #[test]
        fn the_order_is_that_of_the_scores_at_any_time(
            one in vec((0.1..50.0, 0..20_000 * DAY), 0..10),
            other in vec((0.1..50.0, 0..20_000 * DAY), 0..10),
            later in 0..400 * DAY,
        ) {
            let model = ScoreModel::default();
            let (one, other) = (DecayedSum::of(&model, one), DecayedSum::of(&model, other));
            let now = 20_000 * DAY + later;
            let by_rank = one.rank(&model).total_cmp(&other.rank(&model));
            let by_sum = one.at(&model, now).total_cmp(&other.at(&model, now));
            let close = (one.rank(&model) - other.rank(&model)).abs() < 1e-9;
            prop_assert!(close || by_sum.is_eq() || by_rank == by_sum, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_removals_leave_no_dust() {
        let mut history = History { model: ScoreModel::default(), all: vec![], sum: DecayedSum::ZERO };
        for n in 0..20_000 {
            history.add(KINDS[n % 3], 20_000 * DAY - i64::try_from(n).unwrap() * 977_777_777);
        }
        while history.all.len() > 3 {
            history.remove(0);
        }
        history.check(20_000 * DAY);
        (0..3).for_each(|_| history.remove(0));
        assert!(history.sum.value == 0.0);
    }
}
