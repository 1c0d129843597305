//! What is asked of gosync, as multiples of what another program takes in the same run, so that it holds on any machine;
//! and what came out.

use serde_json::Value;

use super::MIB;

/// One line of the table.
pub(super) struct Goal {
    pub(super) what: String,
    pub(super) goal: String,
    pub(super) measured: String,
    pub(super) is_met: bool,
}

/// One goal for each for which there are figures.
pub(super) fn goals(results: &[Value]) -> Vec<Goal> {
    let all = Points { results };
    let mut goals = Vec::new();
    index(&all, &mut goals);
    updates(&all, &mut goals);
    in_place(&all, &mut goals);
    plan(&all, &mut goals);
    hostile(&all, &mut goals);
    growth(&all, &mut goals);
    memory(&all, &mut goals);
    goals
}

/// The figures, found by the key of the case, the action and the program.
struct Points<'a> {
    results: &'a [Value],
}

impl<'a> Points<'a> {
    fn case(&self, key: &str) -> Option<&'a Value> {
        self.results.iter().find(|case| case["key"] == key)
    }

    fn list(&self, key: &str) -> &'a [Value] {
        self.case(key).and_then(|case| case["points"].as_array()).map(Vec::as_slice).unwrap_or_default()
    }

    fn point(&self, key: &str, action: &str, program: &str) -> Option<&'a Value> {
        self.list(key).iter().find(|point| point["action"] == action && point["program"] == program)
    }

    fn seconds(&self, key: &str, action: &str, program: &str) -> Option<f64> {
        self.point(key, action, program)?["seconds"].as_f64()
    }

    fn name(&self, key: &str) -> &'a str {
        self.case(key).and_then(|case| case["case"].as_str()).unwrap_or_default()
    }
}

/// A time as a multiple of another one, which it may be at most.
fn at_most(goals: &mut Vec<Goal>, what: String, limit: f64, of: &str, times: (Option<f64>, Option<f64>)) {
    if let (Some(own), Some(other)) = times {
        let ratio = own / other;
        let goal = format!("at most {limit} × {of}");
        let measured = format!("{ratio:.2} × ({own:.3} s, {other:.3} s)");
        goals.push(Goal { what, goal, measured, is_met: ratio <= limit });
    }
}

fn index(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let times = || (all.seconds("edits", "index", "gosync"), all.seconds("edits", "index", "b3sum"));
    let what = format!("index: {}", all.name("edits"));
    at_most(goals, what.clone(), 2.0, "b3sum", times());
    at_most(goals, format!("{what}, binding"), 2.5, "b3sum", times());
}

fn updates(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let own = |key| all.seconds(key, "update", "gosync, local");
    let update = |key| format!("update, source local: {}", all.name(key));
    at_most(goals, update("edits"), 1.6, "cp", (own("edits"), all.seconds("edits", "update", "cp")));
    // The same where the old version is kept, which `cp` does too.
    let beside = |program: &str| {
        let mut points = all.list("growth").iter().filter(|point| point["length"] == 1024 * MIB);
        points.find(|point| point["action"] == "update" && point["program"] == program)?["seconds"].as_f64()
    };
    let what = "update, source local: 1 GiB, beside the old version".to_owned();
    at_most(goals, what, 1.6, "cp", (beside("gosync, local"), beside("cp")));
    for key in ["edits", "zeros", "prefix", "moved"] {
        at_most(goals, update(key), 1.0, "rsync", (own(key), all.seconds(key, "update", "rsync")));
    }
}

fn in_place(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let own = "gosync, in place";
    for (key, limit) in [("in place", 0.8), ("shifted", 3.0)] {
        let what = format!("update in place: {}", all.name(key));
        let seconds = |program| all.seconds(key, "update", program);
        at_most(goals, what, limit, "cp", (seconds(own), seconds("cp")));
    }
    let Some(point) = all.point("in place", "update", own) else { return };
    let number = |key: &str| point[key].as_u64();
    if let (Some(written), Some(journal), Some(changed)) =
        (number("written_bytes"), number("journal_bytes"), number("changed_bytes"))
    {
        goals.push(Goal {
            what: format!("bytes written in place: {}", all.name("in place")),
            goal: "at most 2 × the changed blocks, beside the journal".to_owned(),
            measured: format!("{:.2} × ({written} of {changed}), journal {journal}", written as f64 / changed as f64),
            is_met: written <= 2 * changed,
        });
    }
}

fn plan(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let what = format!("plan: {}", all.name("plan"));
    let Some(own) = all.seconds("plan", "plan", "gosync") else { return };
    let length = all.point("plan", "plan", "gosync").and_then(|point| point["length"].as_f64()).unwrap_or_default();
    let rate = length / own / 1e9;
    let measured = format!("{rate:.2} GB/s ({own:.3} s)");
    goals.push(Goal { what: what.clone(), goal: "at least 1 GB/s".to_owned(), measured, is_met: rate >= 1.0 });
    for (peer, action, limit, goal) in [
        ("zsync", "update", 10.0, "at least 10 × as fast as zsync's update"),
        ("rsync", "update", 10.0, "at least 10 × as fast as rsync's update"),
        ("gosync, one thread", "plan", 1.8, "two threads at least 1.8 × as fast as one"),
    ] {
        if let Some(other) = all.seconds("plan", action, peer) {
            let measured = format!("{:.1} × ({own:.3} s, {other:.3} s)", other / own);
            goals.push(Goal { what: what.clone(), goal: goal.to_owned(), measured, is_met: other / own >= limit });
        }
    }
}

