//! Bringing the database up to date, safely with several instances at once.

use crate::{
    config::Config,
    db::{ACQUIRE_TIMEOUT, Db, sqlite_path},
};
use anyhow::{Context, bail, ensure};
use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement,
    sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions},
};
use sea_orm_migration::{MigratorTrait, seaql_migrations};
use secrecy::ExposeSecret;
use std::{collections::BTreeSet, fs::File, path::Path};

type Job<T> = for<'a> fn(&'a DatabaseConnection, Option<u32>) -> BoxFuture<'a, Result<T, DbErr>>;

/// The migrations of one service.
#[derive(Clone, Copy)]
pub struct Migrations {
    up: Job<()>,
    down: Job<()>,
    names: fn() -> Vec<String>,
}

impl Migrations {
    /// The migrations of `M`.
    pub fn of<M: MigratorTrait + 'static>() -> Self {
        Self {
            up: |db, steps| Box::pin(M::up(db, steps)),
            down: |db, steps| Box::pin(M::down(db, steps)),
            names: || M::migrations().iter().map(|m| m.name().to_owned()).collect(),
        }
    }

    /// Each migration and whether it was applied, oldest first.
    ///
    /// # Errors
    /// When the database was migrated by a newer version, or cannot be read.
    pub async fn status(&self, db: &DatabaseConnection) -> anyhow::Result<Vec<(String, bool)>> {
        let applied = self.applied(db).await?;
        Ok((self.names)().into_iter().map(|name| (name.clone(), applied.contains(&name))).collect())
    }

    /// As [`Migrations::status`], of the configured database; nothing when that is a SQLite file which
    /// does not exist. Who only asks changes nothing, and connecting would make it.
    ///
    /// # Errors
    /// As [`Migrations::status`], and when the database cannot be reached.
    pub async fn report(
        &self,
        service: &str,
        config: &Config,
    ) -> anyhow::Result<Option<Vec<(String, bool)>>> {
        if is_missing_file(config.database_url(service).expose_secret()) {
            return Ok(None);
        }
        let db = Db::connect(service, config, None).await?;
        self.status(db.read()).await.map(Some)
    }

    /// The configured database, which must be up to date; nothing when there is none yet.
    ///
    /// # Errors
    /// As [`Migrations::report`], and when migrations are missing.
    pub async fn open(&self, service: &str, config: &Config) -> anyhow::Result<Option<Db>> {
        if is_missing_file(config.database_url(service).expose_secret()) {
            return Ok(None);
        }
        let db = Db::connect(service, config, None).await?;
        let status = self.status(db.read()).await?;
        let missing = status.iter().filter(|(_, applied)| !applied).count();
        if missing == status.len() {
            return Ok(None);
        }
        ensure!(
            missing == 0,
            "the database of {service} is {missing} migrations behind: run `{service} migrate up`"
        );
        Ok(Some(db))
    }

    async fn applied(&self, db: &DatabaseConnection) -> anyhow::Result<BTreeSet<String>> {
        let manager = sea_orm_migration::SchemaManager::new(db);
        if !manager.has_table("seaql_migrations").await? {
            return Ok(BTreeSet::new());
        }
        let rows = seaql_migrations::Entity::find().all(db).await?;
        let applied: BTreeSet<String> = rows.into_iter().map(|row| row.version).collect();
        let known: BTreeSet<String> = (self.names)().into_iter().collect();
        if let Some(unknown) = applied.difference(&known).next() {
            bail!(
                "the database was migrated by a newer version of Leadgraph (it has the migration {unknown}, which \
                 this version does not know); run that version, or restore a backup from before the upgrade"
            );
        }
        Ok(applied)
    }

    /// Applies what is missing, one instance at a time, and names it.
    ///
    /// # Errors
    /// When the database cannot be reached, is newer than this program, or a migration fails.
    pub async fn up(&self, service: &str, config: &Config) -> anyhow::Result<Vec<String>> {
        let session = Session::begin(service, config).await?;
        let applied = self.up_within(&session, service).await?;
        session.end().await?;
        Ok(applied)
    }

    /// As [`Migrations::up`], under a lock that is held already.
    pub(crate) async fn up_within(&self, session: &Session, service: &str) -> anyhow::Result<Vec<String>> {
        let before = self.applied(&session.db).await?;
        let missing: Vec<String> = (self.names)().into_iter().filter(|name| !before.contains(name)).collect();
        if !missing.is_empty() {
            (self.up)(&session.db, None)
                .await
                .with_context(|| format!("migrating the database of {service}"))?;
        }
        Ok(missing)
    }

    /// Refuses a database that lacks migrations, for a service that may not apply them.
    pub(crate) async fn must_be_up(&self, session: &Session, service: &str) -> anyhow::Result<()> {
        let missing = self.status(&session.db).await?.iter().filter(|(_, applied)| !applied).count();
        ensure!(missing == 0, "the database is {missing} migrations behind: run `{service} migrate up`");
        Ok(())
    }

    /// Reverts the last `steps` migrations and names them, newest first.
    ///
    /// # Errors
    /// As [`Migrations::up`].
    pub async fn down(&self, service: &str, config: &Config, steps: u32) -> anyhow::Result<Vec<String>> {
        let session = Session::begin(service, config).await?;
        let before = self.applied(&session.db).await?;
        let last: Vec<String> = before.into_iter().rev().take(steps as usize).collect();
        (self.down)(&session.db, Some(steps))
            .await
            .with_context(|| format!("reverting the database of {service}"))?;
        session.end().await?;
        Ok(last)
    }

    /// Says what is missing, for a service that may not migrate by itself.
    pub(crate) async fn pending(&self, db: &Db) -> anyhow::Result<Vec<String>> {
        let all = self.status(db.read()).await?;
        Ok(all.into_iter().filter(|(_, applied)| !applied).map(|(name, _)| name).collect())
    }
}

