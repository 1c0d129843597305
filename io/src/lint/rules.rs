//! The rules: what makes a payload update badly.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use gosync_core::{Digest, Range, ReadAt, Result};

use super::Finding;
use super::packed::{self, Packed};
use super::payload::{Member, Payload, seconds};
use crate::report::{Level, Observer};

/// The share of a payload from which on what is wrong with it costs much, as a divisor.
const MUCH: u64 = 20;
/// The share of a payload of which nothing is said, as a divisor.
const NOTHING: u64 = 1000;
/// Members that there must be for their sizes and order to matter.
const SEVERAL: usize = 16;
/// Blocks that a member should have at the least: of two of them, at its ends, a part is lost.
const FEW_BLOCKS: u64 = 4;
/// Members of which it costs much if a block of each is lost.
const MANY: u64 = 100;
const DAY: i64 = 86_400;

/// What there is to say of `new`, and of what has become of `old` in it.
pub(super) fn findings(
    new: &Payload,
    old: Option<&Payload>,
    block_size: u32,
    observer: &Observer,
) -> Result<Vec<Finding>> {
    let old = old.filter(|old| new.is_archive() && new.kind == old.kind);
    let mut findings = Vec::new();
    findings.extend(broken(new));
    looks(new, observer, &mut findings)?;
    findings.extend(deflated(new));
    findings.extend(match old {
        Some(old) => changed_times(new, old, observer)?,
        None => recent_times(new),
    });
    findings.extend(match old {
        Some(old) => moved(new, old),
        None => unsorted(new),
    });
    findings.extend(small(new, block_size));
    Ok(findings)
}

/// Members that a finding is about.
#[derive(Default)]
struct Among {
    members: u64,
    bytes: u64,
    largest: Option<(u64, String)>,
}

impl Among {
    fn add(&mut self, member: &Member) {
        let size = member.place.length;
        self.members += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.largest.as_ref().is_none_or(|(largest, _)| *largest < size) {
            self.largest = Some((size, member.path.clone()));
        }
    }

    fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Among {
        let mut among = Among::default();
        members.into_iter().for_each(|member| among.add(member));
        among
    }

    /// A finding about these members of `payload`, if there are any.
    fn finding(
        self,
        payload: &Payload,
        rule: &'static str,
        text: impl Into<String>,
        advice: &'static str,
    ) -> Option<Finding> {
        let level = if self.bytes > payload.length / MUCH { Level::Warning } else { Level::Info };
        let Among { members, bytes, largest } = self;
        let path = largest.map(|(_, path)| path);
        (members > 0).then(|| Finding { rule, level, text: text.into(), advice, members, bytes, path })
    }
}

/// A finding about the payload itself.
fn whole(payload: &Payload, rule: &'static str, level: Level, text: String, advice: &'static str) -> Finding {
    Finding { rule, level, text, advice, members: 0, bytes: payload.length, path: None }
}

fn broken(payload: &Payload) -> Option<Finding> {
    let fault = payload.fault.as_ref()?;
    let text = format!("the {} cannot be read to its end: {fault}", payload.kind);
    Some(whole(payload, "broken", Level::Warning, text, "make it again: what is behind that place was not looked at"))
}

