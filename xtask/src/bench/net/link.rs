//! The slow link: every packet that leaves one end reaches the other later, at a capped rate, through a queue of so many
//! packets; one that finds the queue full is lost. Between the ends is real TCP, so that handshakes, slow start, windows
//! and losses are what they are on such a line. It also counts, which is how the benchmark knows what went over the wire.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a frame has on an Ethernet wire besides the packet.
const FRAME: usize = 14;

/// What one direction has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    /// Bytes of all packets, with their frames.
    pub(super) bytes: u64,
    /// Packets that found the queue full.
    pub(super) lost: u64,
    /// TCP connections that were asked for.
    pub(super) connects: u64,
}

/// How the line is, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) round_trip: Duration,
    /// Bits per second.
    pub(super) rate: u64,
    /// Packets that may wait.
    pub(super) queue: u64,
}

impl Line {
    /// How long so many bytes occupy it.
    pub(super) fn time(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.rate as f64
    }
}

/// Two devices, joined.
pub(super) struct Link {
    there: Arc<Direction>,
    back: Arc<Direction>,
}

impl Link {
    /// Joins the devices. The threads end when the devices are gone.
    pub(super) fn join(client: File, server: File, line: &Line) -> std::io::Result<Link> {
        let link = Link { there: Arc::default(), back: Arc::default() };
        link.become_like(line);
        link.there.start(client.try_clone()?, server.try_clone()?);
        link.back.start(server, client);
        Ok(link)
    }

    /// Makes it another line. To be called while nothing is on it.
    pub(super) fn become_like(&self, line: &Line) {
        for direction in [&self.there, &self.back] {
            let delay = (line.round_trip / 2).as_nanos() as u64;
            direction.delay.store(delay, Ordering::Relaxed);
            direction.rate.store(line.rate, Ordering::Relaxed);
            direction.limit.store(line.queue, Ordering::Relaxed);
        }
    }

    /// What was carried since the last call: from client to server, and back.
    pub(super) fn take_traffic(&self) -> (Traffic, Traffic) {
        (self.there.take(), self.back.take())
    }
}

#[derive(Default)]
struct Direction {
    delay: AtomicU64,
    rate: AtomicU64,
    limit: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    connects: AtomicU64,
    queue: Mutex<Queue>,
    filled: Condvar,
}

/// Packets on their way, each with the time at which it arrives.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Instant, Box<[u8]>)>,
    /// The device is gone.
    ended: bool,
}

impl Direction {
    fn start(self: &Arc<Self>, from: File, to: File) {
        let (sender, receiver) = (self.clone(), self.clone());
        std::thread::spawn(move || {
            sender.accept(from);
            sender.queue.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            sender.filled.notify_all();
        });
        std::thread::spawn(move || receiver.deliver(to));
    }

    fn take(&self) -> Traffic {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Traffic {
            packets: take(&self.packets),
            bytes: take(&self.bytes),
            lost: take(&self.lost),
            connects: take(&self.connects),
        }
    }

    /// Puts packets on the wire, one after the other at the line's rate.
    fn accept(&self, mut from: File) {
        let mut buffer = vec![0; 1 << 16];
        let mut free = Instant::now();
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let now = Instant::now();
            let rate = self.rate.load(Ordering::Relaxed) as f64 / 8.0;
            let backlog = free.saturating_duration_since(now).as_secs_f64() * rate / 1500.0;
            let packet = &buffer[..length];
            if backlog as u64 > self.limit.load(Ordering::Relaxed) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let size = length + FRAME;
            self.packets.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(size as u64, Ordering::Relaxed);
            self.connects.fetch_add(u64::from(is_connect(packet)), Ordering::Relaxed);
            free = free.max(now) + Duration::from_secs_f64(size as f64 / rate);
            let due = free + Duration::from_nanos(self.delay.load(Ordering::Relaxed));
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push_back((due, packet.into()));
            if queue.waiting.len() == 1 {
                self.filled.notify_one();
            }
        }
    }

    /// Takes them off when they are due.
    fn deliver(&self, mut to: File) {
        let mut due = Vec::new();
        loop {
            let wait = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                while queue.waiting.is_empty() && !queue.ended {
                    queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                if queue.ended {
                    return;
                }
                let now = Instant::now();
                while queue.waiting.front().is_some_and(|(when, _)| *when <= now) {
                    due.extend(queue.waiting.pop_front().map(|(_, packet)| packet));
                }
                queue.waiting.front().map_or(Duration::ZERO, |(when, _)| when.saturating_duration_since(now))
            };
            let is_idle = due.is_empty();
            // A device that was just taken down takes no more packets, and that is no fault of the link's.
            due.drain(..).for_each(|packet| drop(to.write(&packet)));
            if is_idle {
                std::thread::sleep(wait);
            }
        }
    }
}

/// Whether an IPv4 packet asks for a TCP connection (SYN without ACK).
fn is_connect(packet: &[u8]) -> bool {
    let Some(first) = packet.first().filter(|first| **first >> 4 == 4) else { return false };
    let flags = packet.get(usize::from(first & 15) * 4 + 13);
    packet.get(9) == Some(&6) && flags.is_some_and(|flags| flags & 0x12 == 0x02)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    fn ends() -> (UnixDatagram, File) {
        let (near, far) = UnixDatagram::pair().expect("a pair");
        near.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        (near, File::from(OwnedFd::from(far)))
    }

    #[test]
    fn packets_are_late_counted_and_lost_when_there_are_too_many() {
        let ((client, client_end), (server, server_end)) = (ends(), ends());
        let line = Line { name: "test", round_trip: Duration::from_millis(200), rate: 800_000, queue: 20 };
        let link = Link::join(client_end, server_end, &line).expect("joined");
        let started = Instant::now();
        // 20 bytes of IPv4 and a TCP header with SYN.
        let mut connect = [0; 986];
        (connect[0], connect[9], connect[33]) = (0x45, 6, 2);
        for _ in 0..100 {
            client.send(&connect).expect("sent");
        }
        let mut buffer = [0; 2000];
        assert_eq!(server.recv(&mut buffer).expect("arrives"), 986);
        // A packet of 1000 bytes occupies the line for 10 ms and is 100 ms on its way. It may always take longer.
        assert!(started.elapsed() >= Duration::from_millis(110));
        server.send(b"back").expect("sent");
        assert_eq!(client.recv(&mut buffer).expect("arrives"), 4);
        // Until none has come for as long as the limit is.
        let arrived = 1 + (1..100).take_while(|_| server.recv(&mut buffer).is_ok_and(|length| length == 986)).count();
        assert!(started.elapsed() >= Duration::from_millis(100 + 10 * arrived as u64));
        let (there, back) = link.take_traffic();
        assert_eq!((there.packets, there.packets + there.lost, there.connects), (arrived as u64, 100, arrived as u64));
        assert_eq!((there.bytes, back.packets, back.connects), (1000 * arrived as u64, 1, 0));
        assert!(there.lost > 0, "{there:?}");
        assert_eq!(link.take_traffic(), Default::default());
    }
}
