//! `leadgraph recalculate`: every lead's score anew, with a progress bar.

use std::{
    io::{IsTerminal as _, stderr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::table::print;

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
    let bar = bar();
    let show = |done: i64, total: i64| {
        bar.set_length(u64::try_from(total).unwrap_or_default());
        bar.set_position(u64::try_from(done).unwrap_or_default());
    };
    let outcome = scoring::recalculate(&service, config, &show).await;
    bar.finish_and_clear();
    let (saved, failed) = outcome.context("cannot recalculate the scores")?;
    print(&[format!("{saved} scores saved, {failed} failed")]).context("cannot print").map(drop)
}

/// On a terminal only.
fn bar() -> ProgressBar {
    let target =
        if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:40} {pos}/{len} leads {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
