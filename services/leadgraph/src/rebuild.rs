//! `leadgraph rebuild`: fills what services know of each other again from what the owners have.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
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
/// There is no such service, it has no database, or an owner does not answer.
pub async fn rebuild(args: &RebuildArgs) -> Result<()> {
    for service in services::named(args.service.as_deref())? {
        let lines =
            one(&service, args).await.with_context(|| format!("cannot rebuild {}", service.name()))?;
        print(&lines).context("cannot print")?;
    }
    Ok(())
}

async fn one(service: &Subgraph, args: &RebuildArgs) -> Result<Vec<String>> {
    let name = service.name();
    if service.views().next().is_none() {
        return Ok(vec![format!("{name}: knows nothing of others")]);
    }
    let config = service.config_from([format!("--data-dir={}", args.data_dir.display())])?;
    if args.all && service.migrations().open(name, &config).await?.is_none() {
        return Ok(vec![format!("{name}: no database yet")]);
    }
    // How many rows there will be is not known
    let bar = bar("{spinner} [{elapsed_precise}] {prefix} {msg} {pos} rows").with_prefix(name);
    let show = |at: &Rebuilt| {
        bar.set_message(at.kind);
        bar.set_position(at.rows);
    };
    let rebuilt = service.rebuild(config, args.force, &show).await;
    bar.finish_and_clear();
    Ok(rebuilt?.iter().map(|view| line(name, view)).collect())
}

fn line(service: &str, Rebuilt { owner, kind, rows, changed, forgotten }: &Rebuilt) -> String {
    format!(
        "{service}: {kind} from {owner}: {rows} rows, {changed} were missing or old, {forgotten} are gone"
    )
}
