//! The micro-benchmarks of the kernels: a program beside core's library, built as what is released is. Its figures are shown
//! next to those of the prototypes that the kernels were designed by.

use serde_json::{Value, json};

use crate::sh::{Result, cargo, fail};

/// GB/s of one core that prototypes reached, on a machine with AVX-512 of 3.5 GHz, from memory.
const PROTOTYPES: &[(&str, f64)] = &[
    ("sum of 2048 bytes, AVX2", 12.5),
    ("XXH3 of 2048 bytes", 14.3),
    ("BLAKE3 of 65536 bytes", 5.4),
    ("scan, 512 blocks, AVX-512", 3.8),
    ("scan, 512 blocks, AVX2", 3.3),
    ("scan, 8192 blocks, AVX-512", 2.7),
    ("scan, 8192 blocks, AVX2", 2.6),
    ("scan, 8192 blocks, scalar", 0.52),
    ("scan, 131072 blocks, AVX-512", 1.5),
    ("scan, 131072 blocks, AVX2", 1.5),
    ("scan, 131072 blocks, scalar", 0.30),
    ("scan, 1048576 blocks, AVX-512", 0.56),
    ("scan, 1048576 blocks, AVX2", 0.6),
    ("scan, 1048576 blocks, scalar", 0.09),
    ("scan, 8388608 blocks, AVX-512", 0.19),
    ("scan, 8388608 blocks, AVX2", 0.19),
    ("scan, 8388608 blocks, scalar", 0.035),
];

/// Builds and runs it; prints its table.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    if let Some(unknown) = options.first() {
        return fail(format!("bench --kernels has no option {unknown}"));
    }
    points()?;
    Ok(true)
}

/// One point for each kernel.
pub(super) fn points() -> Result<Vec<Value>> {
    let printed = cargo().args("run --quiet --profile fast --package gosync-core --example kernels").read()?;
    println!("{printed}");
    Ok(printed.lines().filter_map(point).collect())
}

/// What a line of the table says.
fn point(line: &str) -> Option<Value> {
    let (rest, memory) = line.trim_end().rsplit_once(' ')?;
    let (name, cache) = rest.trim_end().rsplit_once(' ')?;
    let (cache, memory) = (cache.parse::<f64>().ok()?, memory.parse::<f64>().ok()?);
    let name = name.trim_end();
    // How many bits a filter has is not what a prototype is known by.
    let parts: Vec<&str> = name.split(", ").filter(|part| !part.ends_with(" bits")).collect();
    let prototype = PROTOTYPES.iter().find(|(of, _)| *of == parts.join(", ")).map(|(_, speed)| speed);
    Some(json!({ "kernel": name, "cache": cache, "memory": memory, "prototype": prototype }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_and_finds_its_prototype() {
        let line = format!("{:46} {:8.2} {:8.2}", "scan, 8192 blocks, 2^18/2^22 bits, AVX-512", 2.25, 1.5);
        let point = point(&line).expect("a point");
        assert_eq!(point["kernel"], "scan, 8192 blocks, 2^18/2^22 bits, AVX-512");
        assert_eq!((&point["cache"], &point["memory"]), (&json!(2.25), &json!(1.5)));
        assert_eq!(point["prototype"], 2.7);
    }

    #[test]
    fn the_head_of_the_table_is_none() {
        assert!(point(&format!("{:46} {:>8} {:>8}", "GB/s", "from L2", "memory")).is_none());
    }
}
