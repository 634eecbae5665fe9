//! `leadgraph`: the whole product in one binary.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use leadgraph::{
    compose,
    provision::{self, RouterArgs},
    router::{BoundArgs, exec_bound},
    services,
    supergraph::SupergraphConfig,
    up::{UpArgs, up},
};
use subgraph::{Environment, ignore_empty_variables, telemetry};

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

#[derive(Args)]
struct MigrateArgs {
    /// Folder of the SQLite files; other databases are configured as for `up`
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data", global = true)]
    data_dir: PathBuf,
    #[command(subcommand)]
    what: Migrate,
}

#[derive(Subcommand)]
enum Migrate {
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
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leadgraph: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let command = cli.command.unwrap_or(Command::Up(cli.up));
    let environment =
        if let Command::Up(args) = &command { args.environment } else { Environment::Development };
    telemetry::init(environment, "warn,leadgraph=info");
    match command {
        Command::Up(args) => up(args).await,
        Command::Compose(args) => {
            let config = SupergraphConfig::find(args.config.as_deref())?;
            compose::write(&config, &config.root.join(compose::OUTPUT), args.check)
        }
        Command::Migrate(args) => migrate(args).await,
        Command::Router(RouterCommand::Install(args)) => {
            println!("{}", provision::provision(&args).await?.display());
            Ok(())
        }
        Command::ExecBound(args) => match exec_bound(&args)? {},
    }
}

async fn migrate(MigrateArgs { data_dir, what }: MigrateArgs) -> Result<()> {
    let only = if let Migrate::Down { service, .. } = &what { Some(service.clone()) } else { None };
    let services =
        services::all().into_iter().filter(|s| only.as_deref().is_none_or(|only| only == s.name()));
    let services: Vec<_> = services.collect();
    anyhow::ensure!(!services.is_empty(), "there is no service {}", only.unwrap_or_default());
    for service in services {
        let (name, config) =
            (service.name(), service.config_from([format!("--data-dir={}", data_dir.display())])?);
        match what {
            Migrate::Up => {
                for migration in service.migrations().up(name, &config).await? {
                    println!("{name}: applied {migration}");
                }
            }
            Migrate::Down { steps, .. } => {
                for migration in service.migrations().down(name, &config, steps).await? {
                    println!("{name}: reverted {migration}");
                }
            }
            Migrate::Status => {
                let db = subgraph::Db::connect(name, &config, None).await?;
                for (migration, applied) in service.migrations().status(db.read()).await? {
                    println!("{name}: {} {migration}", if applied { "applied" } else { "missing" });
                }
            }
        }
    }
    Ok(())
}
