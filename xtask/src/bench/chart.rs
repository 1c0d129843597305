//! The chart: how long each program takes for an update, a group of bars for each pair of versions. The scale is
//! logarithmic; colours fit light and dark pages.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 860.0;
/// Where the bars start, and where the longest ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 780.0;
const LINE: f64 = 17.0;
const GAP: f64 = 34.0;
/// Above the first group.
const TOP: f64 = 46.0;

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #24292f } .case { font-weight: 600 } .scale { fill: #6e7781 }
.grid { stroke: #8c959f; stroke-opacity: 0.35 } .own { fill: #2f7ee6 } .peer { fill: #8c959f } .floor { fill: #57ab5a }
@media (prefers-color-scheme: dark) { text { fill: #d1d7e0 } .scale { fill: #9198a1 } }";

/// The picture of all updates; hostile pairs and growth have no peers and are not in it.
pub(super) fn svg(results: &[Value]) -> String {
    let groups: Vec<(&str, Vec<(&str, f64)>)> = results.iter().filter_map(group).collect();
    let all = || groups.iter().flat_map(|(_, bars)| bars.iter().map(|(_, seconds)| *seconds));
    let (least, most) = (all().fold(1.0, f64::min), all().fold(1.0, f64::max));
    let (first, last) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    let at = |seconds: f64| LEFT + (RIGHT - LEFT) * (seconds.log10() - first) / (last - first);
    let height = TOP + groups.iter().map(|(_, bars)| bars.len() as f64 * LINE + GAP).sum::<f64>();

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Seconds of an update, by program\">\n<style>{STYLE}</style>\n\
         <text class=\"case\" x=\"8\" y=\"18\">Seconds of an update: less is better, logarithmic scale</text>\n"
    );
    for power in first as i32..=last as i32 {
        let (x, value) = (at(10f64.powi(power)), 10f64.powi(power));
        let _ = writeln!(out, "<text class=\"scale\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"36\">{value} s</text>");
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"40\" y2=\"{height}\"/>");
    }
    let mut y = TOP;
    for (case, bars) in &groups {
        y += LINE;
        let _ = writeln!(out, "<text class=\"case\" x=\"8\" y=\"{y:.1}\">{}</text>", escaped(case));
        for (program, seconds) in bars {
            y += LINE;
            let (end, class) = (at(*seconds), class(program));
            let label = y - 1.0;
            let _ = writeln!(
                out,
                "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{label:.1}\">{}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{label:.1}\">{}</text>",
                LEFT - 8.0,
                escaped(program),
                y - 11.0,
                (end - LEFT).max(1.0),
                end.max(LEFT + 1.0) + 6.0,
                shown(*seconds),
            );
        }
        y += GAP - LINE;
    }
    out.push_str("</svg>\n");
    out
}

/// A case's updates, the fastest first.
fn group<'a>(case: &'a Value) -> Option<(&'a str, Vec<(&'a str, f64)>)> {
    let updates = case["points"].as_array()?.iter().filter(|point| point["action"] == "update" && point["files"] == "");
    let bar = |point: &'a Value| Some((point["program"].as_str()?, point["seconds"].as_f64()?));
    let mut bars: Vec<(&str, f64)> = updates.filter_map(bar).collect();
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    (!bars.is_empty()).then_some((case["case"].as_str()?, bars))
}

fn class(program: &str) -> &'static str {
    match program {
        "cp" | "b3sum" => "floor",
        name if name.starts_with("gosync") => "own",
        _ => "peer",
    }
}

/// Three figures of it.
fn shown(seconds: f64) -> String {
    match seconds {
        small if small < 1.0 => format!("{small:.3}"),
        middle if middle < 10.0 => format!("{middle:.2}"),
        large => format!("{large:.1}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bar_for_each_update_as_long_as_its_time_says() {
        let point = |program: &str, seconds: f64| json!({ "action": "update", "files": "", "program": program, "seconds": seconds });
        let case = json!({ "case": "a & b", "points": [point("zsync", 10.0), point("gosync", 0.1), point("cp", 1.0)] });
        let picture = svg(&[case]);
        let bars: Vec<&str> = picture.lines().filter(|line| line.contains("<rect")).collect();
        assert_eq!(bars.len(), 3);
        for (bar, part) in bars.iter().zip(["class=\"own\"", "width=\"315.0\"", "width=\"630.0\""]) {
            assert!(bar.contains(part), "{bar}");
        }
        assert!(picture.contains("a &amp; b"));
    }
}
