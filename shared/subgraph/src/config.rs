//! All configuration of a subgraph: one struct, each value a flag and an environment variable.

use crate::telemetry::{LogFormat, TelemetryConfig};
use crate::{address, db::sqlite_path, rate::RateLimit};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

/// How strict the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// Introspection, the IDE and demo data are there.
    Development,
    /// None of them, and logs as JSON.
    Production,
}

impl Environment {
    /// How log lines look, unless something else is said.
    pub fn log_format(self) -> LogFormat {
        match self {
            Self::Development => LogFormat::Text,
            Self::Production => LogFormat::Json,
        }
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

/// The configuration of one subgraph. Secrets do not print themselves.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// How strict to be.
    #[arg(long, env = "LEADGRAPH_ENV", value_enum, default_value = "development")]
    pub environment: Environment,

    /// Folder of the SQLite files, the keys and the cached JWKS.
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// This service's database: `sqlite://…` or `postgres://…` [default: DATABASE_URL, else a
    /// SQLite file in the data folder].
    #[arg(long, hide_env_values = true)]
    pub database_url: Option<SecretString>,

    /// The database of every service that has none of its own; with Postgres each service uses
    /// the schema of its name.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub shared_database_url: Option<SecretString>,

    /// Connections to Postgres, at most.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 8)]
    pub database_max_connections: u32,

    /// The broker that carries events between the services: `nats://host:4222`, several separated by commas
    /// [default: a file in the data folder, for services on one machine].
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: Option<SecretString>,

    /// Bring the database up to date before serving.
    #[arg(long, env = "MIGRATE_ON_START", default_value_t = true, action = clap::ArgAction::Set)]
    pub migrate_on_start: bool,

    /// Address to listen on.
    #[arg(long, env = "LISTEN_ADDR", default_value = "127.0.0.1")]
    pub listen_addr: IpAddr,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT")]
    pub port: u16,

    /// Where the public keys that sign tokens are published.
    #[arg(long, env = "JWKS_URL", default_value = "http://127.0.0.1:4001/.well-known/jwks.json")]
    pub jwks_url: String,

    /// Signs calls between services [default: generated in the data folder].
    #[arg(long, env = "SERVICE_KEY", hide_env_values = true)]
    pub service_key: Option<SecretString>,

    /// Load demo data [default: yes for a new database in development].
    #[arg(long, env = "LEADGRAPH_DEMO")]
    pub demo: Option<bool>,

    /// Origins that browsers may call from, separated by commas [default: localhost, any port].
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// Proxies whose X-Forwarded-For is believed, the router among them: addresses and networks such as
    /// 10.0.0.0/8, separated by commas [default: none].
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = address::network)]
    pub trusted_proxies: Vec<IpNet>,

    /// How often each user may ask: 50/s, 50/s:200 with that many at once, or off [default: 50/s:200 in production].
    #[arg(long, env = "RATE_LIMIT_USER")]
    pub rate_limit_user: Option<RateLimit>,

    /// How often each address may ask [default: 100/s:400 in production].
    #[arg(long, env = "RATE_LIMIT_ADDRESS")]
    pub rate_limit_address: Option<RateLimit>,

    /// How log lines look [default: text in development, JSON in production].
    #[arg(long, env = "LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is told outside of what the service does.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,

    /// Where the other subgraphs answer, by name; each from its own variable (`LEADS_URL`, …).
    #[arg(skip)]
    pub peers: BTreeMap<&'static str, String>,

    /// What only this service has, by flag name.
    #[arg(skip)]
    pub extra: BTreeMap<&'static str, SecretString>,
}

impl Config {
    /// The database's address: the service's own, the shared one, or a file in the data folder.
    pub fn database_url(&self, service: &str) -> SecretString {
        let file = || {
            format!("sqlite://{}?mode=rwc", self.data_dir.join(format!("{service}.sqlite")).display()).into()
        };
        self.database_url.clone().or_else(|| self.shared_database_url.clone()).unwrap_or_else(file)
    }

    /// The file of this service's database; nothing when it is no SQLite file.
    pub fn sqlite_file(&self, service: &str) -> Option<PathBuf> {
        sqlite_path(self.database_url(service).expose_secret()).map(PathBuf::from)
    }

    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or(self.environment.log_format())
    }

    /// Whether introspection and the IDE are there.
    pub fn is_development(&self) -> bool {
        self.environment == Environment::Development
    }

    /// The value of a flag only this service has.
    pub fn extra(&self, flag: &str) -> Option<&str> {
        self.extra.get(flag).map(ExposeSecret::expose_secret)
    }
}

/// A flag that only one service has.
#[derive(Clone, Copy, Debug)]
pub struct ExtraArg {
    /// The flag, without dashes.
    pub flag: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// One sentence for `--help`.
    pub help: &'static str,
}
