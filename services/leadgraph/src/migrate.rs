//! `leadgraph migrate`: the schemas of all services' databases.

use std::{
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use subgraph::{Config, Subgraph};

use crate::services;

/// What `leadgraph migrate` can be told.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    /// Folder of the SQLite files; other databases are configured as for `up`
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub what: Migrate,
}

/// What to do with the schemas.
#[derive(Clone, Debug, Subcommand)]
pub enum Migrate {
    /// Applies what is missing
    Up,
    /// Reverts the last migrations of one service
    Down {
        /// Which service
        service: String,
        /// How many
        #[arg(default_value_t = 1)]
        steps: u32,
    },
    /// Shows what is applied
    Status,
}

impl Migrate {
    fn concerns(&self, name: &str) -> bool {
        !matches!(self, Self::Down { service, .. } if service != name)
    }
}

/// Does it for each service it concerns and prints what was done.
///
/// # Errors
/// There is no such service, its database cannot be opened, or a migration fails.
pub async fn migrate(MigrateArgs { data_dir, what }: &MigrateArgs) -> Result<()> {
    let mut services = services::all();
    services.retain(|service| what.concerns(service.name()));
    if let Migrate::Down { service, .. } = what {
        ensure!(!services.is_empty(), "there is no service {service}");
    }
    for service in services {
        let config = service.config_from([format!("--data-dir={}", data_dir.display())])?;
        let lines = run(what, &service, &config).await?;
        print(service.name(), &lines).context("cannot print")?;
    }
    Ok(())
}

/// What there is to say about one service.
async fn run(what: &Migrate, service: &Subgraph, config: &Config) -> Result<Vec<String>> {
    let (name, migrations) = (service.name(), service.migrations());
    let say = |word: &'static str| move |migration| format!("{word} {migration}");
    match what {
        Migrate::Up => Ok(migrations.up(name, config).await?.into_iter().map(say("applied")).collect()),
        Migrate::Down { steps, .. } => {
            Ok(migrations.down(name, config, *steps).await?.into_iter().map(say("reverted")).collect())
        }
        Migrate::Status => status(service, config).await,
    }
}

async fn status(service: &Subgraph, config: &Config) -> Result<Vec<String>> {
    let Some(all) = service.migrations().report(service.name(), config).await? else {
        return Ok(vec!["no database yet".to_owned()]);
    };
    let word = |applied| if applied { "applied" } else { "missing" };
    Ok(all.into_iter().map(|(migration, applied)| format!("{} {migration}", word(applied))).collect())
}

/// Prints each line after the service's name. A reader that has seen enough, such as `head`, is no failure, and
/// must not keep the next service from its migrations.
fn print(name: &str, lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(out, "{name}: {line}")) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
