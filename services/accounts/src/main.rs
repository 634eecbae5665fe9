//! The `accounts` service: `serve | migrate | schema | healthcheck`.

fn main() -> std::process::ExitCode {
    subgraph::main(&accounts::subgraph())
}
