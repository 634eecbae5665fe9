//! Pools of SQLite connections.

use sea_orm::sqlx::{Connection, Sqlite, pool::PoolOptions};

/// Gives no connection out again whose transaction could not be ended. After errors such as a full disk SQLite
/// has rolled back by itself; sqlx's own `ROLLBACK` then fails, and it takes the next transaction for one inside
/// another: what that writes would never be committed, and nobody else could write.
#[must_use]
pub fn only_sound(options: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    options.after_release(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // Its end may be on the way
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}
