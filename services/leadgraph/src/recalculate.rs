//! `leadgraph recalculate`: every lead's score anew, with a progress bar.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{bar::bar, table::print};

/// What `leadgraph recalculate` can be told. Other databases than files are configured as for `up`.
#[derive(Args, Clone, Debug)]
pub struct RecalculateArgs {
    /// Folder of the SQLite files and keys
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
}

/// Does it here or, when a running service does it already, waits for that; then prints what came of it.
///
/// # Errors
/// There is no database, it does not answer, or the run was given up.
pub async fn recalculate(args: &RecalculateArgs) -> Result<()> {
    let service = scoring::subgraph();
    let config = service.config_from([format!("--data-dir={}", args.data_dir.display())])?;
    let bar = bar("{spinner} [{elapsed_precise}] {bar:40} {pos}/{len} leads {eta}");
    let show = |done: i64, total: i64| {
        bar.set_length(u64::try_from(total).unwrap_or_default());
        bar.set_position(u64::try_from(done).unwrap_or_default());
    };
    let outcome = scoring::recalculate(&service, config, &show).await;
    bar.finish_and_clear();
    let (saved, failed) = outcome.context("cannot recalculate the scores")?;
    print(&[format!("{saved} scores saved, {failed} failed")]).context("cannot print").map(drop)
}