/// Each beside the random data that were measured before it.
fn hostile(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let mut random = None;
    for point in all.list("hostile") {
        let name = point["files"].as_str().unwrap_or_default();
        let seconds = point["seconds"].as_f64();
        if name.starts_with("random") {
            random = seconds;
        } else {
            at_most(goals, format!("plan: {name}"), 3.0, "random", (seconds, random));
        }
    }
}

fn growth(all: &Points<'_>, goals: &mut Vec<Goal>) {
    let of = |key: &'static str, action: &'static str, program: &'static str| {
        let points = all.list(key).iter();
        points.filter(move |point| point["action"] == action && point["program"] == program).filter_map(|point| {
            let length = point["length"].as_f64()?;
            Some((length, point["seconds"].as_f64()? * 1024.0 * MIB as f64 / length))
        })
    };
    for (action, program) in [("index", "gosync"), ("update", "gosync, local")] {
        let Some((_, first)) = of("growth", action, program).next() else { continue };
        let list: Vec<String> = of("growth", action, program)
            .map(|(length, each)| format!("{:.0} MiB {each:.2}", length / MIB as f64))
            .collect();
        let worst = of("growth", action, program).map(|(_, each)| each / first).fold(0.0, f64::max);
        let what = format!("{action}: seconds per GiB, in memory");
        let measured = format!("{worst:.2} × ({})", list.join(", "));
        let goal = "at most 1.25 × those of the smallest".to_owned();
        goals.push(Goal { what, goal, measured, is_met: worst <= 1.25 });
    }
    // On the disk, what the disk takes is in both. In memory the smallest is what all growth is measured by; the largest, of
    // which `cp` alone can need more memory than the machine has at hand, would flatter or blame the wrong program.
    let first = |program| of("growth", "update", program).next().map(|(_, each)| each);
    let there = |program| all.seconds("disk", "update", program);
    if let (Some(own), Some(cp), Some(own_there), Some(cp_there)) =
        (first("gosync, local"), first("cp"), there("gosync, local"), there("cp"))
    {
        let (memory, disk) = (own / cp, own_there / cp_there);
        let part = all.point("disk", "update", "cp").and_then(|point| point["files"].as_str()).unwrap_or_default();
        let what = format!("update ÷ cp: {}{}{part}", all.name("disk"), if part.is_empty() { "" } else { ", " });
        let measured = format!("{disk:.2} ({own_there:.1} s, {cp_there:.1} s), in memory {memory:.2}");
        let goal = "at most 1.25 × that in memory".to_owned();
        goals.push(Goal { what, goal, measured, is_met: disk <= 1.25 * memory });
    }
}

fn memory(all: &Points<'_>, goals: &mut Vec<Goal>) {
    for (key, limit) in [("edits", 64), ("unrelated", 64), ("disk", 128)] {
        let own = all.list(key).iter().filter(|point| !point["memory_limit"].is_null());
        let Some(most) = own.filter_map(|point| point["peak_bytes"].as_u64()).max() else { continue };
        goals.push(Goal {
            what: format!("memory: {}", all.name(key)),
            goal: format!("at most {limit} MiB"),
            measured: format!("{:.0} MiB", most as f64 / MIB as f64),
            is_met: most <= limit * MIB,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn point(action: &str, program: &str, length: u64, seconds: f64) -> Value {
        json!({ "action": action, "program": program, "length": length, "seconds": seconds, "files": program })
    }

    #[test]
    fn a_goal_is_met_or_missed_by_its_ratio() {
        let points = vec![
            point("index", "gosync", 1, 0.22),
            point("index", "b3sum", 1, 0.1),
            point("update", "gosync, local", 1, 0.9),
            point("update", "rsync", 1, 1.0),
        ];
        let results = [json!({ "case": "edits here", "key": "edits", "points": points })];
        let met: Vec<(String, bool)> = goals(&results).into_iter().map(|goal| (goal.goal, goal.is_met)).collect();
        let expected = [("at most 2 × b3sum", false), ("at most 2.5 × b3sum", true), ("at most 1 × rsync", true)];
        assert_eq!(met, expected.map(|(goal, is_met)| (goal.to_owned(), is_met)));
    }

    #[test]
    fn in_place_is_held_against_cp_and_the_changed_blocks() {
        let mut own = point("update", "gosync, in place", 1, 0.9);
        (own["written_bytes"], own["journal_bytes"], own["changed_bytes"]) = (json!(200), json!(5_000), json!(100));
        let points = [own, point("update", "cp", 1, 1.0)];
        let goals = goals(&[json!({ "case": "overwrites", "key": "in place", "points": points })]);
        assert_eq!(goals.iter().map(|goal| goal.is_met).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn growth_is_of_seconds_per_byte_and_hostile_beside_the_random_before_it() {
        let growth = vec![point("index", "gosync", 100 * MIB, 1.0), point("index", "gosync", 200 * MIB, 2.6)];
        let hostile =
            ["random, small", "bad", "random, large", "worse"].map(|name| point("plan", name, 1, name.len() as f64));
        let results = [json!({ "key": "growth", "points": growth }), json!({ "key": "hostile", "points": hostile })];
        let goals = goals(&results);
        let measured: Vec<&str> =
            goals.iter().map(|goal| goal.measured.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(measured, ["0.23", "0.38", "1.30"]);
        assert!(!goals[2].is_met);
    }
}
