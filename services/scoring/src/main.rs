//! The `scoring` service: `serve | migrate | schema | healthcheck`.

fn main() -> std::process::ExitCode {
    subgraph::main(&scoring::subgraph())
}
