//! The data of a level below the top: all of it in one piece, or group by group, as far as they have been read.
//! A group that has come stays as it is: an index can be read by many while parts of it still arrive.

use std::sync::OnceLock;

/// Items in groups of one size, the last of which may be shorter.
#[derive(Clone)]
pub(super) enum Groups<T> {
    /// Everything, one after another.
    Whole(Vec<T>),
    /// What has come so far.
    Parts(Vec<OnceLock<Box<[T]>>>),
}

impl<T> Groups<T> {
    /// Nothing yet of so many groups.
    pub(super) fn none(mut room: Vec<OnceLock<Box<[T]>>>, count: u64) -> Groups<T> {
        room.resize_with(count as usize, OnceLock::new);
        Groups::Parts(room)
    }

    /// Whether this group is there.
    pub(super) fn has(&self, group: u64) -> bool {
        match self {
            Groups::Whole(_) => true,
            Groups::Parts(parts) => parts.get(group as usize).is_some_and(|part| part.get().is_some()),
        }
    }

    /// Whether all groups are.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Groups::Whole(_) => true,
            Groups::Parts(parts) => parts.iter().all(|part| part.get().is_some()),
        }
    }

    /// What there is from item `item` of `group` on, where a full group has `full` items. In one piece, it goes on
    /// behind the group.
    #[inline]
    pub(super) fn from(&self, group: usize, full: usize, item: usize) -> Option<&[T]> {
        match self {
            Groups::Whole(all) => all.get(group * full + item..),
            Groups::Parts(parts) => parts.get(group)?.get()?.get(item..),
        }
    }

    /// Keeps a group. The first to come stays.
    pub(super) fn put(&self, group: u64, items: Box<[T]>) {
        if let Groups::Parts(parts) = self
            && let Some(part) = parts.get(group as usize)
        {
            let _ = part.set(items);
        }
    }
}
