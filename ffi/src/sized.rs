//! Public structs that begin with `struct_size`, so that they can grow: how one is read from an older or newer
//! caller, and how one is written to it.

use std::mem::{align_of, size_of};

use gosync_io::Result;

use crate::guard::argument;

/// No version of any public struct is larger; a larger `struct_size` is garbage, and what follows is not read.
const LARGEST: usize = 4096;

/// A public struct.
///
/// # Safety
/// The type is `repr(C)`, its first field is `struct_size: usize`, and all bytes zero is a valid value of it.
pub(crate) unsafe trait Versioned: Copy {}

/// Declares that a struct is one of those, and gives it a `Default` that is what its `..._INIT` macro is in C.
macro_rules! sized {
    ($($name:ident),* $(,)?) => { $(
        // SAFETY: declared in this crate as `repr(C)` with that first field, of numbers, pointers and optional functions;
        // zero is valid for each of them.
        unsafe impl $crate::sized::Versioned for $name {}

        impl Default for $name {
            fn default() -> Self {
                $crate::sized::zeroed()
            }
        }
    )* };
}
pub(crate) use sized;

/// A struct of which every field is zero, except for its size.
pub(crate) fn zeroed<T: Versioned>() -> T {
    // SAFETY: `Versioned` says that zero is valid, and that a `usize` comes first.
    unsafe {
        let mut value: T = std::mem::zeroed();
        (&raw mut value).cast::<usize>().write(size_of::<T>());
        value
    }
}

/// The size that the caller's struct has, if it is a possible one.
///
/// # Safety
/// `pointer` points to at least a `usize`.
unsafe fn caller_size<T: Versioned>(pointer: *const T, name: &'static str) -> Result<usize> {
    // SAFETY: as the caller says; unaligned, in case the pointer is.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    // Every version of a struct is a whole number of alignments long, so none ends within a pointer.
    if size < size_of::<usize>() || size > LARGEST || size % align_of::<T>() != 0 {
        return Err(argument(name, "has a struct_size that no version of it has").with("struct_size", size));
    }
    Ok(size)
}

/// Reads a struct of any version: what an older caller does not have is zero,
/// what a newer caller has must be zero, since nobody here would heed it.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its first field says.
pub(crate) unsafe fn read<T: Versioned>(pointer: *const T, name: &'static str) -> Result<Option<T>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the rest as the caller says.
    let size = unsafe { caller_size(pointer, name) }?;
    let known = size.min(size_of::<T>());
    // SAFETY: the caller says that `size` bytes are readable.
    let all = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    if all[known..].iter().any(|&byte| byte != 0) {
        return Err(argument(name, "sets a field that this version of gosync does not know").with("struct_size", size));
    }
    let mut value = zeroed::<T>();
    // SAFETY: `known` bytes fit into both, and the bytes of a valid `T` are valid up to any field's end.
    unsafe { std::ptr::copy_nonoverlapping(all.as_ptr(), (&raw mut value).cast::<u8>(), known) };
    Ok(Some(value))
}

/// Writes a struct to a caller of any version: an older one gets what it has room for,
/// a newer one gets zero in what is not known here. Its `struct_size` stays as it is.
///
/// # Safety
/// `pointer` is not NULL and points to as many writable bytes as its first field says.
pub(crate) unsafe fn write<T: Versioned>(pointer: *mut T, value: &T, name: &'static str) -> Result<()> {
    // SAFETY: as the caller says.
    let size = unsafe { caller_size(pointer, name) }?;
    let known = size.min(size_of::<T>());
    let head = size_of::<usize>();
    // SAFETY: `known` bytes are readable in `value`, and `size` bytes are writable at `pointer`.
    unsafe {
        let place = pointer.cast::<u8>();
        std::ptr::copy_nonoverlapping(std::ptr::from_ref(value).cast::<u8>().add(head), place.add(head), known - head);
        std::ptr::write_bytes(place.add(known), 0, size - known);
    }
    Ok(())
}
