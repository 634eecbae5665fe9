//! Managing users.

use crate::server::{ADMIN, Server, login, noon, on_both, refresh};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_take_an_email_at_once_one_gets_it() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let create = |i: usize| {
            let email: String = "racer@example.com"
                .char_indices()
                .map(|(at, c)| upper_if(c, i >> (at % 6) & 1 == 1))
                .collect();
            let input = format!("{{email: \"{email}\", role: SALES_REP, password: \"12345678\"}}");
            format!("mutation {{ createUser(input: {input}) {{ id }} }}")
        };
        let queries: Vec<_> = (0..50).map(create).collect();
        let answers = join_all(queries.iter().map(|query| server.ask(&admin, query))).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.get("errors").is_none()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        let id = &won[0]["data"]["createUser"]["id"];
        for lost in answers.iter().filter(|answer| answer.get("errors").is_some()) {
            let error = &lost["errors"][0]["extensions"];
            assert_eq!((&error["code"], &error["existingId"]), (&json!("CONFLICT"), id), "{lost}");
        }
    })
    .await;
}

fn upper_if(c: char, upper: bool) -> char {
    if upper { c.to_ascii_uppercase() } else { c }
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivation_ends_everything_the_user_has() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let id = server.create_user(&admin, "rep@example.com", "SALES_REP").await;
        let rep = server.login(("rep@example.com", "12345678")).await;
        assert!(server.takes(&rep.token).await);
        let answer = server.update_user(&admin, &format!("id: \"{id}\", active: false")).await;
        assert_eq!(answer["data"]["updateUser"]["active"], false);
        assert!(!server.takes(&rep.token).await);
        assert_eq!(server.code("", &refresh(&rep.refresh_token)).await, "UNAUTHENTICATED");
        assert_eq!(server.code("", &login("rep@example.com", "12345678")).await, "UNAUTHENTICATED");
        server.update_user(&admin, &format!("id: \"{id}\", active: true")).await;
        assert!(!server.takes(&rep.token).await, "what ended stays ended");
        server.login(("rep@example.com", "12345678")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_ends_the_sessions_and_a_changed_name_does_not() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let id = server.create_user(&admin, "rep@example.com", "SALES_REP").await;
        let rep = server.login(("rep@example.com", "12345678")).await;
        let same =
            server.update_user(&admin, &format!("id: \"{id}\", name: \" Rep \", role: SALES_REP")).await;
        assert_eq!(same["data"]["updateUser"]["name"], "Rep");
        assert!(server.takes(&rep.token).await);
        assert_eq!(server.code(&rep.token, "{ apiKeys { id } }").await, "FORBIDDEN");
        server.update_user(&admin, &format!("id: \"{id}\", role: ADMIN, name: null")).await;
        assert!(!server.takes(&rep.token).await);
        assert_eq!(server.code("", &refresh(&rep.refresh_token)).await, "UNAUTHENTICATED");
        let rep = server.login(("rep@example.com", "12345678")).await.token;
        assert_eq!(
            server.data(&rep, "{ apiKeys { id } me { role name } }").await["me"],
            json!({ "role": "ADMIN", "name": null })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays_also_when_two_demote_each_other_at_once() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        for input in ["id: \"1\", active: false", "id: \"1\", role: MANAGER"] {
            let answer = server.update_user(&admin, input).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "CONFLICT", "{answer}");
        }
        server.update_user(&admin, "id: \"1\", name: \"Still here\"").await;
        assert!(server.takes(&admin).await);
        let second = server.create_user(&admin, "second@example.com", "ADMIN").await;
        let other = server.login(("second@example.com", "12345678")).await.token;
        let (one, two) = (format!("id: \"{second}\", role: SALES_REP"), "id: \"1\", active: false");
        let (one, two) = tokio::join!(server.update_user(&admin, &one), server.update_user(&other, two));
        let administrators = server.rows("SELECT id FROM app_user WHERE role = 'ADMIN' AND active").await;
        assert_eq!(administrators.len(), 1, "{one} {two}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_subgraphs_find_users_and_nulls_for_what_is_none() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let each = ["1", "99", "0", "-1", "x", "2147483648"]
            .map(|id| format!("{{__typename: \"User\", id: \"{id}\"}}"));
        let query = format!(
            "{{ _entities(representations: [{}]) {{ ... on User {{ id email }} }} }}",
            each.join(", ")
        );
        let found = server.data(&admin, &query).await;
        let test = json!({ "id": "1", "email": "test@example.com" });
        assert_eq!(found["_entities"], json!([test, null, null, null, null, null]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_reads_users_and_changes_nothing() {
    on_both(async |server: &Server| {
        let key = std::fs::read_to_string(server.data_dir().join("service.key")).unwrap();
        let token = subgraph::token::sign_call("leads", &key, noon()).unwrap();
        let ask = async |query: &str| -> Value {
            let request = server.client().post(server.url("/graphql")).json(&json!({ "query": query }));
            let request = request.header("authorization", format!("Service {token}"));
            request.send().await.unwrap().json().await.unwrap()
        };
        let user = "{ _entities(representations: [{__typename: \"User\", id: \"1\"}]) { ... on User { id active } } }";
        assert_eq!(ask(user).await["data"]["_entities"], json!([{ "id": "1", "active": true }]));
        for forbidden in ["{ apiKeys { id } }", "{ me { id } }", "mutation { logout }"] {
            assert_eq!(ask(forbidden).await["errors"][0]["extensions"]["code"], "FORBIDDEN", "{forbidden}");
        }
    })
    .await;
}
