//! What the documentation says about backups of Postgres, typed while the services write.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of backups uses some of it")]
mod backups;

use std::{fs, path::Path, time::Duration};

use backups::{documented, type_in};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, Statement};
use testkit::{
    Load, Stack, eventually,
    servers::{Nats, Postgres},
    stack::Databases,
};

/// The database of the documentation.
fn leadgraph(server: &Postgres) -> String {
    let url = server.url();
    format!("{}/leadgraph", url.rsplit_once('/').expect("the URL names a database").0)
}

/// What the tools of Postgres read to find the server.
fn place(server: &Postgres) -> [(&'static str, String); 3] {
    let url = server.url();
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port");
    [("PGHOST", "127.0.0.1".into()), ("PGPORT", port.to_owned()), ("PGUSER", "postgres".into())]
}

fn typed(folder: &Path, server: &Postgres, heading: &str) {
    let place = place(server);
    let more: Vec<_> = place.iter().map(|(name, value)| (*name, value.as_str())).collect();
    type_in(folder, &documented(heading), &more);
}

async fn says(server: &Postgres, sql: &str) -> i64 {
    let mut options = ConnectOptions::new(server.url());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let said = row.unwrap().unwrap().try_get_by_index(0).unwrap();
    db.close().await.unwrap();
    said
}

/// Ends the services, and waits until nobody is connected any more.
async fn end(stack: Stack, server: &Postgres) {
    stack.databases().close().await;
    drop(stack);
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'leadgraph'";
    eventually("nobody is connected", Duration::from_secs(20), || async {
        says(server, connected).await == 0
    })
    .await;
}

/// How much was ever done about leads.
async fn changes(databases: &Databases) -> i64 {
    databases.count("leads", "audit_log").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_load_becomes_a_working_system_again() {
    let (mut nats, postgres) = tokio::join!(Nats::start(), Postgres::start());
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prepared = "createdb leadgraph && psql --quiet --dbname=leadgraph --command='CREATE ROLE reader; \
                    REVOKE ALL ON DATABASE leadgraph FROM PUBLIC; GRANT CONNECT ON DATABASE leadgraph TO reader'";
    let place = place(&postgres);
    type_in(backup.path(), prepared, &place.each_ref().map(|(name, value)| (*name, value.as_str())));
    let stack = Stack::networked_over(&leadgraph(&postgres), &nats.url(), folder.path()).await;
    let load = Load::start(stack.client(), 61, 4);
    load.more(60).await;
    typed(backup.path(), &postgres, "A dump");
    load.more(60).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    let before = changes(stack.databases()).await;
    end(stack, &postgres).await;

    typed(backup.path(), &postgres, "Going back to a dump");
    assert_eq!(says(&postgres, "SELECT count(*) FROM pg_database WHERE datname LIKE 'leadgraph%'").await, 2);
    restored(&postgres, &mut nats, folder.path(), before).await;

    // The same on a machine that never had it
    let other = Postgres::start().await;
    typed(backup.path(), &other, "On a new server");
    restored(&other, &mut nats, folder.path(), before).await;
}

/// Starts over the restored database with a bus that knows nothing, and looks at everything.
async fn restored(server: &Postgres, nats: &mut Nats, folder: &Path, before: i64) {
    let allowed = "SELECT count(*) FROM pg_roles WHERE rolname IN ('reader', 'pg_monitor') \
                   AND has_database_privilege(oid, 'leadgraph', 'CONNECT')";
    assert_eq!(says(server, allowed).await, 1, "only one may connect, as before");
    nats.kill();
    nats.wipe();
    nats.restart().await;
    // What is not in the databases is not needed
    for file in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
        if file.extension().is_some_and(|it| it == "json") {
            fs::remove_file(file).unwrap();
        }
    }
    let stack = Stack::networked_over(&leadgraph(server), &nats.url(), folder).await;
    stack.verify().await;
    assert!(changes(stack.databases()).await < before, "it is what there was at the dump");
    stack.client().create_lead("Afterwards").await;
    stack.verify().await;
    end(stack, server).await;
}
