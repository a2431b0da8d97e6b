//! The report as a Markdown table.

use crate::report::Line;

const HEAD: [&str; 8] =
    ["work", "clients × events", "median", "min – max", "p50 µs", "p99 µs", "durability", "figures"];

/// The lines as a table.
#[must_use]
pub fn markdown(lines: &[Line]) -> String {
    let mut text = row(&HEAD.map(String::from));
    text.push_str(&row(&HEAD.map(|_| "---".to_owned())));
    for line in lines {
        text.push_str(&row(&line.row()));
    }
    text
}

fn row(cells: &[String; 8]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
