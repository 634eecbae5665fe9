//! The migrations of every service on both databases: by several instances at once, back and forth, and from a
//! version that is newer.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::ffi::OsStr;
use std::process::{Child, Command, Output, Stdio};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use testkit::supergraph::SERVICES;
use testkit::{Service, TestDatabase, binary, free_port};

/// A table that Leadgraph did not make, but its migrations.
const OWN: &str = "seaql_migrations";

#[tokio::test]
async fn eight_instances_migrate_one_database_at_once() {
    for database in TestDatabase::both() {
        let instances: Vec<_> = (0..8).map(|_| Instance::new("leads", &database)).collect();
        let running: Vec<_> = instances.iter().map(|instance| instance.begin(["migrate", "up"])).collect();
        let outputs: Vec<_> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for output in &outputs {
            assert!(output.status.success(), "{:?}: {}", database.backend(), text(&output.stderr));
        }
        let applied = outputs.iter().flat_map(|output| lines(&output.stdout));
        let applied =
            applied.filter_map(|line| line.strip_prefix("applied ").map(str::to_owned)).collect::<Vec<_>>();
        let status = instances[0].run(["migrate", "status"]);
        let all: Vec<_> =
            status.iter().map(|line| line.strip_prefix("applied ").unwrap().to_owned()).collect();
        assert_eq!(applied, all, "each migration is run once, by one instance");
    }
}

#[tokio::test]
async fn all_services_migrate_one_postgres_database_at_once() {
    let database = TestDatabase::postgres();
    let instances: Vec<_> =
        SERVICES.iter().chain(&SERVICES).map(|service| Instance::new(service, &database)).collect();
    let running: Vec<_> = instances.iter().map(|instance| instance.begin(["migrate", "up"])).collect();
    for (child, instance) in running.into_iter().zip(&instances) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}: {}", instance.service, text(&output.stderr));
        assert!(instance.run(["migrate", "status"]).iter().all(|line| line.starts_with("applied ")));
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    for database in [TestDatabase::sqlite, TestDatabase::postgres] {
        for service in SERVICES {
            let database = database();
            let instance = Instance::new(service, &database);
            instance.run(["migrate", "up"]);
            let sql = instance.connect().await;
            let newer = format!("INSERT INTO {OWN} (version, applied_at) VALUES ('9999_tomorrow', 0)");
            sql.execute_unprepared(&newer).await.unwrap();
            let before = schema(&sql).await;
            for command in [&["serve"][..], &["migrate", "up"], &["migrate", "down"], &["migrate", "status"]]
            {
                let Output { status, stderr, .. } = instance.begin(command).wait_with_output().unwrap();
                assert_eq!(status.code(), Some(1), "{service} {command:?}");
                let expected = format!(
                    "{service}: the database was migrated by a newer version of Leadgraph (it has the migration \
                     9999_tomorrow, which this version does not know); run that version, or restore a backup from \
                     before the upgrade\n"
                );
                assert_eq!(text(&stderr), expected, "{service} {command:?}");
            }
            assert_eq!(schema(&sql).await, before);
            sql.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_service_goes_down_to_nothing_and_up_again() {
    for database in [TestDatabase::sqlite, TestDatabase::postgres] {
        for service in SERVICES {
            let database = database();
            let instance = Instance::new(service, &database);
            instance.serve_once().await;
            let sql = instance.connect().await;
            let whole = schema(&sql).await;
            let migrations = instance.run(["migrate", "status"]);
            assert!(whole.len() > migrations.len() && !migrations.is_empty(), "{whole:?}");
            // One by one, so that each is reverted by itself
            for migration in migrations.iter().rev() {
                let reverted = instance.run(["migrate", "down"]);
                assert_eq!(reverted, [migration.replace("applied", "reverted")], "{service}");
            }
            let left = schema(&sql).await;
            assert!(left.iter().all(|line| line.contains(OWN)), "{service}: {left:#?}");
            instance.run(["migrate", "up"]);
            assert_eq!(schema(&sql).await, whole, "{service}");
            let last = migrations.len().to_string();
            assert_eq!(instance.run(["migrate", "down", &last]).len(), migrations.len(), "{service}");
            assert_eq!(schema(&sql).await, left, "{service}");
            sql.close().await.unwrap();
            instance.serve_once().await;
        }
    }
}

/// One service on one database, with a data folder of its own.
struct Instance {
    service: &'static str,
    url: String,
    folder: TempDir,
}

impl Instance {
    fn new(service: &'static str, database: &TestDatabase) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-migrations-").tempdir().unwrap();
        Self { service, url: database.url().to_owned(), folder }
    }

    fn environment(&self) -> [(String, String); 3] {
        let data_dir = self.folder.path().display().to_string();
        let url = (format!("{}_DATABASE_URL", self.service.to_uppercase()), self.url.clone());
        [url, ("LEADGRAPH_DATA_DIR".into(), data_dir), ("PORT".into(), free_port().to_string())]
    }

    fn begin(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        let mut command = Command::new(binary(self.service));
        command.args(words).env_clear().envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The lines of a command's answer; it has to succeed.
    fn run<const N: usize>(&self, words: [&str; N]) -> Vec<String> {
        let output = self.begin(words).wait_with_output().unwrap();
        assert!(output.status.success(), "{} {words:?}: {}", self.service, text(&output.stderr));
        lines(&output.stdout)
    }

    /// Starts it, with demo data where the database is empty, and stops it.
    async fn serve_once(&self) {
        let environment = self.environment();
        let port = environment[2].1.clone();
        let mut service = Service::spawn(binary(self.service), ["serve"], environment);
        service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        assert!(service.terminate().await.success(), "{}", service.log());
    }

    async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).sqlx_logging(false);
        if self.url.starts_with("postgres") {
            options.set_schema_search_path(self.service);
        }
        Database::connect(options).await.unwrap()
    }
}

/// Everything there is: a line for each table, column, index, constraint and trigger.
async fn schema(sql: &DatabaseConnection) -> Vec<String> {
    let question = match sql.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT type || ' ' || tbl_name || ': ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
             WHERE name NOT LIKE 'sqlite%' ORDER BY 1"
        }
        _ => {
            "SELECT 'column ' || attrelid::regclass || ': ' || attname || ' ' || format_type(atttypid, atttypmod) || ' '
                 || attnotnull || ' ' || attidentity::text || attgenerated::text || ' ' || attcollation
             FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
             UNION ALL SELECT 'constraint ' || conrelid::regclass || ': ' || pg_get_constraintdef(oid)
             FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
             UNION ALL SELECT 'index ' || tablename || ': ' || indexdef FROM pg_indexes WHERE schemaname = current_schema()
             ORDER BY 1"
        }
    };
    let rows = sql.query_all_raw(Statement::from_string(sql.get_database_backend(), question)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    text(bytes).lines().map(str::to_owned).collect()
}
