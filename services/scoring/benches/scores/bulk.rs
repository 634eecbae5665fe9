//! `recalculateAllScores` beside one hand-written statement.

use crate::{
    client::Client,
    product::{Product, postgres},
    seed::{self, LAST, Size},
    statement, top,
};
use anyhow::{Context, Result, ensure};
use scoring::model::{DecayedSum, ScoreModel};
use sea_orm::FromQueryResult;
use std::time::{Duration, Instant};
use subgraph::Clock;
use testkit::report::{Report, beside, median, quantile, title};

/// Time of the service, as a share of the statement's.
const MAX_RATIO: f64 = 1.3;
/// The same where no lead has a score: rows are added in a way that lets somebody else add one meanwhile, and their leads
/// are held.
const MAX_RATIO_FIRST: f64 = 1.5;
/// Growth of memory, in MB.
const MAX_GROWTH: f64 = 64.0;
/// The 99th percentile of a list query meanwhile, in ms.
const MAX_QUERY: f64 = 10.0;
/// How far the databases may be apart.
const TOLERANCE: f64 = 1e-6;
const RECALCULATE: &str = "mutation { recalculateAllScores { count failed } }";

/// What is stored of a lead.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Stored {
    lead_id: i32,
    decayed_sum: f64,
    as_of: i64,
    fit: i32,
    closed: bool,
}

/// What was measured in the turns of one of the two.
#[derive(Default)]
struct Turns {
    seconds: Vec<f64>,
    growth: Vec<f64>,
    queries: Vec<f64>,
}

impl Turns {
    /// One run of the service.
    async fn service(&mut self, product: &Product, client: &Client, size: Size) -> Result<()> {
        self.take(product, client, recalculated(client, size)).await
    }

    /// One run of the statement, while somebody asks in the same way.
    async fn statement(&mut self, product: &Product, client: &Client, sql: &str) -> Result<()> {
        self.take(product, client, product.execute(sql)).await
    }

    async fn take(
        &mut self,
        product: &Product,
        client: &Client,
        run: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        product.forget_peak()?;
        let ((before, _), begin) = (product.memory()?, Instant::now());
        tokio::select! {
            biased;
            done = run => done?,
            Err(error) = client.keep_asking(&mut self.queries) => return Err(error),
        }
        self.seconds.push(begin.elapsed().as_secs_f64());
        self.growth.push(product.memory()?.1 - before);
        Ok(())
    }

    fn report(&self, theirs: &Self, max_ratio: f64, report: &mut Report) {
        beside("recalculateAllScores", median(&self.seconds), "s");
        println!("    each: {:.2?}", self.seconds);
        beside("one statement", median(&theirs.seconds), "s");
        println!("    each: {:.2?}", theirs.seconds);
        report.at_most("ratio", median(&self.seconds) / median(&theirs.seconds), max_ratio, "");
        report.at_most("growth of memory, at most", quantile(&self.growth, 1.0), MAX_GROWTH, "MB");
        let p99 = quantile(&self.queries, 0.99);
        report.at_most(
            &format!("p99 of {} list queries meanwhile", self.queries.len()),
            p99,
            MAX_QUERY,
            "ms",
        );
        beside("the longest of them", quantile(&self.queries, 1.0), "ms");
        beside("p99 of list queries during the statement", quantile(&theirs.queries, 0.99), "ms");
    }
}

/// Asks until a call is answered: one that takes long is joined.
async fn recalculated(client: &Client, size: Size) -> Result<()> {
    loop {
        match client.ask(RECALCULATE).await {
            Err(error) if error.to_string().contains("call again to join it") => {}
            answer => {
                let said = &answer?["recalculateAllScores"];
                ensure!(said["count"] == size.leads && said["failed"] == 0, "{said}");
                return Ok(());
            }
        }
    }
}

