//! Pages by cursor and by offset show every row once, in order, on both databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_graphql::connection::CursorType;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, EntityTrait, sea_query::Expr};
use subgraph::{Key, Offset, PageRequest, Random, Sort};
use testkit::TestDatabase;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub rank: Option<i64>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn sort(descending: bool) -> Sort<row::Entity> {
    Sort {
        name: format!("rows:{descending}"),
        key: Expr::col((row::Entity, row::Column::Rank)),
        id: row::Column::Id,
        place: |row| (row.rank.map_or(Key::Null, Key::Int), row.id),
        example: Key::Int(0),
        nullable: true,
        descending,
    }
}

/// Few different keys, so that many rows tie, and some without any.
async fn fill(db: &DatabaseConnection, seed: u64) -> Vec<row::Model> {
    db.execute_unprepared("CREATE TABLE row (id integer PRIMARY KEY, rank bigint)").await.unwrap();
    let random = Random::seeded(seed);
    let mut rows = Vec::new();
    for id in 1..=60 {
        let [byte] = random.bytes::<1>();
        let rank = (byte % 5 != 0).then_some(i64::from(byte % 7));
        let value = rank.map_or("NULL".to_owned(), |rank| rank.to_string());
        db.execute_unprepared(&format!("INSERT INTO row VALUES ({id}, {value})")).await.unwrap();
        rows.push(row::Model { id, rank });
    }
    rows
}

fn expected(mut rows: Vec<row::Model>, descending: bool) -> Vec<i32> {
    rows.sort_by_key(|row| {
        let sign = if descending { -1 } else { 1 };
        (row.rank.is_none(), row.rank.unwrap_or_default() * sign, i64::from(row.id) * sign)
    });
    rows.into_iter().map(|row| row.id).collect()
}

async fn walk(db: &DatabaseConnection, sort: &Sort<row::Entity>, size: i32, backward: bool) -> Vec<i32> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let (asked, unasked) = ((Some(size), cursor.take()), (None, None));
        let (ahead, back) = if backward { (unasked, asked) } else { (asked, unasked) };
        let started = back.1.is_some() || ahead.1.is_some();
        let request = PageRequest::try_new(sort.name.clone(), ahead, back).unwrap();
        let page = sort.page(db, row::Entity::find(), &request).await.unwrap();
        let seen = page.rows.iter().map(|(_, row)| row.id);
        let (more, edge, other) = if backward {
            ids.splice(0..0, seen);
            (page.has_previous, page.rows.first(), page.has_next)
        } else {
            ids.extend(seen);
            (page.has_next, page.rows.last(), page.has_previous)
        };
        assert_eq!(other, started, "a page knows that it was not the first");
        if !more {
            return ids;
        }
        cursor = edge.map(|(cursor, _)| cursor.encode_cursor());
    }
}

async fn check(database: &TestDatabase, seed: u64) {
    let db = Database::connect(database.url()).await.unwrap();
    let rows = fill(&db, seed).await;
    for descending in [false, true] {
        let (sort, expected) = (sort(descending), expected(rows.clone(), descending));
        for size in [1, 7, 59, 60, 61] {
            assert_eq!(walk(&db, &sort, size, false).await, expected, "forward by {size}");
            assert_eq!(walk(&db, &sort, size, true).await, expected, "backward by {size}");
        }
        for (limit, offset) in [(5, 0), (10, 40), (60, 0), (500, 1), (3, 59), (3, 60), (3, 100)] {
            let page = Offset::try_new(Some(limit), Some(offset)).unwrap();
            let ids: Vec<i32> = sort
                .offset(&db, row::Entity::find(), page)
                .await
                .unwrap()
                .into_iter()
                .map(|r| r.id)
                .collect();
            let there: Vec<i32> = expected
                .iter()
                .copied()
                .skip(usize::try_from(offset).unwrap())
                .take(usize::try_from(limit).unwrap())
                .collect();
            assert_eq!(ids, there, "limit {limit} offset {offset} descending {descending}");
        }
    }
    db.close().await.unwrap();
}

#[tokio::test]
async fn every_row_is_shown_once_and_in_order() {
    for (database, seed) in TestDatabase::both().zip(1..) {
        check(&database, seed).await;
    }
}
