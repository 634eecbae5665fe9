//! `supergraph.yaml`: the one list of subgraphs, in rover's format.
//!
//! The file is embedded too, so that the binary knows its subgraphs outside the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_norway::Mapping;

/// The file's name, looked for in the working directory and the folders above it.
pub const FILE_NAME: &str = "supergraph.yaml";

/// The file as it was when this binary was built.
pub const EMBEDDED: &str = include_str!("../../../supergraph.yaml");

/// The subgraphs that make up the supergraph, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupergraphConfig {
    /// The composition version rover is to use, such as `=2.5.0`.
    pub federation_version: String,
    /// The subgraphs, in the file's order; names are unique.
    pub subgraphs: Vec<SubgraphEntry>,
    /// The folder that schema paths are relative to: the one `supergraph.yaml` is in.
    pub root: PathBuf,
}

/// One subgraph of [`SupergraphConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubgraphEntry {
    /// The name the router and composition know it by.
    pub name: String,
    /// Where the router sends its requests, such as `http://127.0.0.1:4002/graphql`.
    pub routing_url: Url,
    /// Its federation SDL, relative to [`SupergraphConfig::root`].
    pub schema_file: PathBuf,
}

/// The YAML as written; unknown keys are refused, because a misspelt one would be ignored in silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    federation_version: String,
    #[serde(deserialize_with = "in_order")]
    subgraphs: Vec<(String, Entry)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    routing_url: String,
    schema: Schema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    file: PathBuf,
}

/// A YAML mapping keeps its order and refuses duplicate keys, which a Rust map would merge.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Entry)>, D::Error> {
    Mapping::deserialize(deserializer)?
        .into_iter()
        .map(|(name, entry)| {
            let name: String = serde_norway::from_value(name).map_err(D::Error::custom)?;
            let entry = serde_norway::from_value(entry)
                .map_err(|error| D::Error::custom(format!("subgraph `{name}`: {error}")))?;
            Ok((name, entry))
        })
        .collect()
}

impl SupergraphConfig {
    /// Reads `explicit` when given, else the nearest [`FILE_NAME`] in the working directory or above it, else the
    /// embedded copy with the working directory as its root.
    ///
    /// # Errors
    /// The working directory is unreadable, or the file is missing or wrong.
    pub fn find(explicit: Option<&Path>) -> Result<Self> {
        let here = std::env::current_dir().context("cannot read the working directory")?;
        let nearest = || here.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file());
        match explicit.map(Path::to_path_buf).or_else(nearest) {
            Some(file) => Self::load(&file),
            None => Self::parse(EMBEDDED, here),
        }
    }

    /// Reads `file`; its folder becomes the root of the schema paths.
    ///
    /// # Errors
    /// The file is missing, not YAML, or not of rover's form.
    pub fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the list of subgraphs, {}", file.display()))?;
        let root = file.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::parse(&text, root)
            .with_context(|| format!("{} is not a supergraph configuration", file.display()))
    }

    /// Parses YAML whose schema paths are relative to `root`.
    ///
    /// # Errors
    /// The text is not YAML, not of rover's form, names no subgraph, or has a routing URL that is not HTTP.
    pub fn parse(yaml: &str, root: PathBuf) -> Result<Self> {
        let file: File = serde_norway::from_str(yaml)?;
        ensure!(!file.subgraphs.is_empty(), "`subgraphs` is empty");
        let subgraphs = file.subgraphs.into_iter().map(SubgraphEntry::try_from).collect::<Result<_>>()?;
        Ok(Self { federation_version: file.federation_version, subgraphs, root })
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&SubgraphEntry> {
        self.subgraphs.iter().find(|subgraph| subgraph.name == name)
    }

    /// Where `subgraph`'s SDL lies.
    pub fn schema_path(&self, subgraph: &SubgraphEntry) -> PathBuf {
        self.root.join(&subgraph.schema_file)
    }
}

impl SubgraphEntry {
    /// The host of the routing URL, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.routing_url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The TCP port of the routing URL, the scheme's own where it names none.
    pub fn port(&self) -> u16 {
        self.routing_url.port_or_known_default().unwrap_or_default()
    }
}

impl TryFrom<(String, Entry)> for SubgraphEntry {
    type Error = anyhow::Error;

    fn try_from((name, entry): (String, Entry)) -> Result<Self> {
        let Entry { routing_url, schema: Schema { file: schema_file } } = entry;
        let routing_url = Url::parse(&routing_url)
            .with_context(|| format!("subgraph `{name}`: routing_url `{routing_url}` is not a URL"))?;
        if !matches!(routing_url.scheme(), "http" | "https") {
            bail!("subgraph `{name}`: routing_url `{routing_url}` is neither http nor https");
        }
        Ok(Self { name, routing_url, schema_file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(yaml: &str) -> String {
        format!("{:#}", SupergraphConfig::parse(yaml, PathBuf::new()).unwrap_err())
    }

    #[test]
    fn the_embedded_list_is_valid_and_keeps_its_order() {
        let config = SupergraphConfig::parse(EMBEDDED, PathBuf::from("/checkout")).unwrap();
        let names: Vec<_> = config.subgraphs.iter().map(|subgraph| subgraph.name.as_str()).collect();
        assert_eq!(names, ["accounts", "leads", "interactions", "tasks", "scoring", "notifications"]);
        let leads = config.get("leads").unwrap();
        assert_eq!((leads.host(), leads.port()), ("127.0.0.1", 4002));
        assert_eq!(config.schema_path(leads), Path::new("/checkout/services/leads/schema.graphql"));
    }

    #[test]
    fn the_port_defaults_to_the_schemes() {
        let yaml = "{federation_version: '=2.5.0', subgraphs: {a: {routing_url: 'http://[::1]/', schema: {file: a}}}}";
        let config = SupergraphConfig::parse(yaml, PathBuf::new()).unwrap();
        assert_eq!((config.subgraphs[0].host(), config.subgraphs[0].port()), ("::1", 80));
    }

    #[test]
    fn errors_name_the_subgraph_and_what_is_wrong() {
        let with = |entry: &str| error(&format!("{{federation_version: '=2.5.0', subgraphs: {entry}}}"));
        assert!(with("{}").contains("is empty"));
        assert!(
            with("{a: {routing_url: x, schema: {file: a}}}").contains("`a`: routing_url `x` is not a URL")
        );
        assert!(with("{a: {routing_url: 'ftp://x', schema: {file: a}}}").contains("neither http nor https"));
        assert!(with("{a: {routing_ur: x}}").contains("subgraph `a`: unknown field `routing_ur`"));
        let entry = "{routing_url: 'http://x', schema: {file: a}}";
        assert!(with(&format!("{{a: {entry}, a: {entry}}}")).contains("duplicate"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = SupergraphConfig::load(Path::new("/nowhere/supergraph.yaml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/supergraph.yaml"));
    }
}