async fn seeded(product: &Product, size: Size) -> Result<()> {
    let begin = Instant::now();
    seed::fill(product, size).await?;
    seed::score(product).await?;
    product.settle().await?;
    let Size { leads, interactions } = size;
    println!(
        "\n{leads} leads and {interactions} interactions, written in {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Measures on Postgres; what is stored in the end.
pub async fn on_postgres(size: Size, rounds: usize, report: &mut Report) -> Result<Vec<Stored>> {
    let server = postgres().await?;
    let product = Product::start(Some(&server.url())).await?;
    seeded(&product, size).await?;
    let client = Client::of(&product)?;
    let before = client.undisturbed(Duration::from_secs(5)).await?;
    title(&format!("PostgreSQL, every score again; medians of {rounds} turns"));
    beside("p99 of list queries before", quantile(&before, 0.99), "ms");
    again(&product, &client, size, rounds, report).await?;
    let stored = stored(&product).await?;
    top::measure(&client, &server, report).await?;
    title(&format!("PostgreSQL, every score for the first time; medians of {rounds} turns"));
    first(&product, &client, size, rounds, report).await?;
    Ok(stored)
}

async fn again(
    product: &Product,
    client: &Client,
    size: Size,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let (mut ours, mut theirs) = (Turns::default(), Turns::default());
    // What was calculated long ago makes history, which is another measure
    recalculated(client, size).await?;
    for _ in 0..rounds {
        product.settle().await?;
        theirs.statement(product, client, &statement::again(Clock::System.now())).await?;
        product.settle().await?;
        ours.service(product, client, size).await?;
    }
    ours.report(&theirs, MAX_RATIO, report);
    Ok(())
}

async fn first(
    product: &Product,
    client: &Client,
    size: Size,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let (mut ours, mut theirs) = (Turns::default(), Turns::default());
    for _ in 0..rounds {
        empty(product).await?;
        theirs.statement(product, client, &statement::first(Clock::System.now())).await?;
        empty(product).await?;
        ours.service(product, client, size).await?;
    }
    ours.report(&theirs, MAX_RATIO_FIRST, report);
    Ok(())
}

async fn empty(product: &Product) -> Result<()> {
    product.execute("TRUNCATE lead_score, score_change").await?;
    product.settle().await
}

/// Measures on SQLite, and compares with what is stored on Postgres.
pub async fn on_sqlite(size: Size, other: Option<&[Stored]>, report: &mut Report) -> Result<()> {
    let product = Product::start(None).await?;
    seeded(&product, size).await?;
    let client = Client::of(&product)?;
    title("SQLite, every score again; one turn");
    recalculated(&client, size).await?;
    product.settle().await?;
    let (mut ours, mut theirs) = (Turns::default(), Turns::default());
    theirs.statement(&product, &client, &statement::again(Clock::System.now())).await?;
    product.settle().await?;
    ours.service(&product, &client, size).await?;
    beside("recalculateAllScores", ours.seconds[0], "s");
    beside("one statement", theirs.seconds[0], "s");
    beside("ratio", ours.seconds[0] / theirs.seconds[0], "");
    report.at_most("growth of memory", ours.growth[0], MAX_GROWTH, "MB");
    beside(
        &format!("p99 of {} list queries meanwhile", ours.queries.len()),
        quantile(&ours.queries, 0.99),
        "ms",
    );
    if let Some(other) = other {
        let apart = apart(&stored(&product).await?, other)?;
        report.at_most("scores of the two databases apart, at most, in 1e-6", apart / TOLERANCE, 1.0, "");
    }
    Ok(())
}

/// All that is stored, by lead.
async fn stored(product: &Product) -> Result<Vec<Stored>> {
    product.rows("SELECT lead_id, decayed_sum, as_of, fit, closed FROM lead_score ORDER BY lead_id").await
}

/// How far the scores of the same leads are apart, not rounded, at one time.
fn apart(ours: &[Stored], theirs: &[Stored]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} and {} rows", ours.len(), theirs.len());
    let model = ScoreModel::default();
    let score = |row: &Stored| {
        let sum = DecayedSum { value: row.decayed_sum, at: row.as_of, drift: 0.0 };
        model.activity(sum.at(&model, LAST))
    };
    let differs = |(one, other): &(&Stored, &Stored)| {
        (one.lead_id, one.fit, one.closed) != (other.lead_id, other.fit, other.closed)
    };
    let pairs = || ours.iter().zip(theirs);
    ensure!(!pairs().any(|pair| differs(&pair)), "leads, fits or what is closed differ");
    pairs()
        .map(|(one, other)| (score(one) - score(other)).abs())
        .reduce(f64::max)
        .context("there are no rows")
}
