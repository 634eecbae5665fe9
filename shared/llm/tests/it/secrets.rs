//! Where the key must not show up, and what is wrong with a configuration.

use crate::asker::{Asker, KEY, asking, good, hasty};
use llm::Settings;
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex},
};
use testkit::provider::{Provider, Reply};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Everything that any crate logs in this thread from now on.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// A provider that repeats the key in whatever it says.
fn gossip() -> Vec<Reply> {
    let quoting = json!({ "error": { "code": 401, "message": format!("wrong key: {KEY}") } });
    vec![
        Reply::answer(&good()),
        Reply::json(401, &quoting),
        Reply::json(200, &quoting),
        Reply::json(400, &quoting),
        Reply::status(503).header("x-key", KEY),
        Reply::text(KEY),
        Reply::text(&json!({ "score": KEY, "trust": KEY }).to_string()),
        Reply::status(307).header("location", &format!("http://127.0.0.1:9/{KEY}")),
        Reply::raw(format!("{KEY} {KEY}\r\n")),
        Reply::answer(&good()).reset(50),
    ]
}

#[tokio::test]
async fn the_key_is_in_no_log_no_error_and_no_debug_output() {
    let (log, _guard) = logged();
    let (mut seen, mut keys) = (String::new(), 0);
    for reply in gossip() {
        let (provider, asker) = asking(reply).await;
        let outcome = asker.ask("grade:1").await;
        seen += &[format!("{outcome:?}"), format!("{:?}", asker.client)].concat();
        if let Err(failure) = outcome {
            seen += &failure.to_string();
        }
        keys += provider.requests().iter().filter(|it| it.header("authorization").is_some()).count();
    }
    seen += &log.text();
    assert!(keys >= gossip().len());
    assert!(
        seen.contains("the language model answered") && seen.contains("no answer from the language model")
    );
    // The head of a response, which hyper shows at TRACE, is not this crate's log
    let ours = seen.lines().filter(|line| !line.contains("TRACE") && !line.contains("DEBUG"));
    assert!(!ours.clone().any(|line| line.contains("SECRET")), "{}", ours.collect::<Vec<_>>().join("\n"));
    assert!(!log.text().contains("Bearer"), "{}", log.text());
}

#[tokio::test]
async fn the_log_says_what_happened_and_nothing_of_what_was_said() {
    let (log, _guard) = logged();
    let provider =
        Provider::start(|asked| if asked.number < 2 { Reply::status(503) } else { Reply::text("PRIVATE") })
            .await;
    Asker::new(&provider, hasty()).fail("grade:7").await;
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains(" llm::")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("INFO") && lines[0].contains("503"), "{}", lines[0]);
    for part in ["WARN", "grade:7", "attempts=3", "seconds=", "no complete JSON object"] {
        assert!(lines[2].contains(part), "{part}: {}", lines[2]);
    }
    assert!(!lines.join("").contains("PRIVATE") && !lines.join("").contains("instructions"));
}

#[test]
fn settings_show_where_questions_go_and_no_secret() {
    let url = "https://example.com/v1?api-key=SECRET#x";
    let shown = format!("{:?}", Settings::new(Some(url), Some(KEY), Some("m")).unwrap());
    assert!(shown.contains("https://example.com") && !shown.contains("SECRET"), "{shown}");
}

#[test]
fn a_wrong_configuration_says_which_variable_to_correct() {
    let long = "m".repeat(201);
    let cases = [
        (Some("localhost:11434"), None, None, "LLM_BASE_URL"),
        (Some("not an address SECRET"), None, None, "LLM_BASE_URL"),
        (Some("file:///etc/passwd"), None, None, "LLM_BASE_URL"),
        (Some("ftp://SECRET.example.com"), None, None, "LLM_BASE_URL"),
        (Some("data:text/plain,SECRET"), None, None, "LLM_BASE_URL"),
        (Some("https://"), None, None, "LLM_BASE_URL"),
        (Some("https://user:SECRET@example.com"), None, None, "LLM_BASE_URL"),
        (Some("https://SECRET@example.com"), None, None, "LLM_BASE_URL"),
        (None, Some("SEC\nRET"), None, "OPENROUTER_API_KEY"),
        (None, Some("SECRET\0"), None, "OPENROUTER_API_KEY"),
        (None, Some("SECRET\u{1b}[0m"), None, "OPENROUTER_API_KEY"),
        (None, Some("SECRET\u{e9}"), None, "OPENROUTER_API_KEY"),
        (None, Some(KEY), Some(""), "LLM_MODEL"),
        (None, Some(KEY), Some("a\nb"), "LLM_MODEL"),
        (None, Some(KEY), Some(&*long), "LLM_MODEL"),
    ];
    for (url, key, model, variable) in cases {
        let error = format!("{:?}", Settings::new(url, key, model).unwrap_err());
        assert!(error.contains(variable) && !error.contains("SECRET"), "{url:?} {model:?}: {error}");
    }
    Settings::new(None, Some(" key-with-a-line-end\n"), None).unwrap();
}
