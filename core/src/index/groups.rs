//! The data of a level below the top: all of it in one piece, or group by group, as far as they have been read.
//! A group that has come stays as it is: an index can be read by many while parts of it still arrive.

use std::sync::OnceLock;

use super::reserve;
use crate::error::Result;

/// Items in groups of one size, the last of which may be shorter.
#[derive(Clone)]
pub(super) enum Groups<T> {
    /// Everything, one after another.
    Whole(Vec<T>),
    /// What has come so far of so many groups. There is no room for them before the first, which was checked against its
    /// parent: until then the number is a claim.
    Parts(u64, OnceLock<Vec<Group<T>>>),
}

type Group<T> = OnceLock<Box<[T]>>;

impl<T> Groups<T> {
    /// Nothing yet of so many groups.
    pub(super) fn none(count: u64) -> Groups<T> {
        Groups::Parts(count, OnceLock::new())
    }

    /// Whether this group is there.
    pub(super) fn has(&self, group: u64) -> bool {
        match self {
            Groups::Whole(_) => true,
            Groups::Parts(_, room) => room.get().is_some_and(|parts| is_there(parts, group)),
        }
    }

    /// Whether all groups are.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Groups::Whole(_) => true,
            Groups::Parts(0, _) => true,
            Groups::Parts(_, room) => room.get().is_some_and(|parts| parts.iter().all(|part| part.get().is_some())),
        }
    }

    /// What there is from item `item` of `group` on, where a full group has `full` items. In one piece, it goes on
    /// behind the group.
    #[inline]
    pub(super) fn from(&self, group: usize, full: usize, item: usize) -> Option<&[T]> {
        match self {
            Groups::Whole(all) => all.get(group * full + item..),
            Groups::Parts(_, room) => room.get()?.get(group)?.get()?.get(item..),
        }
    }

    /// Keeps a group. The first to come stays.
    pub(super) fn put(&self, group: u64, items: Box<[T]>) -> Result<()> {
        let Groups::Parts(count, room) = self else { return Ok(()) };
        if room.get().is_none() {
            let mut parts = reserve(*count)?;
            parts.resize_with(*count as usize, OnceLock::new);
            let _ = room.set(parts);
        }
        if let Some(part) = room.get().and_then(|parts| parts.get(group as usize)) {
            let _ = part.set(items);
        }
        Ok(())
    }
}

fn is_there<T>(parts: &[Group<T>], group: u64) -> bool {
    parts.get(group as usize).is_some_and(|part| part.get().is_some())
}
