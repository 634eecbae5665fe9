//! A trace as an indented tree.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;

use super::Span;

/// Characters of what is said about a span.
const MAX_WORDS: usize = 70;
/// The column of what is said about a span.
const COLUMN: usize = 56;

/// The spans of a trace as lines: service, name, duration, and what there is to say; each below what it is a part of,
/// in the order in which they began.
#[must_use]
pub fn tree(spans: &[Span]) -> String {
    let mut text = String::new();
    walk(spans, |span, depth, _| {
        let what = format!("{:depth$}{} {}", "", span.service, span.name, depth = depth * 2);
        let millis = span.duration().as_secs_f64() * 1_000.0;
        let line = format!("{what:COLUMN$} {millis:>7.1} ms  {}", words(span));
        writeln!(text, "{}", line.trim_end()).expect("a string takes text");
    });
    text
}

/// Which spans there are below which, whatever their number and order: each as the names on the way to it.
#[must_use]
pub fn outline(spans: &[Span]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(spans, |_, _, path| {
        paths.insert(path.join(" > "));
    });
    paths
}

/// The spans whose parents were not sent.
#[must_use]
pub fn orphans(spans: &[Span]) -> Vec<&Span> {
    let known: HashSet<_> = spans.iter().map(|span| &span.id).collect();
    spans.iter().filter(|span| span.parent.as_ref().is_some_and(|parent| !known.contains(parent))).collect()
}

fn walk(spans: &[Span], mut visit: impl FnMut(&Span, usize, &[String])) {
    let mut roots: Vec<_> = spans.iter().filter(|span| span.parent.is_none()).collect();
    roots.sort_by_key(|span| span.start);
    for root in roots {
        below(spans, root, &mut Vec::new(), &mut visit);
    }
}

fn below(
    spans: &[Span],
    span: &Span,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&Span, usize, &[String]),
) {
    path.push(format!("{} {}", span.service, span.name));
    visit(span, path.len() - 1, path);
    let mut children: Vec<_> = spans.iter().filter(|it| it.parent.as_ref() == Some(&span.id)).collect();
    children.sort_by_key(|span| span.start);
    for child in children {
        below(spans, child, path, visit);
    }
    path.pop();
}

/// What is most worth knowing of a span.
fn words(span: &Span) -> String {
    const SHOWN: [&str; 8] = [
        "leadgraph.field",
        "leadgraph.event.type",
        "leadgraph.peer",
        "leadgraph.outcome",
        "leadgraph.subscribers",
        "leadgraph.bytes",
        "apollo.subgraph.name",
        "db.query.text",
    ];
    let shown = SHOWN.into_iter().filter_map(|name| {
        let value = span.attributes.get(name)?;
        let short = name.rsplit('.').next().unwrap_or(name);
        Some(match short {
            "subscribers" | "bytes" => format!("{value} {short}"),
            _ => value.clone(),
        })
    });
    let words = shown.collect::<Vec<_>>().join(", ").replace('"', "");
    if words.chars().count() <= MAX_WORDS {
        return words;
    }
    format!("{}…", words.chars().take(MAX_WORDS - 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, start: u64) -> Span {
        Span {
            service: "leads".into(),
            name: id.into(),
            trace: "1".into(),
            id: id.into(),
            parent: parent.map(str::to_owned),
            start,
            end: start + 1_500_000,
            failed: false,
            attributes: [("leadgraph.bytes".into(), "7".into())].into(),
            resource: [].into(),
        }
    }

    #[test]
    fn spans_stand_below_their_parents_in_the_order_of_time() {
        let spans =
            [span("c", Some("a"), 3), span("a", None, 1), span("b", Some("a"), 2), span("x", Some("y"), 1)];
        let text = tree(&spans);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("leads a ") && lines[0].ends_with("1.5 ms  7 bytes"), "{text}");
        assert!(lines[1].starts_with("  leads b ") && lines[2].starts_with("  leads c "), "{text}");
        assert_eq!(
            outline(&spans).into_iter().collect::<Vec<_>>(),
            ["leads a", "leads a > leads b", "leads a > leads c"]
        );
        assert_eq!(orphans(&spans)[0].id, "x");
    }
}
