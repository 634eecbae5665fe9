use super::{super::context::tests as known, *};
use chrono::TimeDelta;

fn kinds(context: &Context) -> Vec<Kind> {
    drafts(context).into_iter().map(|draft| draft.kind).collect()
}

#[test]
fn whom_nobody_knows_yet_is_introduced() {
    assert_eq!(kinds(&known::lead()), [Kind::Introduce]);
}

#[test]
fn fourteen_days_of_silence_are_the_border_between_a_next_step_and_getting_back() {
    let quiet = |silence| known::with(&[("CALL", silence)]);
    assert_eq!(kinds(&quiet(TimeDelta::days(14))), [Kind::NextStep]);
    assert_eq!(kinds(&quiet(TimeDelta::days(14) + TimeDelta::microseconds(1))), [Kind::ReEngage]);
}

#[test]
fn two_interactions_in_a_week_make_a_lead_hot_if_people_met() {
    let week = TimeDelta::days(7);
    for (interactions, hot) in [
        ([("MEETING", week), ("EMAIL", week)], true),
        ([("CALL", week), ("EMAIL", week)], false),
        ([("EMAIL", week), ("MEETING", week + TimeDelta::microseconds(1))], false),
    ] {
        let expected = if hot { Kind::Propose } else { Kind::NextStep };
        assert_eq!(kinds(&known::with(&interactions)), [expected], "{interactions:?}");
    }
}

#[test]
fn a_hot_score_counts_for_a_week() {
    let call = [("CALL", TimeDelta::days(1))];
    for (band, age, expected) in [
        ("C1", TimeDelta::days(7), Kind::Propose),
        ("C1", TimeDelta::days(7) + TimeDelta::microseconds(1), Kind::NextStep),
        ("A2", TimeDelta::days(1), Kind::NextStep),
    ] {
        let context = Context { score: Some(known::score(band, age)), ..known::with(&call) };
        assert_eq!(kinds(&context), [expected], "{band} {age}");
    }
}

#[test]
fn nothing_needs_to_be_planned_while_something_is_and_what_is_overdue_comes_first() {
    let call = [("CALL", TimeDelta::days(20))];
    let planned = |due| Context { open: vec![known::task(due)], ..known::with(&call) };
    assert_eq!(kinds(&planned(TimeDelta::days(1))), [Kind::ReEngage]);
    assert_eq!(kinds(&planned(TimeDelta::zero())), [Kind::ReEngage]);
    assert_eq!(kinds(&planned(TimeDelta::seconds(-1))), [Kind::FollowUp, Kind::ReEngage]);
    let lately = Context {
        open: vec![known::task(TimeDelta::days(1))],
        ..known::with(&[("CALL", TimeDelta::days(1))])
    };
    assert!(kinds(&lately).is_empty());
}

#[test]
fn leads_that_are_won_or_lost_are_only_owed_what_is_overdue() {
    for status in ["WON", "LOST"] {
        let mut context = Context { open: vec![known::task(TimeDelta::days(-3))], ..known::lead() };
        context.lead.status = Some(status.into());
        assert_eq!(kinds(&context), [Kind::FollowUp], "{status}");
        context.open.clear();
        assert!(kinds(&context).is_empty(), "{status}");
    }
}

#[test]
fn the_texts_have_the_facts_in_them_and_say_where_they_come_from() {
    let context = Context {
        score: Some(known::score("A1", TimeDelta::days(2))),
        open: vec![known::task(TimeDelta::days(-3))],
        ..known::with(&[("MEETING", TimeDelta::days(1)), ("EMAIL", TimeDelta::days(2))])
    };
    let [follow_up, propose] = &drafts(&context)[..] else { panic!("others") };
    assert_eq!(follow_up.title, "Follow up: Send the {lead} offer");
    assert_eq!(follow_up.reasoning, "Built-in rule: A task for John Doe has been overdue for 3 days.");
    assert_eq!(
        propose.reasoning,
        "Built-in rule: John Doe is hot: the score was in band A1 on 2026-01-13, and 2 interactions within a week, a meeting among them."
    );
}

#[test]
fn each_overdue_task_may_be_followed_up_on() {
    let overdue = |title: &str| Model { title: title.into(), ..known::task(TimeDelta::days(-3)) };
    let open = vec![overdue("A"), overdue("B"), known::task(TimeDelta::days(1))];
    let drafts = drafts(&Context { open, ..known::with(&[("CALL", TimeDelta::days(1))]) });
    let titles: Vec<_> = drafts.iter().map(|draft| &*draft.title).collect();
    assert_eq!(titles, ["Follow up: A", "Follow up: B"]);
}

#[test]
fn every_rule_makes_what_is_valid_whatever_the_facts_are() {
    let long = || "{x}é".repeat(50);
    let mut context = Context { open: vec![known::task(TimeDelta::days(-3))], ..known::lead() };
    context.open[0].title = "ü".repeat(255);
    context.lead.first_name = Some(long().chars().take(100).collect());
    context.lead.last_name = Some(long().chars().take(100).collect());
    for rule in RULES {
        for interactions in
            [known::lead().interactions, known::with(&[("FAX", TimeDelta::days(1))]).interactions]
        {
            let context = Context { interactions, ..context.clone() };
            let draft = rule.draft(&context, context.overdue().next());
            assert_eq!(draft.clone().checked().unwrap(), draft);
            assert!(draft.reasoning.starts_with(ORIGIN));
        }
    }
}
