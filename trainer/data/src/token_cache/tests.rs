#![expect(clippy::type_complexity, reason = "tables of cases")]

use super::{MANIFEST, SEGMENTS, TARGETS, TOKENS, TokenCache, Writer};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use temper_contract::report::DatasetCounts;

fn write(folder: &Path, segments: &[(&[u32], &[u8])], pack_to: Option<usize>) {
    let mut writer = Writer::create(folder).expect("a writable folder");
    for (ids, targets) in segments {
        writer.push(ids, targets).expect("room");
    }
    writer
        .finish("a digest", pack_to)
        .and_then(|finished| finished.commit(&DatasetCounts { rows: 3, ..DatasetCounts::default() }))
        .expect("room");
}

const SEGMENTS_WRITTEN: [(&[u32], &[u8]); 3] = [(&[1, 2, 3], &[1, 0, 1]), (&[4], &[1]), (&[5, 6], &[0, 1])];

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache/train");
    write(&path, &SEGMENTS_WRITTEN, None);
    let cache = TokenCache::open(&path).expect("whole");
    assert_eq!((cache.len(), cache.tokens(), cache.target_tokens(), cache.digest()), (3, 6, 2, "a digest"));
    for (index, (ids, targets)) in SEGMENTS_WRITTEN.iter().enumerate() {
        let segments: Vec<_> = cache.example(index).segments().collect();
        assert_eq!(segments.len(), 1);
        assert_eq!((segments[0].ids, segments[0].targets), (*ids, *targets));
    }
    assert_eq!(cache.manifest().counts.rows, 3);
    cache.manifest().verify(&path).expect("unchanged");
    assert!(!folder.path().join("cache/train.partial").exists());
}

#[test]
fn packed_rows_hold_several_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("train");
    write(&path, &SEGMENTS_WRITTEN, Some(4));
    let cache = TokenCache::open(&path).expect("whole");
    let rows: Vec<Vec<&[u32]>> = (0..cache.len()).map(|row| cache.example(row).segments().map(|segment| segment.ids).collect()).collect();
    assert_eq!(rows, [vec![&[1, 2, 3][..], &[4]], vec![&[5, 6]]]);
    assert_eq!(cache.example(0).tokens(), 4);
}

#[test]
fn an_older_cache_is_replaced_and_an_empty_one_is_possible() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("train");
    write(&path, &SEGMENTS_WRITTEN, None);
    fs::create_dir(folder.path().join("train.partial")).expect("what a killed run left");
    write(&path, &[], Some(8));
    let cache = TokenCache::open(&path).expect("whole");
    assert!(cache.is_empty() && cache.tokens() == 0);
}

#[test]
fn every_kind_of_damage_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let damage = |name: &str, change: &dyn Fn(&mut Vec<u8>)| -> Result<TokenCache, crate::Error> {
        let path = folder.path().join("train");
        write(&path, &SEGMENTS_WRITTEN, None);
        let mut bytes = fs::read(path.join(name)).expect("a file");
        change(&mut bytes);
        fs::write(path.join(name), bytes).expect("writable");
        TokenCache::open(&path).and_then(|cache| cache.manifest().verify(&path).map(|()| cache))
    };
    let edit = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
    };
    damage(TOKENS, &|_| {}).expect("undamaged");
    let table: [(&str, &dyn Fn(&mut Vec<u8>), &str); 9] = [
        (TOKENS, &|bytes| bytes.truncate(20), "tokens.u32 has 20 bytes where its manifest says 24"),
        (TOKENS, &|bytes| bytes[3] ^= 1, "does not have the content"),
        (TARGETS, &|bytes| bytes.push(0), "targets.u8 has 7 bytes"),
        (TARGETS, &|bytes| bytes[0] = 0, "targets.u8 does not have the content"),
        (SEGMENTS, &|bytes| bytes[8] = 200, "do not rise"),
        ("row-segments.u64", &|bytes| bytes[0] = 9, "names segment 9 of 3"),
        (MANIFEST, &|bytes| bytes.truncate(30), "manifest.json cannot be read"),
        (MANIFEST, &edit("\"version\": 1", "\"version\": 2"), "version 2"),
        (MANIFEST, &edit("\"tokens\": 6,\n  \"targetTokens\"", "\"tokens\": 18446744073709551615,\n  \"targetTokens\""), "not possible"),
    ];
    for (name, change, part) in table {
        let text = damage(name, change).expect_err(part).to_string();
        assert!(text.contains(part), "{text}");
    }
    fs::remove_file(folder.path().join("train").join(MANIFEST)).expect("a file");
    assert!(TokenCache::open(&folder.path().join("train")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_garbled_cache_never_panics(name in 0usize..5, at in 0usize..64, byte: u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("train");
        write(&path, &SEGMENTS_WRITTEN, Some(4));
        let file = path.join([MANIFEST, SEGMENTS, "rows.u64", "row-segments.u64", TOKENS][name]);
        let mut bytes = fs::read(&file).expect("a file");
        let at = at % bytes.len();
        bytes[at] = byte;
        fs::write(&file, bytes).expect("writable");
        if let Ok(cache) = TokenCache::open(&path) {
            for row in 0..cache.len() {
                cache.example(row).segments().for_each(|segment| assert_eq!(segment.ids.len(), segment.targets.len()));
            }
        }
    }
}
