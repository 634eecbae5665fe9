//! The few forms of SQL that differ between the databases, one function each.

use sea_orm::{
    ColumnTrait, DbBackend,
    sea_query::{Expr, ExprTrait, IntoColumnRef, SimpleExpr},
};

/// `column` is one of `ids`, with one statement text for any number of them, so that a plan is
/// made only once.
pub fn any<C: ColumnTrait>(backend: DbBackend, column: C, ids: &[i32]) -> SimpleExpr {
    let column = Expr::col(column.as_column_ref().into_column_ref());
    match backend {
        DbBackend::Postgres => Expr::cust_with_exprs("$1 = ANY($2)", [column, Expr::val(ids.to_vec())]),
        _ => Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [column, Expr::val(json(ids))]),
    }
}

/// Ids as a JSON array, which SQLite can take as one parameter.
pub fn json(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(","))
}

/// `(a, b) < (x, y)` or `>`: a comparison that an index on `(a, b)` serves at any depth, which the
/// usual chain of ORs does not.
pub fn beyond(columns: [SimpleExpr; 2], values: [SimpleExpr; 2], descending: bool) -> SimpleExpr {
    let ([key, _], [first, _]) = (columns.clone(), values.clone());
    let (columns, values) = (Expr::tuple(columns), Expr::tuple(values));
    // The bound on the key alone says nothing new, but lets SQLite use an index on an expression
    if descending { columns.lt(values).and(key.lte(first)) } else { columns.gt(values).and(key.gte(first)) }
}
