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

/// The subgraph of this name, or every one.
///
/// # Errors
/// There is none.
pub fn named(name: Option<&str>) -> Result<Vec<Subgraph>> {
    let mut services = all();
    services.retain(|service| name.is_none_or(|name| service.name() == name));
    ensure!(!services.is_empty(), "there is no service {}", name.unwrap_or_default());
    Ok(services)
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
    fn whoever_keeps_a_view_can_ask_its_owner_for_all_of_it() {
        let services = super::all();
        for service in &services {
            for (owner, kind) in service.views() {
                assert!(
                    service.peers().any(|peer| peer == owner),
                    "{} does not know {owner}",
                    service.name()
                );
                let owner = services.iter().find(|other| other.name() == owner).unwrap();
                assert!(owner.has_snapshot(kind), "{} has no snapshot of {kind}", owner.name());
            }
        }
        let views = services.iter().map(|service| service.views().count()).collect::<Vec<_>>();
        assert_eq!(views, [0, 1, 2, 4, 3, 2]);
    }

    #[test]
    fn every_subgraph_listens_where_the_router_looks_for_it() {
        for (subgraph, port) in super::with_ports().unwrap() {
            assert_eq!(subgraph.port(), port, "{}", subgraph.name());
        }
    }
}
