//! gosync as the suite's client: one update against one behaviour, what came of it, and whether that is right.
//! It is the Rust library; `program` is the same with the program.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosync_io::source::MemorySource;
use gosync_io::{HttpOptions, Job, JobOptions, Observer, OpenOptions, open_index, open_source};
use serde::Serialize;

use super::behaviours::File;
use super::content::Content;
use super::expected::{Client, Expected};
use super::program;
use super::server::{Listener, Record, Server, lock};

/// What came of an update.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measured {
    /// `exact`, `next`, `wrong` (success, but another content), or an error's kind.
    pub outcome: String,
    /// The error, with its context.
    pub message: String,
    /// The reason in the statistics.
    pub reason: String,
    /// Kinds and texts of the events.
    pub events: Vec<(String, String)>,
    /// Bytes of the content that the client lacked.
    pub missing: u64,
    /// Bytes of bodies of the content that were sent.
    pub bytes: u64,
    /// Requests for the content.
    pub requests: u64,
    /// Bytes of bodies of the index that were sent.
    pub index_bytes: u64,
    /// Requests for the index.
    pub index_requests: u64,
    /// Seconds.
    pub seconds: f64,
    /// What is wrong however the update ended: files left behind, an old target that was touched.
    pub faults: Vec<String>,
}

/// The events of an update: kinds and texts.
pub(super) type Events = Arc<Mutex<Vec<(String, String)>>>;

/// How an update ended: with a reason, or with an error's kind and text.
pub(super) type Ended = Result<String, (String, String)>;

/// What makes the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The Rust library.
    Library,
    /// The `gosync` program.
    Program,
}

/// An update of a file in `folder` from the server, `name` being a behaviour with or without a token.
pub fn update(server: &Server, name: &str, client: &Client, folder: &Path, door: Door) -> Measured {
    let content = server.content(&client.content).unwrap_or_default();
    let start = Instant::now();
    let mut measured = Measured::default();
    let before = if client.from_nothing { None } else { Some(&content.old) };
    let target = folder.join("target/content");
    let prepared = prepare(server, folder, before).and_then(|()| missing(&content, &target));
    match prepared {
        Ok(missing) => measured.missing = missing,
        Err(why) => measured.faults.push(format!("cannot prepare: {why}")),
    }
    let events = Events::default();
    let mut result = Ok(String::new());
    for _ in 0..client.runs {
        result = match door {
            Door::Library => run(server, name, client, folder, &events),
            Door::Program => program::run(server, name, client, folder, &events),
        };
    }
    measured.seconds = start.elapsed().as_secs_f64();
    measured.events = lock(&events).clone();
    conclude(&mut measured, result, &content, &target, before);
    count(&mut measured, &server.records(name), client);
    measured
}

fn prepare(server: &Server, folder: &Path, before: Option<&Vec<u8>>) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("target"))?;
    std::fs::create_dir_all(folder.join("client"))?;
    std::fs::write(folder.join("client/ca.pem"), server.ca())?;
    before.map_or(Ok(()), |bytes| std::fs::write(folder.join("target/content"), bytes))
}

/// What the client lacks.
fn missing(content: &Content, target: &Path) -> std::io::Result<u64> {
    let index = gosync_io::index_from_bytes(&content.now.index, &OpenOptions::default());
    let plan = index.and_then(|index| {
        let source = Arc::new(MemorySource::new(content.now.bytes.clone()));
        Job::new(Arc::new(index), Some(source), target, JobOptions::default())?.plan()
    });
    plan.map(|plan| plan.missing).map_err(std::io::Error::other)
}

