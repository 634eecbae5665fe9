//! Leads and interactions, the same ones in both databases.

use crate::product::Product;
use anyhow::Result;
use sea_orm::DbBackend;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub leads: i32,
    pub interactions: i32,
}

/// When the last interaction was, in microseconds since 1970; interactions are of the 180 days before.
pub const LAST: i64 = 1_768_478_400_000_000;
/// Seconds of 180 days.
const SPAN: i64 = 15_552_000;

/// Numbers from 1 on.
fn numbers(backend: DbBackend, count: i32) -> String {
    match backend {
        DbBackend::Postgres => format!("SELECT n::bigint AS n FROM generate_series(1, {count}) AS n"),
        _ => format!(
            "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count}) SELECT n FROM g"
        ),
    }
}

/// Fills the views, as if the service had been told of all of it, in the order in which it happened.
pub async fn fill(product: &Product, size: Size) -> Result<()> {
    let backend = product.sql.get_database_backend();
    let leads = format!(
        "INSERT INTO lead_view (id, version, first_name, last_name, status, budget_cents, has_phone, location, owner_id, \
         created_at, updated_at) \
         SELECT n, 1, 'Jo', 'Doe', CASE n % 7 WHEN 0 THEN 'WON' WHEN 1 THEN 'LOST' WHEN 2 THEN 'QUALIFIED' \
         WHEN 3 THEN 'CONTACTED' ELSE 'NEW' END, CASE n % 3 WHEN 0 THEN NULL ELSE n % 101 * 100000 END, n % 2 = 0, \
         CASE n % 5 WHEN 0 THEN NULL ELSE 'Austin, TX' END, CASE n % 11 WHEN 0 THEN NULL ELSE n % 50 END, \
         '2025-07-15 12:00:00+00:00', '2025-07-15 12:00:00+00:00' FROM ({}) AS numbers",
        numbers(backend, size.leads)
    );
    product.execute(&leads).await?;
    let Size { leads, interactions } = size;
    let happened = format!(
        "INSERT INTO interaction_view (id, version, lead_id, kind, at, notes) \
         SELECT n, 1, 1 + n * 7919 % {leads}, CASE n % 6 WHEN 0 THEN 'MEETING' WHEN 1 THEN 'CALL' WHEN 2 THEN 'CALL' \
         ELSE 'EMAIL' END, {LAST} - ({interactions} - n) * {SPAN} / {interactions} * 1000000 - n % 1000, \
         'Called to ask how the trial goes and whether there are questions' FROM ({}) AS numbers",
        numbers(backend, interactions)
    );
    product.execute(&happened).await
}

/// Scores as live scoring leaves them: as of the last interaction of each lead, and about in the order of the leads, with
/// whom something happens for the first time soon after they were created.
pub async fn score(product: &Product) -> Result<()> {
    let sql = format!(
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, drift, rank, touched, \
         fit, closed, version, previous_score, model_version) \
         SELECT l.id, {activity}, '2026-01-15 12:00:00+00:00', n.total, n.last, 1e-14, {rank}, n.touched, {fit}, \
         l.status IN ('WON', 'LOST'), n.touched, NULL, '1' FROM (SELECT i.lead_id, last.last, \
         sum({points}) AS total, count(*) AS touched FROM interaction_view AS i JOIN \
         (SELECT lead_id, max(at) AS last FROM interaction_view GROUP BY lead_id) AS last ON last.lead_id = i.lead_id \
         GROUP BY i.lead_id, last.last) AS n JOIN lead_view AS l ON l.id = n.lead_id ORDER BY l.id",
        activity = crate::statement::activity("n.total"),
        rank = crate::statement::rank("n.total", "n.last"),
        fit = crate::statement::FIT,
        points = crate::statement::points("last.last"),
    );
    product.execute(&sql).await
}
