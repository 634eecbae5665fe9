//! The model's parameters in the configuration, and the version by which a stored score tells which they were.

use super::ScoreModel;
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use subgraph::{Config, ExtraArg};

/// The formulas' version. Other parameters than the usual ones make a version of their own.
const FORMULAS: &str = "1";

/// Where the parameters come from.
pub(crate) const ARG: ExtraArg = ExtraArg {
    flag: "score-model",
    env: "SCORE_MODEL",
    help: "Parameters of the score that differ from meeting=20,call=10,email=5,half-life-days=14,halfway=30",
};

impl ScoreModel {
    /// The model as configured.
    ///
    /// # Errors
    /// When a parameter is unknown or out of its range.
    pub fn configured(config: &Config) -> anyhow::Result<Self> {
        let given = config.extra(ARG.flag).unwrap_or_default();
        Self::parse(given).with_context(|| format!("{} is wrong", ARG.env))
    }

    /// The usual parameters, but those that are given as `name=value`, separated by commas.
    ///
    /// # Errors
    /// As [`ScoreModel::configured`].
    pub fn parse(given: &str) -> anyhow::Result<Self> {
        let mut model = Self::default();
        for pair in given.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').with_context(|| format!("{pair}: expected name=value"))?;
            let (place, range) = match name.trim() {
                "meeting" => (&mut model.meeting, 0.0..=1_000.0),
                "call" => (&mut model.call, 0.0..=1_000.0),
                "email" => (&mut model.email, 0.0..=1_000.0),
                "half-life-days" => (&mut model.half_life_days, 0.1..=3_650.0),
                "halfway" => (&mut model.halfway, 0.1..=100_000.0),
                other => bail!("there is no parameter {other}"),
            };
            *place = value.trim().parse().with_context(|| format!("{name}: {value} is not a number"))?;
            ensure!(range.contains(place), "{name} must be {} to {}", range.start(), range.end());
        }
        Ok(model)
    }

    /// Which formulas and parameters these are: `1`, or `1-` and eight digits that depend on the parameters.
    pub fn version(&self) -> String {
        if *self == Self::default() {
            return FORMULAS.to_owned();
        }
        let Self { meeting, call, email, half_life_days, halfway } = self;
        let text = format!("{meeting:?},{call:?},{email:?},{half_life_days:?},{halfway:?}");
        let digest = Sha256::digest(text);
        let [a, b, c, d, ..] = digest.0;
        format!("{FORMULAS}-{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_as_usual_and_the_version_tells_the_parameters_apart() {
        assert_eq!(ScoreModel::parse("").unwrap(), ScoreModel::default());
        let other = ScoreModel::parse(" call=12.5, half-life-days=7 ").unwrap();
        assert_eq!(other, ScoreModel { call: 12.5, half_life_days: 7.0, ..ScoreModel::default() });
        assert_eq!(ScoreModel::default().version(), "1");
        assert_eq!(ScoreModel::parse("call=10").unwrap().version(), "1");
        assert_ne!(other.version(), ScoreModel::parse("call=12.5").unwrap().version());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (given, said) in [
            ("call", "expected name=value"),
            ("visit=3", "no parameter visit"),
            ("call=many", "not a number"),
            ("call=-1", "must be 0 to 1000"),
            ("call=NaN", "must be"),
            ("half-life-days=0", "must be 0.1"),
            ("halfway=inf", "must be"),
        ] {
            let error = format!("{:#}", ScoreModel::parse(given).unwrap_err());
            assert!(error.contains(said), "{given}: {error}");
        }
    }
}
