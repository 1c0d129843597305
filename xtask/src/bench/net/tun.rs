//! A TUN device: a network interface whose packets a program reads and writes. The only unsafe code of the tasks.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::fd::AsRawFd;

/// What the kernel's `struct ifreq` is to the one call made here.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes one, with a name that the kernel chooses; it is gone when the file is closed.
pub(super) fn open() -> Result<(File, String)> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    let mut request = Request { name: *b"gosync%d\0\0\0\0\0\0\0\0", flags, rest: [0; 22] };
    // SAFETY: the file is open, and the request is as large as the kernel's struct (40 bytes), of which the call reads
    // and writes no more.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if answer != 0 {
        return Err(Error::last_os_error());
    }
    let name = request.name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    Ok((file, name))
}
