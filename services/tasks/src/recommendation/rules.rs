//! The built-in rules: what is suggested for which lead, and in which words. No provider is needed for them.
//!
//! Each rule is one entry of [`RULES`], the most urgent first. `{..}` in its texts stands for a fact; [`fact`] says
//! which there are.

use super::{context::Context, draft::Draft, kind::Kind};
use crate::task::{MAX_TITLE, Model, TaskPriority};
use chrono::TimeDelta;

/// One rule.
struct Rule {
    kind: Kind,
    /// For which leads.
    when: fn(&Context) -> bool,
    title: &'static str,
    description: &'static str,
    reasoning: &'static str,
    priority: TaskPriority,
    due_in_days: u16,
}

const RULES: [Rule; 5] = [
    Rule {
        kind: Kind::FollowUp,
        when: |it| it.overdue().next().is_some(),
        title: "Follow up: {task}",
        description: "\"{task}\" should have been done {late} ago. Do it, or agree with {lead} on another date.",
        reasoning: "A task for {lead} has been overdue for {late}.",
        priority: TaskPriority::High,
        due_in_days: 1,
    },
    Rule {
        kind: Kind::Propose,
        when: |it| it.is_active() && (it.hot_score().is_some() || it.busy().is_some()),
        title: "Make {lead} a proposal",
        description: "Sum up what {lead} needs, and send a proposal with a price and a date to decide by.",
        reasoning: "{lead} is hot: {hot}.",
        priority: TaskPriority::High,
        due_in_days: 2,
    },
    Rule {
        kind: Kind::ReEngage,
        when: |it| it.is_active() && it.is_quiet(),
        title: "Get back in touch with {lead}",
        description: "The last thing was {last}, {quiet} ago. Ask what has changed, and agree on a next step.",
        reasoning: "Nothing has happened with {lead} for {quiet}.",
        priority: TaskPriority::Medium,
        due_in_days: 3,
    },
    Rule {
        kind: Kind::Introduce,
        when: |it| it.is_active() && it.interactions.is_empty(),
        title: "Introduce yourself to {lead}",
        description: "Call or write: say who you are, and ask what {lead} is looking for and by when.",
        reasoning: "Nobody has been in touch with {lead} yet.",
        priority: TaskPriority::Medium,
        due_in_days: 1,
    },
    Rule {
        kind: Kind::NextStep,
        when: |it| {
            let under_way = !it.interactions.is_empty() && !it.is_quiet();
            it.is_active()
                && under_way
                && it.hot_score().is_none()
                && it.busy().is_none()
                && it.open.is_empty()
        },
        title: "Agree on a next step with {lead}",
        description: "The last thing was {last}, {quiet} ago. Agree on what comes next and by when, and note it.",
        reasoning: "Something happened with {lead} lately, and nothing is planned.",
        priority: TaskPriority::Low,
        due_in_days: 3,
    },
];

/// Where suggestions of these rules say that they come from.
const ORIGIN: &str = "Built-in rule: ";

/// What the rules suggest for a lead, the most urgent first. Of a kind, there may be several to choose from.
pub(super) fn drafts(context: &Context) -> Vec<Draft> {
    RULES.iter().filter(|rule| (rule.when)(context)).flat_map(|rule| rule.drafts(context)).collect()
}

impl Rule {
    /// One, or one for each overdue task: what is suggested about the first one may have been dismissed.
    fn drafts(&self, context: &Context) -> Vec<Draft> {
        match self.kind {
            Kind::FollowUp => context.overdue().map(|task| self.draft(context, Some(task))).collect(),
            _ => vec![self.draft(context, None)],
        }
    }

    fn draft(&self, context: &Context, overdue: Option<&Model>) -> Draft {
        let fill = |template| fill(template, context, overdue);
        Draft {
            kind: self.kind,
            title: fill(self.title).chars().take(MAX_TITLE).collect(),
            description: Some(fill(self.description)),
            reasoning: format!("{ORIGIN}{}", fill(self.reasoning)),
            priority: self.priority,
            due_in_days: self.due_in_days,
        }
    }
}

/// A template with the facts in it. What the facts say is not looked at again, whatever it is.
fn fill(template: &str, context: &Context, overdue: Option<&Model>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        text.extend([before, &*fact(name, context, overdue)]);
        rest = after;
    }
    text + rest
}

/// What is known about the lead under this name.
fn fact(name: &str, context: &Context, overdue: Option<&Model>) -> String {
    let since = |at| days(context.at - at);
    match name {
        "lead" => context.lead.name().unwrap_or_else(|| "the lead".into()),
        "task" => overdue.map(|task| task.title.clone()).unwrap_or_default(),
        "late" => overdue.and_then(|task| task.due_date).map(since).unwrap_or_default(),
        "last" => last(context).to_owned(),
        "quiet" => context.last().map(since).unwrap_or_default(),
        "hot" => hot(context),
        _ => unreachable!("a test fills in every template"),
    }
}

fn last(context: &Context) -> &'static str {
    match context.interactions.first().map(|it| &*it.kind) {
        Some("CALL") => "a call",
        Some("EMAIL") => "an e-mail",
        Some("MEETING") => "a meeting",
        _ => "something else",
    }
}

/// Why the lead is hot.
fn hot(context: &Context) -> String {
    let met = context.busy().map(|many| format!("{many} interactions within a week, a meeting among them"));
    let scored = context.hot_score().and_then(|score| {
        Some(format!("the score was in band {} on {}", score.band.as_ref()?, score.time().date_naive()))
    });
    scored.into_iter().chain(met).collect::<Vec<_>>().join(", and ")
}

fn days(time: TimeDelta) -> String {
    match time.num_days() {
        ..=0 => "less than a day".into(),
        1 => "a day".into(),
        many => format!("{many} days"),
    }
}

#[cfg(test)]
mod tests;
