//! The fuzz target's function on stable Rust: over its corpus, and over damaged and joined copies of it.
#![allow(missing_docs, unreachable_pub, clippy::panic, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/foreign.rs"]
mod foreign;

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/zip_and_inputs");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "the corpus is here");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn the_corpus_is_read_or_refused() {
    let seeds = corpus();
    seeds.iter().for_each(|bytes| foreign::check(bytes));
    let read =
        seeds.iter().filter(|bytes| shepard_lambdas::zip::read_inputs_of_bytes(bytes).0.is_ok()).count();
    assert!(read >= 5 && read < seeds.len(), "{read}: it holds good ones and bad ones");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_copies_are_read_or_refused(
        which in any::<Index>(),
        damage in proptest::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), Just(0xFF), Just(0)]), 0..16),
        moved in any::<(Index, Index, Index)>(),
        mixed in proptest::option::of(any::<Index>()),
    ) {
        let seeds = corpus();
        let mut bytes = which.get(&seeds).clone();
        for (index, byte) in &damage {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
        foreign::check(&bytes);
        if let Some(other) = mixed {
            bytes.extend(other.get(&seeds));
            foreign::check(&bytes);
        }
        // A piece of it again, elsewhere.
        let (from, to) = (moved.0.index(bytes.len() + 1), moved.1.index(bytes.len() + 1));
        let piece = bytes[from.min(to)..from.max(to)].to_vec();
        let at = moved.2.index(bytes.len() + 1);
        bytes.splice(at..at, piece);
        foreign::check(&bytes);
    }
}
