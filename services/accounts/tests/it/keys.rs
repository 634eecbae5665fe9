//! The keys that sign tokens, and changing them under a running service.

use crate::server::{ADMIN, Server, on_both};
use serde_json::Value;
use std::{path::Path, process::Command};

fn keys(data_dir: &Path, word: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_accounts"))
        .arg("--data-dir")
        .arg(data_dir)
        .args(["keys", word])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn published(jwks: &Value) -> Vec<String> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_needs_no_restart_and_ends_no_token() {
    on_both(async |server: &Server| {
        let first = server.jwks().await;
        assert_eq!(first["keys"][0]["alg"], "ES256");
        assert_eq!(first["keys"][0]["use"], "sig");
        assert!(first["keys"][0].get("d").is_none(), "no private part");
        let mut tokens = vec![server.login(ADMIN).await.token];
        for count in 2..=4 {
            let kids = keys(server.data_dir(), "rotate");
            assert_eq!(kids.len(), count.min(3));
            assert_eq!(published(&server.jwks().await), kids);
            let token = server.login(ADMIN).await.token;
            assert_eq!(kid(&token), kids[0], "the newest signs");
            assert!(server.takes(&token).await, "at once");
            assert!(kids.contains(&kid(&tokens[count - 2])), "the one before is still published");
            assert!(server.takes(&tokens[count - 2]).await);
            tokens.push(token);
        }
        assert_eq!(keys(server.data_dir(), "list"), published(&server.jwks().await));
        assert!(!server.takes(&tokens[0]).await, "its key is the fourth by now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_key_file_does_not_stop_a_running_service() {
    on_both(async |server: &Server| {
        let before = server.jwks().await;
        std::fs::write(server.data_dir().join("jwt-signing-key.pem"), "oops").unwrap();
        assert_eq!(server.jwks().await, before);
        let token = server.login(ADMIN).await.token;
        assert!(server.takes(&token).await);
    })
    .await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_reads_the_key_file() {
    use std::os::unix::fs::PermissionsExt;
    on_both(async |server: &Server| {
        keys(server.data_dir(), "rotate");
        let file = std::fs::metadata(server.data_dir().join("jwt-signing-key.pem")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    })
    .await;
}
