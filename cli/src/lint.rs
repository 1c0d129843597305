//! `gosync lint`: what a publisher hears of a payload.

use gosync_io::{Finding, Level, Lint, LintOptions, Measured, Observer, Result};
use serde_json::{Value, json};

use crate::args::{Common, LintArgs};
use crate::outcome::Outcome;
use crate::text;

pub(crate) fn lint(common: &Common, args: &LintArgs, observer: &Observer) -> Result<Outcome> {
    let options = LintOptions {
        old: args.old.clone(),
        block_size: args.block_size,
        exclude: args.exclude.clone(),
        threads: common.threads,
        observer: observer.clone(),
    };
    let lint = gosync_io::lint_file(&args.file, &options)?;
    let mut outcome = Outcome::new("lint")
        .row("payload", args.file.to_string_lossy())
        .row("kind", lint.kind)
        .row("length", text::bytes(lint.length))
        .row("members", lint.members.to_string())
        .row("block size", text::bytes(lint.block_size.into()));
    for finding in &lint.findings {
        outcome = outcome.row(finding.rule, said(finding, &lint)).row("", finding.advice);
    }
    if lint.findings.is_empty() {
        outcome = outcome.row("findings", "none");
    }
    if let Some(measured) = &lint.measured {
        outcome = rows(outcome, measured);
    }
    Ok(outcome
        .field("path", args.file.to_string_lossy())
        .field("kind", lint.kind)
        .field("length", lint.length)
        .field("members", lint.members)
        .field("block_size", lint.block_size)
        .field("findings", lint.findings.iter().map(finding).collect::<Value>())
        .field("measured", lint.measured.as_ref().map(measured)))
}

/// What a finding says, and of how much.
fn said(finding: &Finding, lint: &Lint) -> String {
    let level = if finding.level == Level::Warning { "" } else { "perhaps: " };
    let about = match (finding.members, &finding.path) {
        (0, _) => String::new(),
        (members, Some(path)) if members > 1 => {
            format!(" ({members} members, {}, the largest {path})", text::share(finding.bytes, lint.length))
        }
        (_, path) => {
            let path = path.as_deref().unwrap_or_default();
            format!(" ({path}, {})", text::share(finding.bytes, lint.length))
        }
    };
    format!("{level}{}{about}", finding.text)
}

fn rows(outcome: Outcome, measured: &Measured) -> Outcome {
    /// Members that a person may still want to read; programs get all of them.
    const SHOWN: usize = 20;
    let mut outcome = outcome
        .row("from old", text::share(measured.from_old, measured.total))
        .row("missing", text::share(measured.missing, measured.total))
        .row("ranges", measured.ranges.to_string())
        .row("index size", text::bytes(measured.index_size));
    for member in measured.members.iter().take(SHOWN) {
        let missing = text::short_bytes(member.missing);
        let said = format!("{missing} of {} missing: {}", text::short_bytes(member.size), member.path);
        outcome = outcome.row("member", said);
    }
    match measured.members.len().saturating_sub(SHOWN) {
        0 => outcome,
        more => outcome.row("and", format!("{more} more members (--json lists all)")),
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "level": finding.level.name(),
        "text": finding.text,
        "advice": finding.advice,
        "members": finding.members,
        "bytes": finding.bytes,
        "path": finding.path,
    })
}

fn measured(measured: &Measured) -> Value {
    let member =
        |member: &gosync_io::Member| json!({ "path": member.path, "size": member.size, "missing": member.missing });
    json!({
        "total": measured.total,
        "from_old": measured.from_old,
        "missing": measured.missing,
        "ranges": measured.ranges,
        "index_size": measured.index_size,
        "members": measured.members.iter().map(member).collect::<Value>(),
    })
}
