//! What the fuzz targets reach of the parsers here. Behind the feature `fuzzing`, and no part of the API.

use gosync_core::Digest;

use super::record::Record;
pub use super::switch::fuzzing::switch;

/// The same with the hash behind it that it should have.
pub(super) fn with_hash(input: &[u8]) -> Vec<u8> {
    [input, &Digest::of(input).0].concat()
}

/// Any bytes as the record of an update: nothing, or one that is read again as it is.
pub fn record(input: &[u8]) {
    for bytes in [input.to_vec(), with_hash(input)] {
        let Some(record) = Record::decode(&bytes) else { continue };
        assert_eq!(record.entries().count() as u64, record.listing().count());
        assert!(Record::decode(&record.encode()) == Some(record));
    }
}