/// What the beginnings of the payload and of its members tell: how they are compressed, and times in them.
fn looks(payload: &Payload, observer: &Observer, findings: &mut Vec<Finding>) -> Result<()> {
    if payload.members.is_empty() && !payload.is_archive() && payload.kind != "directory" {
        let place = Range::new(0, payload.length);
        let itself = Member { path: String::new(), place, is_file: true, time: None, method: None, crc: None };
        let head = payload.head(&itself)?;
        if let Some(packed) = packed::of(&head) {
            findings.push(match is_rsyncable(payload, place, packed)? {
                true => rsyncable(payload),
                false => {
                    let text = format!("it is compressed as one stream ({})", packed.name);
                    whole(payload, "packed", Level::Warning, text, packed.advice)
                }
            });
        }
        let of_itself = |text: &str, advice| whole(payload, "time", Level::Info, text.to_owned(), advice);
        findings.extend(packed::gzip_time(&head).map(|_| of_itself("its header has a time", GZIP_TIME)));
        findings.extend(packed::linked_at(&head).filter(|at| is_time(*at)).map(|_| of_itself(LINKED, LINKED_TIME)));
        return Ok(());
    }
    let mut packed: BTreeMap<&'static str, (Among, &'static str)> = BTreeMap::new();
    let (mut gzips, mut programs) = (Among::default(), Among::default());
    for member in payload.members.iter().filter(|member| member.is_file && member.method.is_none()) {
        observer.cancel.check()?;
        // One that cannot be read is not judged.
        let Ok(head) = payload.head(member) else { continue };
        if let Some(found) = packed::of(&head)
            && !is_rsyncable(payload, member.place, found)?
        {
            packed.entry(found.name).or_insert_with(|| (Among::default(), found.advice)).0.add(member);
        }
        if packed::gzip_time(&head).is_some() {
            gzips.add(member);
        }
        if packed::linked_at(&head).is_some_and(is_time) {
            programs.add(member);
        }
    }
    let is_some = |among: &Among| among.bytes > payload.length / NOTHING;
    for (name, (among, advice)) in packed.into_iter().filter(|(_, (among, _))| is_some(among)) {
        let text = format!("members are compressed, each as a whole ({name})");
        findings.extend(among.finding(payload, "packed", text, advice));
    }
    let times = [(gzips, "headers of gzip members have a time", GZIP_TIME), (programs, LINKED, LINKED_TIME)];
    for (among, text, advice) in times.into_iter().filter(|(among, _, _)| is_some(among)) {
        findings.extend(slight(among.finding(payload, "time", text, advice)));
    }
    Ok(())
}

const GZIP_TIME: &str = "make it with gzip -n, which leaves the time out";
const LINKED: &str = "programs for Windows say when they were linked";
const LINKED_TIME: &str =
    "link with /Brepro, or set SOURCE_DATE_EPOCH where the linker heeds it (unless that is done already)";

fn is_rsyncable(payload: &Payload, place: Range, packed: Packed) -> Result<bool> {
    if packed.name != "gzip" {
        return Ok(false);
    }
    let mut sample = vec![0; place.length.min(packed::SAMPLE as u64) as usize];
    let read = payload.reader.read_at(place.offset, &mut sample)?;
    Ok(packed::is_rsyncable(sample.get(..read).unwrap_or_default()))
}

fn rsyncable(payload: &Payload) -> Finding {
    let text = String::from("it is compressed, but begins anew again and again (--rsyncable)");
    let advice = "a change costs some tens of kilobytes; published uncompressed it would cost less";
    whole(payload, "packed", Level::Info, text, advice)
}

/// Whether a number can be a time of a build, as most hashes cannot: it is past the year 2000 and not in the future.
fn is_time(at: u32) -> bool {
    const Y2000: i64 = 946_684_800;
    let now = seconds(SystemTime::now()).unwrap_or(i64::MAX);
    (Y2000..now.saturating_add(DAY)).contains(&i64::from(at))
}

fn deflated(payload: &Payload) -> Option<Finding> {
    let members = payload.members.iter().filter(|member| member.method.is_some());
    let method = members.clone().find_map(|member| member.method.as_deref()).unwrap_or_default();
    let text =
        format!("members are compressed ({method}): one that changes is fetched whole, and nothing unpacked is found");
    let advice = "store them (zip -0, jar -0; in Python ZIP_STORED)";
    Among::of(members).finding(payload, "deflated", text, advice)
}

const TIMES: &str = "give members the time of what they are made from, not of the build: SOURCE_DATE_EPOCH, or tar \
                     --mtime=@$SOURCE_DATE_EPOCH --clamp-mtime";

/// Without an old version: whether the times look like those of the build.
fn recent_times(payload: &Payload) -> Option<Finding> {
    let modified = payload.modified.filter(|_| payload.is_archive())?;
    let times = payload.members.iter().filter_map(|member| member.time);
    let (first, last) = times.clone().fold((i64::MAX, i64::MIN), |(low, high), time| (low.min(time), high.max(time)));
    // The same time for all is most likely chosen. In a zip, times are in whatever zone.
    if first >= last || last.abs_diff(modified) > DAY as u64 {
        return None;
    }
    let recent = |member: &&Member| member.time.is_some_and(|time| last - time < DAY);
    let among = Among::of(payload.members.iter().filter(recent));
    let is_most = among.members > times.count() as u64 / 2;
    let text = "members have times of the day on which the archive was made: the next build will give them others";
    is_most.then(|| slight(among.finding(payload, "time", text, TIMES))).flatten()
}

