//! The demo's table: what each face reported, beside what the server sent and what the result is.

use std::collections::BTreeMap;

use super::{INDEX, NAME, Told};
use crate::server::Count;

/// One face's update.
pub(super) struct Row {
    pub(super) face: &'static str,
    pub(super) seconds: f64,
    pub(super) told: Told,
    /// What the server sent, by file.
    pub(super) sent: BTreeMap<String, Count>,
    pub(super) digest: String,
    pub(super) is_right: bool,
}

impl Row {
    fn sent(&self, name: &str) -> Count {
        self.sent.get(name).copied().unwrap_or_default()
    }

    /// The result is the new release, and what the face counted is what the server did.
    pub(super) fn is_fine(&self) -> bool {
        self.is_right
            && self.told.from_seeds + self.told.fetched == self.told.total
            && self.sent(NAME).bytes >= self.told.fetched
    }
}

/// Prints it.
pub(super) fn print(rows: &[Row], total: u64) {
    let head = ["face", "new version", "from seeds", "fetched", "sent", "index", "requests", "seconds"];
    println!("{}  BLAKE3 of the result", line(&head.map(str::to_owned)));
    for row in rows {
        let (content, index) = (row.sent(NAME), row.sent(INDEX));
        let cells = [
            row.face.to_owned(),
            grouped(row.told.total),
            grouped(row.told.from_seeds),
            grouped(row.told.fetched),
            grouped(content.bytes),
            grouped(index.bytes),
            grouped(row.told.requests),
            format!("{:.2}", row.seconds),
        ];
        let verdict = if row.is_right { "the new release's" } else { "DIFFERS" };
        println!("{}  {}... {verdict}", line(&cells), &row.digest[..16]);
        if !row.is_fine() && row.is_right {
            println!("  {}: what it counted does not fit what the server sent", row.face);
        }
    }
    let share = |bytes: u64| 100.0 * bytes as f64 / total.max(1) as f64;
    if let Some(row) = rows.first() {
        let all = row.sent(NAME).bytes + row.sent(INDEX).bytes;
        println!("\n`sent` and `index` are what the server counted: {:.2} % of the new release in all", share(all));
    }
}

fn line(cells: &[String]) -> String {
    let width = |index: usize| if index == 0 { 8 } else { 12 };
    let cells = cells.iter().enumerate().map(|(index, cell)| match index {
        0 => format!("{cell:<width$}", width = width(0)),
        _ => format!("{cell:>width$}", width = width(index)),
    });
    cells.collect()
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
