//! How well a lead fits, by its profile alone.

/// What is known about a lead that says how well it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Where it stands in the pipeline; nothing while nobody told of the lead.
    pub status: Option<String>,
    /// The budget, in cents.
    pub budget_cents: Option<i64>,
    /// Whether there is a telephone number.
    pub has_phone: bool,
    /// Whether it is known where the lead is.
    pub has_location: bool,
    /// Whether it belongs to somebody.
    pub has_owner: bool,
}

impl From<&leadview::Model> for Profile {
    fn from(lead: &leadview::Model) -> Self {
        Self {
            status: lead.status.clone(),
            budget_cents: lead.budget_cents,
            has_phone: lead.has_phone,
            has_location: lead.location.is_some(),
            has_owner: lead.owner_id.is_some(),
        }
    }
}

/// One part of the fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitPart {
    /// `STATUS`, `BUDGET`, `PHONE`, `LOCATION` or `OWNER`.
    pub kind: &'static str,
    /// The same in words for a person.
    pub label: String,
    /// What it adds.
    pub points: i32,
}

/// Points of each status.
pub(super) const STATUS: [(&str, i32); 5] =
    [("NEW", 10), ("CONTACTED", 20), ("QUALIFIED", 40), ("WON", 40), ("LOST", 0)];
/// Points of a budget of up to so many cents, and of one above.
pub(super) const BUDGET: [(i64, i32); 3] = [(0, 0), (1_000_000, 10), (5_000_000, 20)];
pub(super) const BUDGET_ABOVE: i32 = 30;
/// Points of a telephone number, of a location and of an owner.
pub(super) const PHONE: i32 = 10;
pub(super) const LOCATION: i32 = 10;
pub(super) const OWNER: i32 = 10;

/// Whether nothing more is to be won or lost.
pub fn is_closed(profile: &Profile) -> bool {
    leadview::is_closed(profile.status.as_deref())
}

/// How well it fits, 0 to 100.
pub fn fit(profile: &Profile) -> i32 {
    fit_parts(profile).iter().map(|part| part.points).sum()
}

/// What the fit is made of, largest first; what adds nothing is left out.
pub fn fit_parts(profile: &Profile) -> Vec<FitPart> {
    let status = profile.status.as_deref();
    let status_points =
        STATUS.iter().find(|(name, _)| Some(*name) == status).map_or(0, |(_, points)| *points);
    let budget = profile.budget_cents.unwrap_or_default();
    let budget_points = BUDGET.iter().find(|(up_to, _)| budget <= *up_to).map_or(BUDGET_ABOVE, |(_, p)| *p);
    let part = |kind, label: String, points| FitPart { kind, label, points };
    let given = |there, points| if there { points } else { 0 };
    let mut parts = vec![
        part("STATUS", format!("Status {}", status.unwrap_or("unknown")), status_points),
        part("BUDGET", format!("Budget of {}", budget / 100), budget_points),
        part("PHONE", "Has a telephone number".into(), given(profile.has_phone, PHONE)),
        part("LOCATION", "Has a location".into(), given(profile.has_location, LOCATION)),
        part("OWNER", "Has an owner".into(), given(profile.has_owner, OWNER)),
    ];
    parts.retain(|part| part.points > 0);
    parts.sort_by_key(|part| -part.points);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(status: &str, cents: Option<i64>) -> i32 {
        fit(&Profile { status: Some(status.into()), budget_cents: cents, ..Profile::default() })
    }

    #[test]
    fn each_part_is_worth_what_the_specification_says() {
        assert_eq!(
            ["NEW", "CONTACTED", "QUALIFIED", "WON", "LOST"].map(|status| with(status, None)),
            [10, 20, 40, 40, 0]
        );
        let budgets = [0, 1, 1_000_000, 1_000_001, 5_000_000, 5_000_001];
        assert_eq!(budgets.map(|cents| with("LOST", Some(cents))), [0, 10, 10, 20, 20, 30]);
    }

    #[test]
    fn the_best_lead_fits_by_a_hundred_and_an_unknown_one_not_at_all() {
        let best = Profile {
            status: Some("WON".into()),
            budget_cents: Some(i64::MAX),
            has_phone: true,
            has_location: true,
            has_owner: true,
        };
        assert_eq!((fit(&best), fit(&Profile::default())), (100, 0));
        assert!(fit_parts(&best).is_sorted_by_key(|part| -part.points));
    }
}
