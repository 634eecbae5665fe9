//! The same containers with docker-compose.production.yml.

use serde_json::json;
use subgraph::{DEVELOPMENT_PASSWORD, DEVELOPMENT_SERVICE_KEY};
use testkit::Service;
use testkit::acceptance;
use testkit::supergraph::code;

use crate::programs::named;
use crate::resolved;
use crate::stack::Containers;

/// The variables that have to be set, with values as .env.example says to make them.
fn secrets() -> Vec<(&'static str, String)> {
    let passwords = crate::files::required().into_iter().zip(1_u64..);
    let made = passwords.map(|(name, number)| match name {
        "CORS_ORIGINS" => (name, "https://crm.example.com".to_owned()),
        "ROUTER_CORS_ORIGINS" => (name, r"^https://crm[.]example[.]com\z".to_owned()),
        // Digits alone, as chance may have it
        "NATS_PASSWORD" => (name, "8".repeat(48)),
        _ => (
            name,
            format!("{:016x}{:016x}{number:016x}", 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number), !number),
        ),
    });
    made.chain([
        ("LEADGRAPH_SUBNET", "127.0.0.0/8".to_owned()),
        ("ADMIN_EMAIL", "boss@example.com".to_owned()),
        ("ADMIN_PASSWORD", "correct horse battery staple".to_owned()),
    ])
    .collect()
}

#[test]
fn each_secret_is_asked_for() {
    for missing in crate::files::required() {
        let mut variables = secrets();
        variables.retain(|(name, _)| *name != missing);
        let why = resolved::production_refusal(&variables);
        assert!(why.contains(&format!("${{{missing}:?")), "{missing}: {why}");
    }
}

/// What stands in the files for development is refused by the services themselves, where it is copied.
#[tokio::test]
async fn what_development_has_is_refused() {
    let mut variables = secrets();
    for (name, value) in &mut variables {
        match *name {
            "SERVICE_KEY" => DEVELOPMENT_SERVICE_KEY.clone_into(value),
            name if name.ends_with("_PASSWORD") => DEVELOPMENT_PASSWORD.clone_into(value),
            _ => {}
        }
    }
    let said = said_at_the_start("accounts", &variables).await;
    for refused in ["SERVICE_KEY", "ACCOUNTS_DATABASE_URL", "NATS_URL", "JWT_PRIVATE_KEY_FILE"] {
        assert!(said.contains(&format!("- {refused}")), "{refused}: {said}");
    }
    // With what belongs there, nothing is refused but the database that is not there
    let said = said_at_the_start("leads", &secrets()).await;
    assert!(said.contains("cannot open the database") && !said.contains("refuses"), "{said}");
}

/// What a service says with exactly the variables that the files give it, where nothing else runs.
async fn said_at_the_start(service: &str, variables: &[(&str, String)]) -> String {
    let entry = resolved::production(variables).services.remove(service).expect("the service");
    let set = entry.environment.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // The folder of the keys is in the container
    let set = set.filter(|(name, _)| name != "LEADGRAPH_DATA_DIR");
    let mut process = Service::spawn(named(&entry.image, &entry.command[0]), &entry.command[1..], set);
    testkit::eventually("it ends", std::time::Duration::from_secs(30), {
        let process = std::cell::RefCell::new(&mut process);
        move || std::future::ready(!process.borrow_mut().is_running())
    })
    .await;
    process.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_with_secrets_of_its_own() {
    let mut containers = Containers::new(&resolved::production(&secrets()), "notifications").await;
    let made = containers.get("accounts").run(&["accounts", "keys", "list"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    containers.up().await;
    let system = containers.system().await;

    let login = r#"mutation { login(input: { email: "test@example.com", password: "password" }) { token } }"#;
    let refused = system.graphql(None, login, json!({})).await;
    assert_eq!(code(&refused), Some("UNAUTHENTICATED"), "{refused:#}");
    let login = r#"mutation { login(input: { email: "boss@example.com", password: "correct horse battery staple" })
        { token } }"#;
    let signed_in = system.graphql(None, login, json!({})).await;
    let token =
        signed_in["data"]["login"]["token"].as_str().unwrap_or_else(|| panic!("{signed_in:#}")).to_owned();
    assert_eq!(system.databases.count("leads", "lead").await, 0, "no demo data");
    let lead = acceptance::create_john(&system, &token, "john@example.com").await;
    acceptance::newest_notification(&system, &token, &lead).await;
    acceptance::a_socket_io_client_hears_of_a_new_lead(&system, &token, "another.john@example.com").await;

    let schema = system.graphql(Some(&token), "{ __schema { queryType { name } } }", json!({})).await;
    assert!(schema.get("errors").is_some() && schema["data"]["__schema"].is_null(), "{schema:#}");
}
