//! Changing one's own password.

use crate::server::{ADMIN, Server, login, on_both, refresh};

fn change(current: &str, new: &str) -> String {
    format!("mutation {{ changePassword(currentPassword: \"{current}\", newPassword: \"{new}\") }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_and_the_old_password() {
    on_both(async |server: &Server| {
        let (here, there) = (server.login(ADMIN).await, server.login(ADMIN).await);
        server.data(&here.token, &change(ADMIN.1, "another one")).await;
        assert!(server.takes(&here.token).await);
        assert!(!server.takes(&there.token).await);
        assert_eq!(server.code("", &refresh(&there.refresh_token)).await, "UNAUTHENTICATED");
        server.data("", &refresh(&here.refresh_token)).await;
        assert_eq!(server.code("", &login(ADMIN.0, ADMIN.1)).await, "UNAUTHENTICATED");
        server.login((ADMIN.0, "another one")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_current_password_is_a_failed_sign_in() {
    on_both(async |server: &Server| {
        let token = server.login(ADMIN).await.token;
        let answer = server.ask(&token, &change("wrong", "another one")).await;
        let error = &answer["errors"][0]["extensions"];
        assert_eq!(error["code"], "BAD_USER_INPUT");
        assert_eq!(error["fields"][0]["field"], "currentPassword");
        for _ in 0..9 {
            assert_eq!(server.code(&token, &change("wrong", "another one")).await, "BAD_USER_INPUT");
        }
        assert_eq!(server.code(&token, &change(ADMIN.1, "another one")).await, "RATE_LIMITED");
        assert_eq!(server.code("", &login(ADMIN.0, ADMIN.1)).await, "RATE_LIMITED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_passwords_are_checked() {
    on_both(async |server: &Server| {
        let token = server.login(ADMIN).await.token;
        let long = "x".repeat(129);
        for new in ["", "1234567", &long, "tab\\tbed password", "nul\\u0000 password"] {
            assert_eq!(server.code(&token, &change(ADMIN.1, new)).await, "BAD_USER_INPUT", "{new}");
        }
        assert_eq!(server.code(&token, &change(&long, "another one")).await, "BAD_USER_INPUT");
        assert_eq!(server.code("", &change(ADMIN.1, "another one")).await, "UNAUTHENTICATED");
    })
    .await;
}
