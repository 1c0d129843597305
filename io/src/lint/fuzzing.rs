//! What the fuzz targets reach of the parsers here. Behind the feature `fuzzing`, and no part of the API.

use std::sync::Arc;

use gosync_core::ReadAt;
use gosync_core::listing::MAX_ENTRIES;

use super::payload::Payload;
use super::rules;
use crate::cancel::Cancel;
use crate::report::Observer;

const BLOCK_SIZE: u32 = 1024;

/// Any bytes as an archive, and as a new version of another: members that are all inside, and findings about these.
pub fn archive(input: &[u8]) {
    let Some((&at, bytes)) = input.split_first() else { return };
    let (old, new) = bytes.split_at(bytes.len() * usize::from(at) / 256);
    let [old, new] = [old, new].map(payload);
    for old in [None, Some(&old)] {
        let findings = rules::findings(&new, old, BLOCK_SIZE, &Observer::default()).expect("bytes in memory");
        for finding in findings {
            assert!(finding.members <= new.members.len() as u64, "{finding:?}");
            assert!(!finding.text.contains('\n'), "{finding:?}");
        }
    }
}

fn payload(bytes: &[u8]) -> Payload {
    let bytes = bytes.to_vec();
    let reader: Arc<dyn ReadAt> = Arc::new(bytes);
    let payload = Payload::of(reader, Some(0), &Cancel::new()).expect("bytes in memory");
    assert!(payload.members.len() as u64 <= u64::from(MAX_ENTRIES));
    for member in &payload.members {
        let end = member.place.offset.checked_add(member.place.length);
        assert!(end.is_some_and(|end| end <= payload.length), "a member is outside");
    }
    payload
}