/// Time-outs that a test can wait for, and a link on which ranges pay.
fn options(server: &Server, client: &Client, folder: &Path, events: &Events) -> JobOptions {
    let heard = Arc::clone(events);
    let observer = Observer {
        events: Some(Arc::new(move |event| lock(&heard).push((event.kind.to_owned(), event.message.clone())))),
        ..Observer::default()
    };
    let wait = Duration::from_millis(client.wait_ms);
    let http = HttpOptions {
        connections: client.connections,
        timeout: wait,
        connect_timeout: wait.saturating_mul(4),
        first_byte_timeout: wait,
        stall_timeout: wait,
        bearer: client.has_credentials.then(|| "secret".to_owned()),
        headers: if client.has_credentials { vec!["X-Token: secret".to_owned()] } else { Vec::new() },
        proxy: Some(if client.uses_proxy { server.url(Listener::Proxy, "/") } else { String::new() }),
        ca_file: client.trusts_ca.then(|| folder.join("client/ca.pem")),
        ..HttpOptions::default()
    };
    let open = OpenOptions {
        index_cache: (client.runs > 1).then(|| folder.join("client/index")),
        retries: Some(client.retries),
        http,
        observer: observer.clone(),
        ..OpenOptions::default()
    };
    JobOptions {
        retries: Some(client.retries),
        timeout: Duration::from_secs(5),
        assume_rtt: Duration::from_millis(client.rtt_ms),
        assume_rate: 1_000_000,
        threads: 1,
        open,
        observer,
        ..JobOptions::default()
    }
}

/// Where the index is, and the content where that is not beside it.
pub(super) fn addresses(server: &Server, name: &str, client: &Client) -> (String, Option<String>) {
    let path = format!("/{name}/{}", client.content);
    match client.listener {
        // What is late is at a port of its own.
        Listener::Late => {
            (server.url(Listener::Main, &format!("{path}.gosync")), Some(server.url(Listener::Late, &path)))
        }
        listener => (server.url(listener, &format!("{path}.gosync")), None),
    }
}

fn run(server: &Server, name: &str, client: &Client, folder: &Path, events: &Events) -> Ended {
    let options = options(server, client, folder, events);
    let (index, source) = addresses(server, name, client);
    let work = || {
        let index = open_index(&index, &options.open)?;
        let source = source.map(|source| open_source(&source, &options.open)).transpose()?;
        Job::new(Arc::new(index), source, folder.join("target/content"), options)?.run()
    };
    work().map(|statistics| statistics.reason).map_err(|error| {
        // What the error says of itself, and the facts around it.
        (error.kind().to_string(), format!("{error} {:?}", error.context()))
    })
}

/// The outcome, and what holds for every outcome.
fn conclude(measured: &mut Measured, result: Ended, content: &Content, target: &Path, before: Option<&Vec<u8>>) {
    let is = std::fs::read(target).ok();
    let failed = result.is_err();
    match result {
        Ok(reason) => {
            measured.reason = reason;
            let versions = [("exact", &content.now.bytes), ("next", &content.next.bytes)];
            let found = versions.iter().find(|(_, bytes)| is.as_ref() == Some(*bytes));
            measured.outcome = found.map_or("wrong", |(name, _)| name).to_owned();
        }
        Err((kind, message)) => {
            (measured.outcome, measured.message) = (kind, message);
            if is.as_ref() != before {
                measured.faults.push("the old target is not as it was".to_owned());
            }
        }
    }
    let folder = target.parent().unwrap_or(target);
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    // What a failed update has verified may be kept for the next one.
    let may_stay = |name: &std::ffi::OsStr| failed && name.to_string_lossy().ends_with(".gosync-part");
    let others: Vec<_> = names.filter(|name| name != "content" && !may_stay(name)).collect();
    if !others.is_empty() {
        measured.faults.push(format!("left beside the target: {others:?}"));
    }
}

