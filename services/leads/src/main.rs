//! The `leads` service: `serve | migrate | schema | healthcheck`.

fn main() -> std::process::ExitCode {
    subgraph::main(&leads::subgraph())
}
