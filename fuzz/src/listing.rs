//! The listing of a tree, by itself: what is inside an index of one behind every check.

use gosync_core::Listing;
use gosync_core::listing::{EntryKind, MAX_DEPTH, MAX_PATH};

/// Any bytes as a listing, once as they are, once behind a header that fits: an error, or the one way to write what it says.
pub fn listing(input: &[u8]) {
    look_at(input);
    // Entries alone, so that what comes of them need not be guessed: nothing but directories and links and empty files
    // has a payload of a known length.
    for count in 0..=input.iter().filter(|byte| **byte != 0).count().min(40) as u32 {
        let mut bytes = count.to_le_bytes().to_vec();
        bytes.extend([1, 10, 0, 0]);
        bytes.extend([0; 40]);
        bytes.extend_from_slice(input);
        look_at(&bytes);
    }
}

fn look_at(bytes: &[u8]) {
    let Ok(listing) = Listing::decode(bytes) else { return };
    assert_eq!(listing.encode(), bytes);
    let entries: Vec<_> = listing.entries().collect();
    assert_eq!(entries.len() as u64, listing.count());
    for entry in &entries {
        assert!(entry.path.len() <= MAX_PATH && entry.path.split('/').count() <= MAX_DEPTH);
        let is_name = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
        assert!(entry.path.split('/').all(is_name), "{:?}", entry.path);
        assert!(entry.place.end() <= listing.payload_length());
        if let EntryKind::File { size, .. } = entry.kind {
            assert_eq!(size, entry.place.length);
            assert!(entry.place.offset.is_multiple_of(u64::from(listing.block_size())));
        }
    }
    let again = entries.iter().map(|entry| (entry.path.as_str(), entry.kind));
    let again = Listing::new(listing.block_size(), listing.payload_length(), listing.payload_root(), again);
    assert_eq!(again.expect("what was read can be made").encode(), bytes);
}