fn count(measured: &mut Measured, records: &[Arc<Record>], client: &Client) {
    for record in records {
        let bytes = record.sent.load(Ordering::Relaxed);
        match record.file {
            File::Content => {
                measured.requests += 1;
                measured.bytes += bytes;
            }
            File::Index => {
                measured.index_requests += 1;
                measured.index_bytes += bytes;
            }
            File::Old => {}
        }
    }
    let mut faults = Vec::new();
    if records.iter().any(|record| record.credentials && record.listener == Listener::Other) {
        faults.push("another origin has seen the credentials");
    }
    let own = || records.iter().filter(|record| record.listener != Listener::Other);
    if client.has_credentials && !own().all(|record| record.credentials) {
        faults.push("a request to the own origin lacks the credentials");
    }
    faults.extend(records.iter().filter_map(|record| bad_manners(record)));
    faults.dedup();
    measured.faults.extend(faults.into_iter().map(str::to_owned));
}

/// What no request may do, whatever the server does.
fn bad_manners(record: &Record) -> Option<&'static str> {
    let range = record.range.as_deref().unwrap_or("bytes=0-");
    let numbers = |text: &str| {
        let (first, last) = text.split_once('-')?;
        Some((first.parse::<u64>().ok()?, if last.is_empty() { u64::MAX } else { last.parse().ok()? }))
    };
    let list: Option<Vec<(u64, u64)>> =
        range.strip_prefix("bytes=").and_then(|text| text.split(',').map(numbers).collect());
    let Some(list) = list else { return Some("a range that counts from the end, or none at all") };
    match () {
        () if list.windows(2).any(|pair| pair[1].0 <= pair[0].1) => Some("ranges that overlap or do not ascend"),
        () if list.len() > 200 || range.len() > 4096 => Some("more ranges than a server can be expected to take"),
        () if record.if_range.as_ref().is_some_and(|tag| tag.starts_with("W/")) => Some("a weak ETag in If-Range"),
        () if record.if_range.is_some() && record.range.is_none() => Some("If-Range without Range"),
        () if record.accept_encoding.as_deref() != Some("identity") => Some("identity was not asked for"),
        () => None,
    }
}

/// What is not as expected.
pub fn judge(expected: &Expected, measured: &Measured, server: &Server, name: &str) -> Vec<String> {
    let mut wrong = measured.faults.clone();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(what);
        }
    };
    let (most, outcome) = (&expected.most, &measured.outcome);
    check(expected.outcome.has(outcome), format!("outcome {outcome}, expected {:?}", expected.outcome));
    let (length, index_length) = server
        .content(&expected.client.content)
        .map_or((0, 0), |content| (content.now.bytes.len(), content.now.index.len()));
    let bytes = most.content * length as f64 + most.missing * measured.missing as f64 + most.more as f64;
    check(
        measured.bytes as f64 <= bytes,
        format!("{} bytes of the content, expected {bytes:.0} at most", measured.bytes),
    );
    check(measured.requests <= most.requests, format!("{} requests, expected {}", measured.requests, most.requests));
    if let Some(most) = most.index_requests {
        let requests = measured.index_requests;
        check(requests <= most, format!("{requests} requests for the index, expected {most}"));
    }
    if let Some(most) = most.index {
        let most = most * index_length as f64;
        check(
            measured.index_bytes as f64 <= most,
            format!("{} bytes of index, at most {most:.0}", measured.index_bytes),
        );
    }
    let reason = expected.reason.as_deref().unwrap_or_default();
    check(measured.reason.contains(reason), format!("the reason lacks {reason:?}"));
    let message = expected.message.as_deref().unwrap_or_default();
    check(measured.message.contains(message), format!("the error lacks {message:?}"));
    if let Some(event) = &expected.event {
        check(measured.events.iter().any(|(kind, _)| kind == event), format!("no event {event}"));
    }
    if let Some(pause) = expected.pause {
        let times: Vec<f64> =
            server.records(name).iter().filter(|record| record.file == File::Content).map(|record| record.at).collect();
        let first = times.first().copied().unwrap_or(0.0);
        // What was under way when the answer came is no fault.
        let early = times.iter().filter(|at| (first + 0.2..first + pause * 0.98).contains(at)).count();
        check(early == 0, format!("{early} requests within {pause} s of the first: {times:?}"));
    }
    wrong
}