impl std::fmt::Debug for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Migrations").field(&(self.names)()).finish()
    }
}

/// Whether a database's address is that of a SQLite file which does not exist.
fn is_missing_file(url: &str) -> bool {
    sqlite_path(url).is_some_and(|path| !Path::new(path).exists())
}

/// One connection that holds the lock under which only one instance at a time migrates and fills a
/// new database.
pub(crate) struct Session {
    db: DatabaseConnection,
    _lock: Option<File>,
}

/// The lock's number on Postgres; it guards the whole server's database, since extensions are
/// shared by the schemas.
const LOCK: i64 = 0x4c45_4144;

impl Session {
    pub(crate) async fn begin(service: &str, config: &Config) -> anyhow::Result<Self> {
        let url = config.database_url(service);
        let url = url.expose_secret();
        match sqlite_path(url) {
            Some(path) => Self::sqlite(service, config, path).await,
            None => Self::postgres(service, url).await,
        }
    }

    async fn sqlite(service: &str, config: &Config, path: &str) -> anyhow::Result<Self> {
        let db = Db::connect(service, config, None).await?;
        let lock = format!("{path}.lock");
        let file = File::create(&lock).with_context(|| format!("cannot write {lock}"))?;
        let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await??;
        Ok(Self { db: db.write().clone(), _lock: Some(file) })
    }

    async fn postgres(service: &str, url: &str) -> anyhow::Result<Self> {
        let unreachable = || format!("cannot open the database of {service} on Postgres");
        // The pool would keep trying and then say only that it ran out of time
        let single = url.parse::<PgConnectOptions>().with_context(unreachable)?;
        let single = tokio::time::timeout(ACQUIRE_TIMEOUT, single.connect()).await;
        single.with_context(unreachable)?.with_context(unreachable)?.close().await?;
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false).set_schema_search_path(format!("{service},public"));
        let db = Database::connect(options).await.with_context(unreachable)?;
        db.execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
        // Asked first, because making one needs a right on the database even when it is there
        let known = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT 1 FROM pg_namespace WHERE nspname = $1",
            [service.into()],
        );
        if db.query_one_raw(known).await?.is_none() {
            db.execute_unprepared(&format!("CREATE SCHEMA \"{service}\"")).await?;
        }
        Ok(Self { db, _lock: None })
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        if self.db.get_database_backend() == DbBackend::Postgres {
            self.db.execute_unprepared(&format!("SELECT pg_advisory_unlock({LOCK})")).await?;
        }
        self.db.close().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_missing_file;

    #[test]
    fn only_sqlite_files_can_be_missing() {
        let here = env!("CARGO_MANIFEST_DIR");
        assert!(!is_missing_file(&format!("sqlite://{here}/Cargo.toml?mode=rwc")));
        assert!(!is_missing_file(&format!("sqlite:{here}/Cargo.toml")));
        assert!(is_missing_file(&format!("sqlite://{here}/none.sqlite?mode=rwc")));
        assert!(!is_missing_file("postgres://localhost/none"));
    }
}
