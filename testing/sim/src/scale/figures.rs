//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// What was measured of one cluster.
#[derive(Clone, Debug)]
pub struct Figures {
    nodes: usize,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// Its name in JSON.
    key: String,
    label: String,
    text: String,
    value: Value,
}

impl Figures {
    pub(super) const fn new(nodes: usize) -> Self {
        Self { nodes, rows: Vec::new() }
    }

    /// Adds a number: under a name for programs and one for people.
    pub fn one(&mut self, key: &str, label: &str, number: f64) {
        self.row(key, label, written(number), json!(number));
    }

    /// Two that belong together.
    pub(super) fn pair(&mut self, key: &str, label: &str, (first, second): (f64, f64)) {
        let text = format!("{}, {}", written(first), written(second));
        self.row(key, label, text, json!([first, second]));
    }

    /// The least, the mean and the most.
    pub(super) fn spread(&mut self, key: &str, label: &str, numbers: &[usize]) {
        let least = numbers.iter().min().copied().unwrap_or_default();
        let most = numbers.iter().max().copied().unwrap_or_default();
        let mean = numbers.iter().sum::<usize>() as f64 / numbers.len().max(1) as f64;
        let text = format!("{least} / {mean:.0} / {most}");
        let value = json!({ "least": least, "mean": mean, "most": most });
        self.row(key, &format!("{label}: least / mean / most"), text, value);
    }

    fn row(&mut self, key: &str, label: &str, text: String, value: Value) {
        self.rows.push(Row { key: key.to_owned(), label: label.to_owned(), text, value });
    }

    /// All of it, by name.
    pub fn as_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| (row.key.clone(), row.value.clone()));
        let nodes = ("nodes".to_owned(), json!(self.nodes));
        Value::Object(std::iter::once(nodes).chain(rows).collect::<Map<_, _>>())
    }
}

/// A table with a column for each cluster.
pub fn table(all: &[Figures]) -> String {
    let mut text = String::from("| nodes |");
    let mut line = String::from("|---|");
    for figures in all {
        let _ = write!(text, " {} |", figures.nodes);
        line.push_str("---|");
    }
    let _ = write!(text, "\n{line}");
    // Of two nodes less can be measured than of more.
    let longest = all.iter().max_by_key(|figures| figures.rows.len());
    for Row { label, .. } in longest.into_iter().flat_map(|figures| &figures.rows) {
        let _ = write!(text, "\n| {label} |");
        for figures in all {
            let row = figures.rows.iter().find(|row| row.label == *label);
            let _ = write!(text, " {} |", row.map_or("-", |row| row.text.as_str()));
        }
    }
    text
}

/// As many digits as say something.
fn written(number: f64) -> String {
    if number.fract() == 0.0 || number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}