/// Members that have the same content in `old`, and another time.
fn changed_times(new: &Payload, old: &Payload, observer: &Observer) -> Result<Option<Finding>> {
    let known: HashMap<&str, &Member> = old.members.iter().map(|member| (member.path.as_str(), member)).collect();
    let mut among = Among::default();
    for member in &new.members {
        observer.cancel.check()?;
        let before = known.get(member.path.as_str()).filter(|before| before.time != member.time);
        if let Some(before) = before
            && is_same(new, member, old, before, observer)?
        {
            among.add(member);
        }
    }
    let text = "members have the content that they had in the old version, and another time";
    Ok(slight(among.finding(new, "time", text, TIMES)))
}

/// What costs a block of each member and not all of it is much where there are many members.
fn slight(finding: Option<Finding>) -> Option<Finding> {
    finding.map(|finding| {
        let level = if finding.members >= MANY { Level::Warning } else { Level::Info };
        Finding { level, ..finding }
    })
}

/// Whether two members have the same content.
fn is_same(new: &Payload, member: &Member, old: &Payload, before: &Member, observer: &Observer) -> Result<bool> {
    if member.place.length != before.place.length || member.crc != before.crc {
        return Ok(false);
    }
    if member.crc.is_some() || member.place.length == 0 {
        return Ok(true);
    }
    let root =
        |payload: &Payload, place| Digest::of_reader(&Part(&*payload.reader, place), &|_| observer.cancel.check());
    Ok(root(new, member.place)? == root(old, before.place)?)
}

/// A place of a content as a content.
struct Part<'a>(&'a dyn ReadAt, Range);

impl ReadAt for Part<'_> {
    fn length(&self) -> u64 {
        self.1.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = (buffer.len() as u64).min(self.1.length.saturating_sub(offset)) as usize;
        self.0.read_at(self.1.offset.saturating_add(offset), &mut buffer[..length])
    }
}

const ORDER: &str = "put members in a stable order (tar --sort=name; sort the names that zip is given)";

/// Without an old version: whether the order can be another one the next time.
fn unsorted(payload: &Payload) -> Option<Finding> {
    if !payload.is_archive() || payload.members.len() < SEVERAL {
        return None;
    }
    let paths = || payload.members.iter().map(|member| trimmed(&member.path));
    // By whole paths, or name by name.
    if paths().is_sorted() || paths().is_sorted_by(|one, next| one.split('/').le(next.split('/'))) {
        return None;
    }
    let text =
        String::from("members are not in the order of their names: if it is that of the file system, it will change");
    Some(whole(payload, "order", Level::Info, text, ORDER))
}

/// A path without what programs put around it.
fn trimmed(path: &str) -> &str {
    path.trim_start_matches("./").trim_end_matches('/')
}

/// Members that come in another order than in `old`.
fn moved(new: &Payload, old: &Payload) -> Option<Finding> {
    let places: HashMap<&str, usize> = (0..).zip(&old.members).map(|(at, member)| (member.path.as_str(), at)).collect();
    let common: Vec<usize> =
        new.members.iter().filter_map(|member| places.get(member.path.as_str()).copied()).collect();
    // The longest series of them that is in the old order; all others were moved.
    let mut ends: Vec<usize> = Vec::new();
    for at in &common {
        let longer = ends.partition_point(|end| end < at);
        match ends.get_mut(longer) {
            Some(end) => *end = *at,
            None => ends.push(*at),
        }
    }
    let moved = common.len() - ends.len();
    let text = format!("{moved} of {} members are in another order than in the old version", common.len());
    let level = if moved >= MANY as usize { Level::Warning } else { Level::Info };
    (moved > 0).then(|| whole(new, "order", level, text, ORDER))
}

/// Members that are small against the blocks.
fn small(payload: &Payload, block_size: u32) -> Option<Finding> {
    let files = payload.members.iter().filter(|member| member.is_file && member.place.length > 0);
    let among = Among::of(files);
    if !payload.is_archive() || among.members < SEVERAL as u64 {
        return None;
    }
    let average = among.bytes / among.members;
    let advice = match block_size {
        1024 => "publish the directory itself: files there begin at whole blocks",
        _ => "index it with --block-size 1KiB, or publish the directory itself: files there begin at whole blocks",
    };
    let text =
        format!("members have {average} bytes on average, and blocks {block_size}: at each end, up to a block is lost");
    let is_small = average < FEW_BLOCKS * u64::from(block_size);
    is_small.then(|| among.finding(payload, "small", text, advice)).flatten()
}
