//! Plain aligned tables: no frames, two spaces between columns, numbers to the right.

/// Where a column's text stands.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a heading, as wide as their contents.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// # Panics
    /// If the row has another number of cells than the table has columns.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell per column");
        self.rows.push(cells);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The whole table, a line feed after every line, nothing when there is no row.
    pub(crate) fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        self.lines(std::iter::once(&heading).chain(&self.rows))
    }

    /// The rows without their heading: a table that goes on.
    pub(crate) fn render_rows(&self) -> String {
        self.lines(self.rows.iter())
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    fn lines<'a>(&self, rows: impl Iterator<Item = &'a Vec<String>>) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in rows {
            text.push_str(self.line(row, &widths).trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let widest =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        self.columns.iter().enumerate().map(|(i, (name, _))| widest(i).max(name.chars().count())).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, (_, align)), width) in cells.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        line
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["a".into(), "1000".into()]);
        table.row(["longer".into(), "7".into()]);
        assert_eq!(table.render(), "NAME       N\na       1000\nlonger     7\n");
    }

    #[test]
    fn thousands_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
