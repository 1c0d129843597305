//! Every committed input runs through its target: what fuzzing once found stays found, without the fuzzing engine.

use std::path::Path;

#[test]
fn every_committed_input_passes() {
    for (name, target) in gosync_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut inputs: Vec<_> =
            std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("entry").path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "no input for {name}");
        for path in inputs {
            let input = std::fs::read(&path).expect("readable");
            let passed = std::panic::catch_unwind(|| target(&input));
            assert!(passed.is_ok(), "{name}: {}", path.display());
        }
    }
}

#[test]
fn the_corpus_reaches_behind_the_checks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/index");
    let inputs = std::fs::read_dir(folder).expect("a corpus").map(|entry| std::fs::read(entry.expect("entry").path()));
    let whole = inputs.filter(|input| gosync_core::Index::decode(input.as_ref().expect("readable")).is_ok());
    assert!(whole.count() >= 3, "the corpus has too few whole indexes to start from");
}
