//! The `notifications` service: `serve | migrate | schema | healthcheck`.

fn main() -> std::process::ExitCode {
    subgraph::main(&notifications::subgraph())
}
