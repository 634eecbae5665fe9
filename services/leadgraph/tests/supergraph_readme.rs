//! What the README tells a newcomer to type gives the answers it shows.

use std::{fs, path::Path, process::Command};

use testkit::{PortRow, Service};

/// The fenced blocks of the README in their order: language and content.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, content))) => content.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether `answer` is what the README shows, where `…` stands for anything.
fn matches(shown: &str, answer: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(rest) = parts.next().and_then(|first| answer.strip_prefix(first)) else { return false };
    let mut rest = rest;
    for part in parts.clone() {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || (parts.count() > 0 && shown.ends_with('…'))
}

#[tokio::test]
async fn the_first_queries_give_the_answers_shown() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let ports = PortRow::free();
    let (port, health, offset) = (ports.router(), ports.health(), ports.offset);
    let flags =
        [format!("--port={port}"), format!("--health-port={health}"), format!("--port-offset={offset}")];
    let router = std::env::var_os("APOLLO_ROUTER").expect("APOLLO_ROUTER, which ./test sets");
    let mut launcher = Service::spawn(env!("CARGO_BIN_EXE_leadgraph"), flags, [("APOLLO_ROUTER", router)]);
    launcher.wait_ready(&format!("http://127.0.0.1:{health}/health")).await;

    let blocks = blocks(&readme);
    let queries = blocks.iter().position(|(_, text)| text.starts_with("gql()")).expect("the first queries");
    let mut script = String::new();
    let mut shown = String::new();
    for (language, text) in &blocks[queries..] {
        match language.as_str() {
            "sh" if text.trim() != "./test" => {
                script += &text.replace("localhost:4000", &format!("localhost:{port}"));
            }
            "json" => shown += text,
            _ => {}
        }
    }
    let typed = Command::new("bash").args(["-ec", &script]).output().expect("bash");
    let answers = String::from_utf8_lossy(&typed.stdout).into_owned();
    assert!(typed.status.success(), "{answers}\n{}", String::from_utf8_lossy(&typed.stderr));
    let (shown, answers): (Vec<_>, Vec<_>) = (shown.lines().collect(), answers.lines().collect());
    assert_eq!(shown.len(), answers.len(), "{answers:#?}");
    for (shown, answer) in shown.iter().zip(&answers) {
        assert!(matches(shown, answer), "the README shows\n{shown}\nbut the answer is\n{answer}");
    }
    assert!(launcher.terminate().await.success(), "{}", launcher.log());
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    assert!(matches(r#"{"id":"…","a":1}"#, r#"{"id":"77","a":1}"#));
    assert!(!matches(r#"{"id":"…","a":1}"#, r#"{"id":"77","a":2}"#));
    assert!(!matches(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
}
