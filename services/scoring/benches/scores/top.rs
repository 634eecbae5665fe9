//! `topLeads` among few leads and among many, in turns.

use crate::{
    client::Client,
    product::Product,
    seed::{self, Size},
};
use anyhow::{Context, Result};
use sea_orm::{ConnectionTrait, Database};
use testkit::report::{Report, beside, median, title};
use testkit::servers::Postgres;

/// The few.
const FEW: Size = Size { leads: 10_000, interactions: 50_000 };
const QUESTIONS: usize = 1_000;
/// Time among many, as a share of that among few.
const MAX_RATIO: f64 = 1.3;

/// Measures it: `many` asks where there are many.
pub async fn measure(many: &Client, server: &Postgres, report: &mut Report) -> Result<()> {
    let admin = Database::connect(server.url()).await?;
    admin.execute_unprepared("CREATE DATABASE few").await?;
    admin.close().await?;
    let url = server.url();
    let (address, _) = url.rsplit_once('/').context("the server's URL names a database")?;
    let product = Product::start(Some(&format!("{address}/few"))).await?;
    seed::fill(&product, FEW).await?;
    seed::score(&product).await?;
    product.settle().await?;
    let few = Client::of(&product)?;
    let (mut among_few, mut among_many) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS {
        among_few.push(few.top().await?);
        among_many.push(many.top().await?);
    }
    title(&format!("topLeads, medians of {QUESTIONS} questions"));
    beside(&format!("among {} leads", FEW.leads), median(&among_few), "ms");
    beside("among all leads", median(&among_many), "ms");
    report.at_most("ratio", median(&among_many) / median(&among_few), MAX_RATIO, "");
    Ok(())
}
