//! The demo data, on both databases.

use events::{Envelope, outbox};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Statement};
use subgraph::{Clock, Random, Service};
use testkit::TestDatabase;

#[tokio::test]
async fn demo_data_is_loaded_and_told_once_and_every_row_is_in_the_audit_log() {
    for database in TestDatabase::both() {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--port=0".into(), "--demo=true".into(), format!("--database-url={}", database.url())];
        let data_dir = format!("--data-dir={}", folder.path().display());
        let interactions = interactions::subgraph();
        let config = interactions.config_from(flags.into_iter().chain([data_dir])).unwrap();
        // The second start finds what the first did
        for _ in 0..2 {
            let endpoint = interactions.prepare(config.clone(), Clock::System, Random::System).await.unwrap();
            let service = endpoint.service();
            let rows = count(service, "SELECT count(*) AS n FROM interaction").await.unwrap();
            let leads = count(service, "SELECT count(DISTINCT lead_id) AS n FROM interaction").await.unwrap();
            let audited = "SELECT count(*) AS n FROM audit_log WHERE actor = 'system' AND action = 'interaction.created'";
            let audited = count(service, audited).await.unwrap();
            assert_eq!((rows, leads, audited), (53, 15, 53), "{:?}", database.backend());
            let outbox = outbox::Entity::find().all(service.db.read()).await.unwrap();
            let told = outbox.iter().map(|row| serde_json::from_str::<Envelope>(&row.envelope).unwrap());
            let told: Vec<_> = told.map(|event| (event.kind, event.batch, event.batchsize)).collect();
            assert_eq!(told.len(), 53, "{:?}", database.backend());
            let one_batch = ("interaction.created".to_owned(), told[0].1, Some(53));
            assert!(told[0].1.is_some() && told.iter().all(|event| *event == one_batch), "{told:?}");
            service.db.close().await;
        }
    }
}

async fn count(service: &Service, sql: &str) -> Result<i64, DbErr> {
    let statement = Statement::from_string(service.db.backend(), sql);
    let row = service.db.read().query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}
