//! TLS to Postgres, asked for in the database's address.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod greetings;

use greetings::greetings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::{fs, path::Path, time::Duration};
use subgraph::{Clock, Random};
use testkit::servers::Postgres;
use tokio::time::sleep;

/// An authority, in a file as clients want it, and a server's certificate and key by it.
fn certificates(folder: &Path) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    (server.pem(), key.serialize_pem())
}

/// Starts over this database, and says whether what goes there is encrypted.
async fn start(url: &str, folder: &Path) -> anyhow::Result<bool> {
    let subgraph = greetings();
    let flags = [format!("--database-url={url}"), format!("--data-dir={}", folder.display())];
    let endpoint = subgraph.prepare(subgraph.config_from(flags)?, Clock::System, Random::System).await?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let sql = Statement::from_string(DbBackend::Postgres, sql);
    let db = &endpoint.service().db;
    let row = db.read().query_one_raw(sql).await?.unwrap();
    db.close().await;
    Ok(row.try_get_by(0)?)
}

#[tokio::test]
async fn the_address_says_how_the_connection_is_protected() {
    let (server, folder) = (Postgres::start().await, tempfile::tempdir().unwrap());
    let plain = server.url();
    let refused = start(&format!("{plain}?sslmode=require"), folder.path()).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(refused.contains("server does not support TLS"), "{refused}");

    let (certificate, key) = certificates(folder.path());
    server.offer_tls(&certificate, &key).await;
    let trusted = format!("{plain}?sslmode=verify-full&sslrootcert={}/ca.pem", folder.path().display());
    while !start(&format!("{plain}?sslmode=prefer"), folder.path()).await.unwrap() {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(start(&trusted, folder.path()).await.unwrap(), "encrypted");
    assert!(!start(&format!("{plain}?sslmode=disable"), folder.path()).await.unwrap());
    assert!(start(&format!("{plain}?sslmode=require"), folder.path()).await.unwrap());
    let stranger = start(&format!("{plain}?sslmode=verify-full"), folder.path()).await;
    let stranger = format!("{:#}", stranger.unwrap_err());
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
}
