//! Composition: six schemas in, one supergraph out, the same as rover would write.
//!
//! Uses the composer of the router's own release, because rover is not downloadable everywhere (ADR 0004).

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use apollo_federation::{
    composition::{self, CompositionOptions},
    subgraph::typestate::Subgraph,
};

use crate::supergraph::SupergraphConfig;

/// Where the composed supergraph is committed, relative to `supergraph.yaml`.
pub const OUTPUT: &str = "router/supergraph.graphql";

/// Composes `(name, routing URL, federation SDL)` triples into supergraph SDL that ends in one newline.
///
/// The result depends on the triples only, not on their order.
///
/// # Errors
/// The schemas do not parse or do not compose; the error has a line `CODE: message` for each problem.
pub fn compose(subgraphs: &[(&str, &str, &str)]) -> Result<String> {
    let mut parsed = Vec::with_capacity(subgraphs.len());
    let mut problems = Vec::new();
    for (name, url, sdl) in subgraphs {
        match Subgraph::parse(name, url, sdl) {
            Ok(subgraph) => parsed.push(subgraph),
            Err(error) => problems.extend(error.format_errors().iter().map(|(code, text)| line(code, text))),
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    let supergraph = composition::compose(parsed, CompositionOptions::default()).map_err(|failure| {
        let lines: Vec<_> = failure
            .errors
            .iter()
            .map(|error| line(error.code().definition().code(), &error.to_string()))
            .collect();
        anyhow!("{}", lines.join("\n"))
    })?;
    Ok(format!("{}\n", supergraph.schema().schema().to_string().trim_end()))
}

fn line(code: &str, message: &str) -> String {
    format!("{code}: {}", message.trim_end())
}

/// Composes the schema files that `config` names.
///
/// # Errors
/// A schema file is missing, or the schemas do not compose.
pub fn compose_files(config: &SupergraphConfig) -> Result<String> {
    let schemas = config
        .subgraphs
        .iter()
        .map(|subgraph| {
            let file = config.schema_path(subgraph);
            fs::read_to_string(&file)
                .with_context(|| format!("cannot read the schema of `{}`, {}", subgraph.name, file.display()))
        })
        .collect::<Result<Vec<_>>>()?;
    let triples: Vec<_> = config
        .subgraphs
        .iter()
        .zip(&schemas)
        .map(|(subgraph, sdl)| (subgraph.name.as_str(), subgraph.routing_url.as_str(), sdl.as_str()))
        .collect();
    compose(&triples).context("the schemas do not compose")
}

/// Writes the supergraph of `config` to `output`; with `check` it only compares.
///
/// An up-to-date file is left alone, so that a running router does not reload for nothing; a new one replaces the
/// old in one step, so that it never reads half of it.
///
/// # Errors
/// Composition fails, `output` cannot be written, or, with `check`, differs.
pub fn write(config: &SupergraphConfig, output: &Path, check: bool) -> Result<()> {
    let composed = compose_files(config)?;
    if fs::read_to_string(output).is_ok_and(|committed| committed == composed) {
        return Ok(());
    }
    ensure!(
        !check,
        "{} is not what the schemas compose to; write it again with `cargo compose` and commit it",
        output.display()
    );
    replace(output, &composed)
}

/// Replaces `file` in one step; creates its folder.
///
/// # Errors
/// The folder is not writable.
pub fn replace(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let draft = file.with_extension("graphql.new");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&draft, text))
        .and_then(|()| fs::rename(&draft, file))
        .with_context(|| format!("cannot write {}", file.display()))
}
