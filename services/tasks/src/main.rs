//! The `tasks` service: `serve | migrate | schema | healthcheck`.

fn main() -> std::process::ExitCode {
    subgraph::main(&tasks::subgraph())
}
