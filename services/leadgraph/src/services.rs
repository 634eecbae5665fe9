//! The subgraphs of the product, in the order in which they start.

use anyhow::{Context, Result, ensure};
use subgraph::Subgraph;

use crate::supergraph::{self, SupergraphConfig};

/// Every subgraph; accounts first, since the others check tokens with its keys.
pub fn all() -> Vec<Subgraph> {
    vec![
        accounts::subgraph(),
        leads::subgraph(),
        interactions::subgraph(),
        tasks::subgraph(),
        scoring::subgraph(),
        notifications::subgraph(),
    ]
}

/// Every subgraph with the port that the embedded `supergraph.yaml` gives it.
///
/// # Errors
/// When the two lists differ: a mistake in the program.
pub fn with_ports() -> Result<Vec<(Subgraph, u16)>> {
    let config = SupergraphConfig::parse(supergraph::EMBEDDED, ".".into())?;
    let services = all();
    ensure!(services.len() == config.subgraphs.len(), "supergraph.yaml and services::all() differ");
    let port = |subgraph: Subgraph| {
        let entry = config
            .get(subgraph.name())
            .with_context(|| format!("{} is not in supergraph.yaml", subgraph.name()))?;
        Ok((subgraph, entry.port()))
    };
    services.into_iter().map(port).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_subgraph_listens_where_the_router_looks_for_it() {
        for (subgraph, port) in super::with_ports().unwrap() {
            assert_eq!(subgraph.port(), port, "{}", subgraph.name());
        }
    }
}
