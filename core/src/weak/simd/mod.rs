//! The kernels: which there are, which one this machine takes, and the only unsafe code of this crate.
//!
//! `scan` is the text of the scan, written once; a module for each instruction set has the words that it is written in.

#![allow(unsafe_code, reason = "the vector instructions are functions that are unsafe to call")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod scan;

use super::lanes::Lanes;
use super::{Filter, Hit, lanes, scalar};

/// One way to compute the sums and the scan; all have the same results. There are only those that this machine can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Set);

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2 {
        gather: bool,
    },
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon,
}

impl Kernel {
    /// Those that this machine can run.
    pub fn available() -> Vec<Kernel> {
        let mut all = vec![Kernel(Set::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            let gather = [false, true].into_iter().filter(|_| has_avx2());
            all.extend(gather.map(|gather| Kernel(Set::Avx2 { gather })));
            all.extend(has_avx512().then_some(Kernel(Set::Avx512)));
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        all.push(Kernel(Set::Neon));
        all
    }

    /// The fastest one. What the machine can do is asked for once and remembered by the standard library.
    #[inline]
    pub fn best() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() && !gathers_slowly() {
                return Kernel(Set::Avx512);
            }
            if has_avx2() {
                return Kernel(Set::Avx2 { gather: !gathers_slowly() });
            }
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        return Kernel(Set::Neon);
        #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
        Kernel(Set::Scalar)
    }

    /// The name of its instruction set.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { gather: true } => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { gather: false } => "AVX2 without gather",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Set::Neon => "NEON",
        }
    }

    /// See `weak::sum`.
    pub fn sum(self, bytes: &[u8]) -> (u32, u32) {
        match self.0 {
            Set::Scalar => scalar::sum(bytes),
            // SAFETY: these values are only made where the machine has AVX2, which AVX-512 includes.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { .. } | Set::Avx512 => unsafe { avx2::sum(bytes) },
            // SAFETY: NEON is part of this architecture.
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Set::Neon => unsafe { neon::sum(bytes) },
        }
    }

    /// See `weak::scan`.
    pub fn scan(self, data: &[u8], window: usize, filter: &Filter, hits: &mut Vec<Hit>) {
        lanes::scan(self, data, window, filter, hits);
    }

    /// How many lanes [`Kernel::roll`] wants.
    pub(super) fn lanes(self) -> usize {
        match self.0 {
            Set::Scalar => 1,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { .. } => avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::LANES,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Set::Neon => neon::LANES,
        }
    }

    /// Appends the hits of all lanes: those of each ascending, but those of one among those of others.
    pub(super) fn roll(self, lanes: &Lanes<'_>, hits: &mut Vec<Hit>) {
        match self.0 {
            Set::Scalar => {}
            // SAFETY: this value is only made where the machine has AVX2.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { gather: true } => unsafe { avx2::roll::<true>(lanes, hits) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 { gather: false } => unsafe { avx2::roll::<false>(lanes, hits) },
            // SAFETY: this value is only made where the machine has AVX-512.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::roll::<true>(lanes, hits) },
            // SAFETY: NEON is part of this architecture.
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Set::Neon => unsafe { neon::roll::<false>(lanes, hits) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    has_avx2() && is_x86_feature_detected!("avx512f")
}

/// Whether the instruction that loads words from many places at once is slower than as many loads. On AMD's processors it
/// is (Zen 4: a vector of 16 takes more than twice the time), which makes AVX-512 the slower set there.
#[cfg(target_arch = "x86_64")]
fn gathers_slowly() -> bool {
    static SLOWLY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *SLOWLY.get_or_init(|| {
        let vendor = std::arch::x86_64::__cpuid(0);
        [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    })
}
