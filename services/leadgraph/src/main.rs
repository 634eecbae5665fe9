//! `leadgraph`: the whole product in one binary.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use leadgraph::{
    backup::{BackupArgs, backup},
    compose,
    events::{EventsArgs, events},
    migrate::{MigrateArgs, migrate},
    provision::{self, RouterArgs},
    rebuild::{RebuildArgs, rebuild},
    recalculate::{RecalculateArgs, recalculate},
    router::{BoundArgs, exec_bound},
    supergraph::SupergraphConfig,
    up::{UpArgs, up},
    watch::{WatchArgs, watch},
};
use subgraph::{
    ignore_empty_variables, stop_signal,
    telemetry::{self, LogFormat},
};

/// Leadgraph: a self-hosted CRM backend.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: UpArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Starts every subgraph and the router [default]
    Up(UpArgs),
    /// Composes the subgraphs' schemas into router/supergraph.graphql
    Compose(ComposeArgs),
    /// Changes the schemas of all services' databases
    Migrate(MigrateArgs),
    /// Shows what the services tell each other, and what of it could not be applied
    Events(EventsArgs),
    /// Fills what a service knows of others again from what they have
    Rebuild(RebuildArgs),
    /// Calculates every lead's score anew
    Recalculate(RecalculateArgs),
    /// Copies all SQLite databases as they are at one moment, also while the services run
    Backup(BackupArgs),
    /// Shows notifications as they come, until Ctrl-C
    Watch(WatchArgs),
    /// The Apollo Router's binary
    #[command(subcommand)]
    Router(RouterCommand),
    /// Runs a program that ends when this process's parent does
    #[command(hide = true)]
    ExecBound(BoundArgs),
}

#[derive(Args)]
struct ComposeArgs {
    /// The list of subgraphs [default: supergraph.yaml here or above]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only check that the committed file is up to date
    #[arg(long)]
    check: bool,
}

#[derive(Subcommand)]
enum RouterCommand {
    /// Finds or builds the router and prints where it is
    Install(RouterArgs),
}

// The runtime's main task stays on the main thread, which the router's life is tied to
#[tokio::main]
async fn main() -> ExitCode {
    let matches = ignore_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match Box::pin(run(cli)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leadgraph: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let command = cli.command.unwrap_or(Command::Up(cli.up));
    let format = if let Command::Up(args) = &command { args.log_format() } else { LogFormat::Text };
    telemetry::init(format, "warn,leadgraph=info");
    match command {
        Command::Up(args) => up(args).await,
        Command::Compose(args) => {
            let config = SupergraphConfig::find(args.config.as_deref())?;
            compose::write(&config, &config.root.join(compose::OUTPUT), args.check)
        }
        Command::Migrate(args) => migrate(&args).await,
        Command::Events(args) => events(&args).await,
        Command::Rebuild(args) => rebuild(&args).await,
        Command::Recalculate(args) => recalculate(&args).await,
        Command::Backup(args) => backup(&args).await,
        Command::Watch(args) => watch(args).await,
        Command::Router(RouterCommand::Install(args)) => {
            // Dropping the provision ends the build
            let binary = tokio::select! {
                binary = provision::provision(&args) => binary?,
                signal = stop_signal() => {
                    signal?;
                    bail!("stopped before the router was there")
                }
            };
            println!("{}", binary.display());
            Ok(())
        }
        Command::ExecBound(args) => match exec_bound(&args)? {},
    }
}
