//! What the model may say, and what of it is believed.

use crate::asker::{Asker, Grade, asking, good, grade, hasty};
use llm::Failure;
use serde_json::json;
use std::sync::{Arc, Mutex};
use testkit::provider::{Provider, Reply};

/// Asks for each text once, of one provider.
async fn say<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<(String, Result<Grade, Failure>)> {
    let texts: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
    let next = Arc::new(Mutex::new(texts.clone().into_iter()));
    let provider = Provider::start(move |_| Reply::text(&next.lock().unwrap().next().unwrap())).await;
    let asker = Asker::new(&provider, hasty());
    let mut said = Vec::new();
    for (number, text) in texts.into_iter().enumerate() {
        let outcome = asker.ask(&format!("grade:{number}")).await;
        said.push((text, outcome.map(|reply| reply.answer.clone())));
    }
    said
}

#[tokio::test]
async fn an_object_is_found_in_what_is_around_it() {
    let (json, other) = (good().to_string(), r#"{"score": 7, "trust": "LOW"}"#);
    let texts = [
        json.clone(),
        format!("\u{feff}\n {json}\n"),
        format!("```json\n{json}\n```"),
        format!("```\n{json}\n```\nAnything else?"),
        format!("Sure! {{here}} [1] is \"it\": {json} Hope that helps {{}}"),
        format!("[{json}]"),
        format!("{{\"score\": 900, \"trust\": \"HIGH\"}} no, rather {json}"),
        json.replace('}', ",}").replace("42.0,", "42.0 ,\n"),
        format!("It is ```json\n[{}, ]```", json.replace('}', ", \n}")),
        json.replace("Liked", "\\\"},]Liked"),
        json.replace('{', r#"{ "more": [{}, [[]], null, 1e308], "#),
        // Whatever came before: drafts, quotations, thoughts
        format!("First {other}, {{\"data\": {other}}}, then ```json\n{json}\n``` {{}} [{other}, {json}]"),
        format!(
            "The notes say {other}. My answer:\n{json}\nIt is not {{\"score\": 900, \"trust\": \"HIGH\"}}."
        ),
        format!("<think>Perhaps {json}</think>No: {other}</think>\n{json}"),
        format!("{} {other} {json}", "{".repeat(200)),
        format!("{} {json}", "[1] {x} { [\" {\"y\": } ".repeat(1_000)),
        format!("{}</think>{json}", "[{\"".repeat(100_000)),
    ];
    for (text, said) in say(texts).await {
        let said = said.unwrap_or_else(|failure| panic!("{text}: {failure}"));
        assert_eq!((said.score, said.trust), (grade().score, grade().trust), "{text}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_no_answer() {
    let with = |score: &str| format!(r#"{{"score": {score}, "trust": "HIGH", "reason": "x"}}"#);
    let deep = |open: &str, close: &str| [open.repeat(30_000), close.repeat(30_000)].concat();
    let scores = [
        "\"87%\"", "NaN", "-NaN", "Infinity", "-5", "100.1", "1e308", "1e999", "null", "[42]", "{}", "true",
        "\"42\"",
    ];
    let texts = scores.iter().map(|score| with(score)).chain([
        "I cannot do that.".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "42".to_owned(),
        "}{][".to_owned(),
        "\"".to_owned(),
        // Fields in their order are no object; two objects are not one
        r#"[42.0, "HIGH", "x"]"#.to_owned(),
        format!("[{}, {}]", good(), good()),
        r#"{"score": 42, "trust": "MIDDLE"}"#.to_owned(),
        r#"{"score": 42, "trust": "HIGH", "reason": ["x"]}"#.to_owned(),
        r#"{"score": 42, "trust": "HIGH", "reason": "a\u0000b"}"#.to_owned(),
        r#"{"score": 42, "trust": "HIGH", "reason": "a\u001bb"}"#.to_owned(),
        "{\"score\": 42, \"trust\": \"HIGH\", \"reason\": \"a\0b\"}".to_owned(),
        r#"{"score": 42, "trust": "HIGH", "reason": "\ud800"}"#.to_owned(),
        r#"{"score": 42, "score": 43, "trust": "HIGH"}"#.replace("43", "1000"),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        deep("[{\"a\":", ""),
        "[1,".repeat(20_000),
        format!("{}{}", " ".repeat(70_000), good()),
        format!("<think>Perhaps {}", good()),
        format!("<think>Perhaps {}</think>No.", good()),
        format!("<think>Perhaps {0}</think> <think>or {0}", good()),
    ]);
    for (text, said) in say(texts).await {
        let failure = said.expect_err(&text);
        assert!(matches!(failure, Failure::Unfit(_)), "{text}: {failure:?}");
    }
}

/// Failures go to the log, and what the model says is none of the log's business.
#[tokio::test]
async fn a_failure_repeats_nothing_of_what_was_said() {
    let texts = [
        "SAID",
        r#"{"score": "SAID", "trust": "HIGH"}"#,
        r#"{"score": "x, expected SAID", "trust": "HIGH"}"#,
        r#"{"score": 1, "trust": "SAID"}"#,
        r#"{"score": 1, "trust": {"SAID": 1}}"#,
        r#"{"SAID": 1}"#,
        r#"{"score": 1, "trust": "HIGH", "reason": ["SAID"]}"#,
    ];
    for (text, said) in say(texts).await {
        let failure = said.expect_err(text.as_str());
        assert!(!format!("{failure} {failure:?}").contains("SAID"), "{failure:?}");
    }
}

#[tokio::test]
async fn text_that_ends_too_early_is_no_answer_wherever_it_ends() {
    let text = format!("Here: ```json\n[{}]\n```", good().to_string().replace("Liked", "\\u00e4\\\"{} é"));
    let whole = text.find('}').map(|_| text.rfind('}').unwrap() + 1).unwrap();
    let ends: Vec<_> = (0..=text.len()).filter(|end| text.is_char_boundary(*end)).collect();
    let said = say(ends.iter().map(|end| &text[..*end])).await;
    for (text, said) in said {
        // A list that lacks its end holds a whole object all the same
        assert_eq!(said.is_ok(), text.len() >= whole, "{text}: {said:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_completion_is_no_answer() {
    let completion = json!({ "choices": [{ "message": { "content": good().to_string() } }] }).to_string();
    let mut invalid = completion.clone().into_bytes();
    let position = invalid.iter().position(|byte| *byte == b'L').unwrap();
    invalid[position] = 0xff;
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"<html>Bad gateway</html>".to_vec(),
        b"null".to_vec(),
        b"{\"choices\": []}".to_vec(),
        b"{\"choices\": [{\"message\": {\"content\": null}}]}".to_vec(),
        b"{\"error\": {\"message\": \"sorry\"}}".to_vec(),
        b"data: {\"choices\": []}\n\ndata: [DONE]\n".to_vec(),
        completion.replace("Liked", "\0").into_bytes(),
        "[".repeat(900_000).into_bytes(),
        "{\"a\":".repeat(100_000).into_bytes(),
        invalid,
    ];
    bodies.extend((0..completion.len()).map(|end| completion.as_bytes()[..end].to_vec()));
    for body in bodies {
        let (_provider, asker) = asking(Reply::body(200, &body)).await;
        let failure = asker.fail("grade:1").await;
        assert!(matches!(failure, Failure::Malformed(_)), "{}: {failure:?}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn a_refusal_is_no_answer_and_not_the_providers_fault() {
    let refusal = json!({ "choices": [{ "message": { "content": null, "refusal": "I cannot" } }] });
    let filtered =
        json!({ "choices": [{ "finish_reason": "content_filter", "message": { "content": "{}" } }] });
    for body in [refusal, filtered] {
        let (_provider, asker) = asking(Reply::json(200, &body)).await;
        assert_eq!(asker.fail("grade:1").await, Failure::Declined);
    }
}
