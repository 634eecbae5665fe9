//! Reading a scenario: what the file says, step by step.

use chrono::TimeDelta;
use sea_orm::DbBackend;
use subgraph::Role;

/// One operation, one statement or one event.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// The line that begins it.
    pub header: String,
    pub kind: Kind,
    /// How far the clock moves first.
    pub advance: TimeDelta,
    pub text: String,
}

/// What a step does.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// A GraphQL operation, by somebody with this role or by nobody.
    Operation(Option<Role>),
    /// SQL on the service's own database.
    Sql,
    /// Something that happened in some service, told by the bus.
    Event,
}

impl Step {
    /// The steps of a file.
    pub(crate) fn all(file: &str) -> Result<Vec<Self>, String> {
        let mut steps: Vec<Self> = Vec::new();
        for (number, line) in (1..).zip(file.lines()) {
            if let Some(header) = line.strip_prefix("#>") {
                steps.push(Self::begin(header.trim()).map_err(|error| format!("line {number}: {error}"))?);
            } else if let Some(step) = steps.last_mut() {
                step.text.extend([line, "\n"]);
            } else if !line.is_empty() && !line.starts_with('#') {
                return Err(format!(
                    "line {number}: a step begins with `#> as ROLE`, `#> sql` or `#> event`"
                ));
            }
        }
        if !file.starts_with("# ") {
            return Err("line 1: say in a comment what the file shows".into());
        }
        match steps.iter().find(|step| step.text.trim().is_empty()) {
            Some(empty) => Err(format!("`#> {}` has nothing to do", empty.header)),
            None if steps.is_empty() => Err("there is no step; one begins with `#> as ROLE`".into()),
            None => Ok(steps),
        }
    }

    fn begin(header: &str) -> Result<Self, String> {
        let (who, advance) = header.split_once(';').unwrap_or((header, "advance 0s"));
        let kind = match who.trim().strip_prefix("as ").unwrap_or(who.trim()) {
            "ADMIN" => Kind::Operation(Some(Role::Admin)),
            "MANAGER" => Kind::Operation(Some(Role::Manager)),
            "SALES_REP" => Kind::Operation(Some(Role::SalesRep)),
            "nobody" => Kind::Operation(None),
            "sql" => Kind::Sql,
            "event" => Kind::Event,
            other => return Err(format!("`{other}` is not ADMIN, MANAGER, SALES_REP, nobody, sql or event")),
        };
        let advance = advance.trim().strip_prefix("advance ").and_then(duration);
        let advance =
            advance.ok_or("after the semicolon stands something like `advance 90s`, 5m, 2h or 1d")?;
        Ok(Self { header: header.to_owned(), kind, advance, text: String::new() })
    }

    /// The step's text for one database, with its `{{..}}` filled in.
    pub(crate) fn rendered(&self, backend: DbBackend) -> Result<String, String> {
        let mut parts = self.text.split("{{");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (word, rest) = part.split_once("}}").ok_or("`{{` without `}}`")?;
            let (what, value) =
                word.rsplit_once(' ').ok_or_else(|| format!("`{{{{{word}}}}}` has no space"))?;
            text += &fill(what, value, backend).ok_or_else(|| format!("`{value}` is not how often"))?;
            text += rest;
        }
        Ok(text)
    }

    /// What stands in the snapshot above the answer: who, and the operation on one line.
    pub(crate) fn title(&self) -> String {
        const LENGTH: usize = 160;
        let lines =
            self.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.collect::<Vec<_>>().join(" ");
        let cut: String = line.chars().take(LENGTH).collect();
        let dots = if cut.len() < line.len() { "…" } else { "" };
        format!("#> {}\n{cut}{dots}", self.header)
    }
}

/// `{{uuid 0190…}}` is the literal of a UUID, which the databases write differently; `{{x 256}}` is long text.
fn fill(what: &str, value: &str, backend: DbBackend) -> Option<String> {
    match (what, backend) {
        ("uuid", DbBackend::Sqlite) => Some(format!("x'{}'", value.replace('-', ""))),
        ("uuid", _) => Some(format!("'{value}'")),
        _ => Some(what.repeat(value.parse().ok()?)),
    }
}

/// `90s`, `5m`, `2h` or `1d`.
fn duration(text: &str) -> Option<TimeDelta> {
    let (count, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let count = count.parse().ok()?;
    match unit {
        "s" => TimeDelta::try_seconds(count),
        "m" => TimeDelta::try_minutes(count),
        "h" => TimeDelta::try_hours(count),
        "d" => TimeDelta::try_days(count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_steps() {
        let steps =
            Step::all("# Shows it\n\n#> as ADMIN; advance 2h\n{ a\n  b }\n#> sql\nDELETE FROM x\n").unwrap();
        assert_eq!(steps[0].kind, Kind::Operation(Some(Role::Admin)));
        assert_eq!(steps[0].advance, TimeDelta::hours(2));
        assert_eq!(steps[0].title(), "#> as ADMIN; advance 2h\n{ a b }");
        assert_eq!((&steps[1].kind, steps[1].text.as_str()), (&Kind::Sql, "DELETE FROM x\n"));
        let event = Step::all("# Shows it\n#> event; advance 1d\n{}\n").unwrap();
        assert_eq!((&event[0].kind, event[0].advance), (&Kind::Event, TimeDelta::days(1)));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let said = |file| Step::all(file).unwrap_err();
        assert!(said("#> as ADMIN\n{ a }").contains("say in a comment"));
        assert!(said("# x\n").contains("no step"));
        assert!(said("# x\n{ a }").contains("line 2: a step begins"));
        assert!(said("# x\n#> as KING\n{ a }").contains("`KING` is not ADMIN"));
        assert!(said("# x\n#> as ADMIN; later\n{ a }").contains("after the semicolon"));
        assert!(said("# x\n#> as ADMIN\n\n#> sql\nx").contains("`#> as ADMIN` has nothing to do"));
    }

    #[test]
    fn placeholders_are_filled_in() {
        let step = |text: &str| Step { text: text.into(), ..Step::begin("sql").unwrap() };
        let rendered = |text, backend| step(text).rendered(backend);
        assert_eq!(rendered("({{ab 3}}, {{é 2}})", DbBackend::Sqlite).unwrap(), "(ababab, éé)");
        assert_eq!(rendered("{{uuid 01-ab}}", DbBackend::Sqlite).unwrap(), "x'01ab'");
        assert_eq!(rendered("{{uuid 01-ab}}", DbBackend::Postgres).unwrap(), "'01-ab'");
        assert_eq!(rendered("{ a { b } }", DbBackend::Sqlite).unwrap(), "{ a { b } }");
        assert!(rendered("{{x", DbBackend::Sqlite).is_err());
    }
}
