//! `docs/scoring.md` says what the program does: its worked example is written by this test, which fails when that
//! changed it, and so is its picture.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/score_plot/plot.rs"]
mod plot;

use chrono::{DateTime, Utc};
use scoring::model::{DecayedSum, Profile, ScoreModel, band, fit, fit_parts, micros, rounded};
use std::{fmt::Write, fs, path::PathBuf};

const BEGIN: &str = "<!-- the example: written by services/scoring/tests/docs.rs -->\n";
const END: &str = "<!-- the example ends -->\n";

fn docs(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

/// Writes `text` and fails when that changed the file.
fn keep(file: &str, text: &str) {
    let path = docs(file);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return;
    }
    fs::write(&path, text).unwrap();
    panic!("{} was out of date and is now written anew: look at it and commit it", path.display());
}

#[test]
fn the_worked_example_is_what_the_program_calculates() {
    let page = fs::read_to_string(docs("scoring.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    keep("scoring.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", example()));
}

#[test]
fn the_picture_is_the_one_of_the_program() {
    keep("scoring.svg", &plot::svg().unwrap());
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn example() -> String {
    let model = ScoreModel::default();
    let now = time("2026-01-15T12:00:00Z");
    let history = [
        ("MEETING", time("2026-01-12T12:00:00Z")),
        ("CALL", time("2026-01-01T12:00:00Z")),
        ("EMAIL", time("2025-12-18T12:00:00Z")),
    ];
    let points = history.map(|(kind, at)| (model.points(kind), micros(at)));
    let sum = DecayedSum::of(&model, points);
    let total = sum.at(&model, micros(now));
    let activity = model.activity(total);
    let mut text = String::new();
    writeln!(text, "| Interaction | Age in days | Points | Left of them | Share of the score |").unwrap();
    writeln!(text, "| --- | --- | --- | --- | --- |").unwrap();
    for ((kind, at), points) in history.into_iter().zip(points) {
        let left = DecayedSum::of(&model, [points]).at(&model, micros(now));
        let (age, share) = ((now - at).num_days(), activity * left / total);
        writeln!(text, "| {kind} | {age} | {} | {left:.4} | {share:.4} |", points.0).unwrap();
    }
    writeln!(text, "| together | | | {total:.4} | {activity:.4} |").unwrap();
    writeln!(text, "\n`current` is {}.\n", rounded(activity)).unwrap();
    let fit = fit_of_the_example(&mut text);
    writeln!(text, "| together | {fit} |\n").unwrap();
    write!(text, "The band is **{}**.", band(fit, rounded(activity))).unwrap();
    let later = sum.at(&model, micros(time("2026-02-12T12:00:00Z")));
    let later = rounded(model.activity(later));
    write!(
        text,
        " Four weeks later, when nothing else has happened, `current` is {later} and the band **{}**; ",
        band(fit, later)
    )
    .unwrap();
    writeln!(text, "`activityScore` is still {}, as of when it was stored.", rounded(activity)).unwrap();
    text
}

/// Writes what the fit is made of, and says what it is.
fn fit_of_the_example(text: &mut String) -> i32 {
    let profile = Profile {
        status: Some("QUALIFIED".into()),
        budget_cents: Some(1_250_050),
        has_phone: true,
        has_location: true,
        has_owner: false,
    };
    writeln!(text, "| Of the profile | Points |\n| --- | --- |").unwrap();
    for part in fit_parts(&profile) {
        writeln!(text, "| {} | {} |", part.label, part.points).unwrap();
    }
    fit(&profile)
}
