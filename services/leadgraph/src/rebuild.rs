//! `leadgraph rebuild`: fills what services know of each other again from what the owners have.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use subgraph::{Rebuilt, Subgraph};

use crate::{bar::bar, services, table::print};

/// What `leadgraph rebuild` can be told. Where the owners answer is configured as for the service itself.
#[derive(Args, Clone, Debug)]
pub struct RebuildArgs {
    /// Folder of the SQLite files and keys; other databases are configured as for `up`
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// Which service's views; it may run meanwhile, and the owners of what it knows must
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub service: Option<String>,
    /// The views of every service
    #[arg(long)]
    pub all: bool,
    /// Forget what an owner does not have any more even where that is most of it
    #[arg(long)]
    pub force: bool,
}

/// Does it for one service or all and prints what changed.
///
/// # Errors
/// There is no such service, none of those that were meant has a database, or an owner does not answer.
pub async fn rebuild(args: &RebuildArgs) -> Result<()> {
    let (mut found, mut missing) = (false, false);
    for service in services::named(args.service.as_deref())? {
        let name = service.name();
        if service.views().next().is_none() {
            print(&[format!("{name}: knows nothing of others")]).context("cannot print")?;
            continue;
        }
        let lines = one(&service, args).await.with_context(|| format!("cannot rebuild {name}"))?;
        (found, missing) = (found || lines.is_some(), missing || lines.is_none());
        let lines = lines.unwrap_or_else(|| vec![format!("{name}: no database yet")]);
        print(&lines).context("cannot print")?;
    }
    ensure!(
        found || !missing,
        "nothing was rebuilt: run it with the variables of the services (--data-dir, <SERVICE>_DATABASE_URL)"
    );
    Ok(())
}

/// What changed; nothing where there is no database.
async fn one(service: &Subgraph, args: &RebuildArgs) -> Result<Option<Vec<String>>> {
    let name = service.name();
    let config = service.config_from([format!("--data-dir={}", args.data_dir.display())])?;
    if service.migrations().open(name, &config).await?.is_none() {
        return Ok(None);
    }
    // How many rows there will be is not known
    let bar = bar("{spinner} [{elapsed_precise}] {prefix} {msg} {pos} rows").with_prefix(name);
    let show = |at: &Rebuilt| {
        bar.set_message(at.kind);
        bar.set_position(at.rows);
    };
    let rebuilt = service.rebuild(config, args.force, &show).await;
    bar.finish_and_clear();
    Ok(Some(rebuilt?.iter().map(|view| line(name, view)).collect()))
}

fn line(service: &str, Rebuilt { owner, kind, rows, changed, forgotten }: &Rebuilt) -> String {
    format!(
        "{service}: {kind} from {owner}: {rows} rows, {changed} were missing or old, {forgotten} are gone"
    )
}
