//! The zip reader against archives made by hand, by the `zip` crate, and by chance.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation
)]

#[path = "common/archive.rs"]
mod archive;

use std::io::{Cursor, Write};

use archive::{Archive, Entry};
use proptest::prelude::*;
use shepard_lambdas::zip::{Cost, MAX_READ, ReadError, TAIL, ZipProblem, read_inputs_of_bytes};
use shepard_model::Value;
use shepard_model::inputs::MAX_BYTES;

const TEXT: &str = r#"{"answer": 42}"#;

#[track_caller]
fn read(bytes: &[u8]) -> Cost {
    let (outcome, cost) = read_inputs_of_bytes(bytes);
    let inputs = outcome.expect("readable");
    assert_eq!(inputs.variables, [("answer".to_owned(), Value::Number("42".to_owned()))]);
    cost
}

#[track_caller]
fn problem(bytes: &[u8]) -> ZipProblem {
    match read_inputs_of_bytes(bytes).0 {
        Err(ReadError::Zip(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// Bytes that deflate cannot shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_small_archive_costs_one_read() {
    for entry in [Entry::new("inputs.txt", TEXT), Entry::new("./inputs.txt", TEXT).stored()] {
        assert_eq!(read(&Archive::of([entry]).bytes()).reads, 1);
    }
}

#[test]
fn a_large_archive_costs_one_more_and_a_few_kilobytes() {
    let payload = Entry::new("data.bin", noise(3_000_000)).stored();
    let last = Archive::of([payload.clone(), Entry::new("inputs.txt", TEXT)]).bytes();
    assert_eq!(read(&last).reads, 1);
    let first = read(&Archive::of([Entry::new("inputs.txt", TEXT), payload]).bytes());
    assert_eq!(first.reads, 2);
    assert!(first.bytes < TAIL + 2_000, "{first:?}");
}

#[test]
fn comments_are_no_obstacle() {
    let mut archive = Archive::inputs(TEXT);
    archive.comment = noise(65_535);
    read(&archive.bytes());
    // A signature with nothing behind it, one whose comment ends where the archive does, and an empty archive.
    let mut ending = b"PK\x05\x06".to_vec();
    archive.comment = [&noise(50)[..], &ending, &noise(9)].concat();
    read(&archive.bytes());
    ending.extend([0, 0, 0, 0, 1, 0, 1, 0, 46, 0, 0, 0, 5, 0, 0, 0, 3, 0]);
    archive.comment = [&noise(5)[..], &ending, b"end"].concat();
    read(&archive.bytes());
    archive.comment = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    read(&archive.bytes());
}

#[test]
fn bytes_after_the_end_are_no_obstacle() {
    let mut archive = Archive::inputs(TEXT);
    archive.trailing = noise(1_000);
    read(&archive.bytes());
}

#[test]
fn prefixed_archives_are_read_with_and_without_rewritten_offsets() {
    for (rewritten, zip64, length) in
        [(false, false, 10), (true, false, 10), (false, true, 10), (true, true, 10), (false, false, 200_000)]
    {
        let mut archive = Archive::inputs(TEXT);
        (archive.prefix, archive.rewritten, archive.zip64) = (noise(length), rewritten, zip64);
        read(&archive.bytes());
    }
}

#[test]
fn an_archive_inside_the_archive_is_not_mistaken_for_it() {
    let inner = Archive::inputs(r#"{"answer": 1}"#).bytes();
    let entries = [Entry::new("inputs.txt", TEXT), Entry::new("inner.zip", inner).stored()];
    read(&Archive::of(entries.clone()).bytes());
    let mut trailing = Archive::of(entries);
    trailing.trailing = b"x".to_vec();
    read(&trailing.bytes());
}

#[test]
fn zip64_descriptors_and_long_local_headers_are_read() {
    for (zip64, descriptor, local_extra) in
        [(true, false, 0), (false, true, 0), (true, true, 20), (false, false, 60_000)]
    {
        let mut entry = Entry::new("inputs.txt", TEXT);
        (entry.zip64, entry.descriptor, entry.local_extra) = (zip64, descriptor, local_extra);
        let mut archive = Archive::of([Entry::new("a", "b"), entry, Entry::new("z", noise(100_000))]);
        archive.zip64 = zip64;
        read(&archive.bytes());
    }
}

#[test]
fn the_last_of_several_wins() {
    let entries = [Entry::new("inputs.txt", r#"{"answer": 1}"#), Entry::new("inputs.txt", TEXT)];
    read(&Archive::of(entries).bytes());
}

#[test]
fn seventy_thousand_entries_are_walked() {
    let many = (0..70_000).map(|index| Entry::new(format!("d/{index}"), "").stored());
    let entries: Vec<_> = std::iter::once(Entry::new("inputs.txt", TEXT)).chain(many).collect();
    let mut archive = Archive::of(entries);
    // Without zip64 the count wraps, as old tools let it.
    for zip64 in [false, true] {
        archive.zip64 = zip64;
        let cost = read(&archive.bytes());
        // Four megabytes of directory, half a megabyte at a time.
        assert!(cost.reads <= 12, "{cost:?}");
    }
    let whole = archive.bytes().len() as u64;
    assert!(whole > 3 * TAIL);
}

#[test]
fn exactly_65535_entries_need_no_zip64() {
    let many = (0..65_534).map(|index| Entry::new(format!("{index}"), "").stored());
    read(&Archive::of(std::iter::once(Entry::new("inputs.txt", TEXT)).chain(many)).bytes());
}

#[test]
fn the_zip_crate_and_this_reader_agree() {
    for (method, large) in [
        (zip::CompressionMethod::Stored, false),
        (zip::CompressionMethod::Deflated, false),
        (zip::CompressionMethod::Deflated, true),
    ] {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method).large_file(large);
        writer.add_directory("sub", options).unwrap();
        writer.start_file("sub/größe 日本.txt", options).unwrap();
        writer.write_all(b"x").unwrap();
        writer.start_file("inputs.txt", options).unwrap();
        writer.write_all(TEXT.as_bytes()).unwrap();
        writer.set_comment("made by a crate").unwrap();
        read(&writer.finish().unwrap().into_inner());
    }
}

#[test]
fn foreign_names_do_not_hide_it() {
    let mut utf8 = Entry::new("größe.txt", "x");
    utf8.flags = 1 << 11;
    let entries =
        [utf8, Entry::new(b"gr\x94\xE1e.txt", "x"), Entry::new("inputs.txt", TEXT), Entry::new("", "")];
    read(&Archive::of(entries).bytes());
}

#[test]
fn why_there_is_none_is_said() {
    let of = |names: &[&str]| problem(&Archive::of(names.iter().map(|name| Entry::new(name, TEXT))).bytes());
    assert_eq!(of(&["a.txt"]), ZipProblem::NoInputs);
    assert_eq!(of(&["run 1/", "run 1/inputs.txt"]), ZipProblem::InFolder("run 1".to_owned()));
    assert_eq!(
        of(&["run 1/inputs.txt"]).to_string(),
        "inputs.txt is inside the folder 'run 1/': zip the folder's content, not the folder"
    );
    assert_eq!(of(&["x\\inputs.txt"]), ZipProblem::InFolder("x".to_owned()));
    assert_eq!(of(&["x/inputs.txt", "y/inputs.txt"]), ZipProblem::NoInputs);
    assert_eq!(of(&["x/y/inputs.txt", "notinputs.txt"]), ZipProblem::NoInputs);
    assert_eq!(of(&["Inputs.TXT"]), ZipProblem::OtherCase("Inputs.TXT".to_owned()));
    assert_eq!(of(&[]), ZipProblem::NoEntries);
    assert_eq!(problem(b""), ZipProblem::Empty);
    assert_eq!(problem(b"PK"), ZipProblem::NotAZip);
    assert_eq!(problem(&noise(100_000)), ZipProblem::NotAZip);
}

#[test]
fn methods_and_passwords_are_named() {
    for (method, word) in
        [(9, "deflate64"), (12, "bzip2"), (14, "lzma"), (93, "zstd"), (95, "xz"), (77, "method 77")]
    {
        let mut entry = Entry::new("inputs.txt", TEXT);
        entry.method = method;
        assert_eq!(problem(&Archive::of([entry]).bytes()), ZipProblem::Method(word.to_owned()));
    }
    for (flags, method) in [(1, 8), (0x41, 0), (0x2001, 8), (1, 99), (0, 99)] {
        let mut entry = Entry::new("inputs.txt", TEXT);
        (entry.flags, entry.method) = (flags, method);
        assert_eq!(problem(&Archive::of([entry]).bytes()), ZipProblem::Encrypted);
    }
}

#[test]
fn bombs_are_not_inflated() {
    let bomb = Archive::of([Entry::new("inputs.txt", vec![b' '; 300_000_000 / 1_000])]);
    assert!(
        matches!(read_inputs_of_bytes(&bomb.bytes()).0, Err(ReadError::Inputs(_))),
        "blank text within the limit"
    );
    let size = MAX_BYTES as u64 * 10;
    let honest = Archive::of([Entry::new("inputs.txt", vec![b' '; size as usize])]).bytes();
    assert_eq!(problem(&honest), ZipProblem::TooLarge(size));
    // One that says it is small.
    let mut lying = honest;
    let directory = lying.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&1_000_u32.to_le_bytes());
    assert_eq!(problem(&lying), ZipProblem::Size(1_000));
}

#[test]
fn lies_about_the_directory_are_told_apart() {
    let honest = Archive::inputs(TEXT).bytes();
    let end = honest.len() - 22;
    let with = |at: usize, bytes: &[u8]| {
        let mut lying = honest.clone();
        lying[end + at..end + at + bytes.len()].copy_from_slice(bytes);
        problem(&lying)
    };
    assert!(matches!(with(16, &[0, 0, 0, 0x70]), ZipProblem::DirectoryOutside { offset: 0x7000_0000, .. }));
    assert!(matches!(with(12, &[0, 0, 0, 0x70]), ZipProblem::DirectoryOutside { .. }));
    assert_eq!(with(16, &[0xFF; 4]), ZipProblem::Zip64);
    assert_eq!(with(8, &[2, 0, 2, 0]), ZipProblem::Counts);
    assert_eq!(with(4, &[1, 0]), ZipProblem::ManyDisks);
    assert_eq!(with(12, &[10, 0]), ZipProblem::NoDirectory);
}

#[test]
fn lies_about_the_file_are_told_apart() {
    let honest = Archive::of([Entry::new("inputs.txt", TEXT), Entry::new("other.tx", "")]).bytes();
    let entry = honest.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut lying = honest.clone();
        lying[entry + at..entry + at + bytes.len()].copy_from_slice(bytes);
        problem(&lying)
    };
    assert_eq!(with(42, &[1]), ZipProblem::NoLocalHeader);
    assert_eq!(with(42, &[0, 0, 1]), ZipProblem::Outside);
    assert_eq!(with(42, &(entry as u32).to_le_bytes()), ZipProblem::Outside, "the directory itself");
    let other = honest.windows(4).rposition(|window| window == b"PK\x03\x04").unwrap();
    assert_eq!(with(42, &(other as u32).to_le_bytes()), ZipProblem::OtherName);
    assert_eq!(with(20, &200_u32.to_le_bytes()), ZipProblem::Outside, "it would overlap the directory");
    assert_eq!(with(20, &5_u32.to_le_bytes()), ZipProblem::Data);
    assert_eq!(with(16, &[0; 4]), ZipProblem::Checksum);
    assert_eq!(with(24, &13_u32.to_le_bytes()), ZipProblem::Size(13));
}

#[test]
fn truncated_at_every_byte_it_is_never_read_and_never_panics() {
    let mut archive = Archive::of([Entry::new("a", "b"), Entry::new("inputs.txt", TEXT)]);
    archive.zip64 = true;
    let whole = archive.bytes();
    read(&whole);
    for length in 0..whole.len() {
        let problem = problem(&whole[..length]);
        if (4..whole.len() - 22).contains(&length) {
            assert_eq!(problem, ZipProblem::Truncated, "{length} of {}", whole.len());
        }
    }
}

#[test]
fn with_any_byte_flipped_it_is_right_or_refused() {
    for zip64 in [false, true] {
        let mut archive = Archive::of([Entry::new("a", "b"), Entry::new("inputs.txt", TEXT)]);
        (archive.zip64, archive.comment) = (zip64, b"a comment".to_vec());
        let whole = archive.bytes();
        for index in 0..whole.len() {
            for mask in [0x01, 0x80, 0xFF] {
                let mut flipped = whole.clone();
                flipped[index] ^= mask;
                let (outcome, cost) = read_inputs_of_bytes(&flipped);
                assert!(cost.bytes <= MAX_READ && cost.reads < 20);
                if let Ok(inputs) = outcome {
                    assert_eq!(
                        inputs.variables.len(),
                        1,
                        "byte {index}: wrong content got past the checksum"
                    );
                    assert_eq!(inputs.variables[0].1, Value::Number("42".to_owned()));
                }
            }
        }
    }
}

#[test]
fn a_thousand_fake_endings_do_not_make_it_read_for_ever() {
    // Each claims a directory of 60 MiB that is not there.
    let mut bytes = vec![0_u8; 70 * 1024 * 1024];
    for _ in 0..1_000 {
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend((60_u32 << 20).to_le_bytes());
        bytes.extend([0, 0, 0, 0, 0, 0]);
    }
    let (outcome, cost) = read_inputs_of_bytes(&bytes);
    assert!(outcome.is_err());
    assert!(cost.bytes <= MAX_READ, "{cost:?}");
    assert!(cost.reads <= 40, "{cost:?}");
}

#[test]
fn a_directory_past_the_cap_is_refused_unread() {
    let mut bytes = vec![0_u8; 66 * 1024 * 1024];
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend((65_u32 << 20).to_le_bytes());
    bytes.extend([0, 0, 0, 0, 0, 0]);
    assert_eq!(problem(&bytes), ZipProblem::DirectoryTooLarge(65 << 20));
    assert_eq!(read_inputs_of_bytes(&bytes).1.reads, 1);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let names = proptest::collection::vec(any::<u8>(), 0..30);
    let contents = proptest::collection::vec(any::<u8>(), 0..2_000);
    (names, contents, any::<bool>(), any::<bool>(), any::<bool>(), 0..700_usize).prop_map(
        |(name, content, stored, descriptor, zip64, local_extra)| {
            let mut entry = Entry::new(name, content);
            entry.method = if stored { 0 } else { 8 };
            (entry.descriptor, entry.zip64, entry.local_extra) = (descriptor, zip64, local_extra);
            entry
        },
    )
}

fn any_archive() -> impl Strategy<Value = Archive> {
    let around = || proptest::collection::vec(any::<u8>(), 0..200);
    let entries = (
        proptest::collection::vec(any_entry(), 0..8),
        any_entry(),
        proptest::collection::vec(any_entry(), 0..8),
    )
        .prop_map(|(before, inputs, after)| {
            let ours = Entry { name: b"inputs.txt".to_vec(), content: TEXT.into(), ..inputs };
            before
                .into_iter()
                .chain([ours])
                .chain(after)
                .filter(|entry| entry.name != b"./inputs.txt")
                .collect()
        });
    (around(), any::<bool>(), entries, around(), any::<bool>()).prop_map(
        |(prefix, rewritten, entries, comment, zip64)| Archive {
            prefix,
            rewritten,
            entries,
            comment,
            zip64,
            trailing: Vec::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_around_it_is_found(archive in any_archive()) {
        read(&archive.bytes());
    }

    #[test]
    fn bytes_by_chance_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_inputs_of_bytes(&bytes);
    }

    #[test]
    fn damage_never_panics_and_never_reads_past_the_caps(
        archive in any_archive(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = archive.bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let (_, cost) = read_inputs_of_bytes(&bytes);
        prop_assert!(cost.bytes <= MAX_READ);
        prop_assert!(cost.reads <= 60);
        let _ = read_inputs_of_bytes(&bytes[..cut.index(bytes.len())]);
    }
}
