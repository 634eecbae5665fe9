//! Text for terminals: tables, and words of others that must not move the cursor.

use std::io::{self, ErrorKind, Write as _};

/// Between two columns.
const GAP: &str = "  ";

/// `rows` under `head`, each column as wide as its widest cell.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [&str; N]| {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join(GAP).trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head)).chain(rows).collect()
}

/// `text` on one line and without control characters, whoever wrote it.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints lines. Says whether somebody still reads: one who has seen enough, such as `head`, is no failure.
///
/// # Errors
/// When they cannot be printed.
pub fn print(lines: &[String]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["é".to_owned(), "1".to_owned()], ["four".to_owned(), String::new()]];
        assert_eq!(table(["a", "b"], &rows), ["a     b", "é     1", "four"]);
    }

    #[test]
    fn nobody_moves_the_cursor() {
        assert_eq!(plain("a\u{1b}[2J\r\nb"), "a [2J  b");
    }
}
